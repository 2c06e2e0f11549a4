"""Tensors as sources give them: from torch or NumPy, dense, with values of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

CONTENT_HINT = "give a tensor, or dicts, lists and tuples of tensors and plain values"
_MAX_REPEATED_BYTES, _MAX_REPETITIONS = 1 << 28, 200
"""A tensor of more bytes than the first that repeats its memory more often than the second is refused.

Such a tensor is probably an expanded view, which would take all of its bytes on disk.
"""


def as_tensor(value: object, where: str) -> torch.Tensor:
    """Convert a tensor or a NumPy array to a dense tensor; SourceError, which names `where`, for anything else."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        return _from_numpy(value, where)
    if not isinstance(value, torch.Tensor):
        raise SourceError(f"{where} is of type {type(value).__module__}.{type(value).__qualname__}", CONTENT_HINT)
    if value.is_meta:
        raise SourceError(
            f"{where} is a tensor on the meta device: it has the shape {tuple(value.shape)} and no values",
            "load the model with its weights, not on the meta device",
        )
    if value.layout != torch.strided or value.is_quantized or value.is_nested:
        raise SourceError(f"{where} is a tensor of layout {value.layout}, {value.dtype}", "make it dense: .to_dense()")
    if str(value.dtype).startswith(("torch.bits", "torch.float4")):
        raise SourceError(f"{where} is of {value.dtype}", "store it in a common dtype: .to(torch.float32)")
    memory = value.untyped_storage().nbytes()
    if value.nbytes > max(_MAX_REPEATED_BYTES, _MAX_REPETITIONS * memory):
        raise SourceError(f"{where} repeats {memory} bytes to {value.nbytes}", "store it once: .contiguous() if meant")
    return value.detach().resolve_conj().resolve_neg()


def _from_numpy(array: NDArray[Any], where: str) -> torch.Tensor:
    """Share memory where NumPy lets us write to it; copy an array that is read-only or foreign-endian."""
    import numpy as np
    import torch

    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 16 or array.dtype == np.longdouble:
        raise SourceError(
            f"{where} is an array of dtype {array.dtype.str} {array.dtype}",
            "store numbers; bfloat16 has no NumPy type: save it as .safetensors or .pt",
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
    return torch.from_numpy(np.ascontiguousarray(native).reshape(array.shape))

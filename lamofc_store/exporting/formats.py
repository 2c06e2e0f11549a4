"""The formats of exports, each a function that writes one sample; a new one is a function and a line in FORMATS."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import STRUCTURE_KEY, restore

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Tensors = Mapping[str, "torch.Tensor"]
Write: TypeAlias = Callable[[BinaryIO, Tensors, "str | None"], None]
_NOT_IN_SAFETENSORS = ("torch.complex32", "torch.complex128")


@dataclass(frozen=True)
class Format:
    """One file format: a file holds one sample."""

    suffix: str
    write: Write


def format_named(name: str, *, measured: bool = False) -> Format:
    """Return a format by its name; `measured` is for `lamofcbench` alone."""
    if name not in FORMATS:
        raise BadArgument(f"{name!r} is no format of exports", f"choose one of {', '.join(FORMATS)}")
    if measured and name != BENCH:
        raise BadArgument(f"measured=True in an export as {name}", f"only {BENCH} has a place for it")
    return FORMATS[name]


def _write_safetensors(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    from safetensors.torch import save

    refused = [
        name for name, tensor in tensors.items() if name == "__metadata__" or str(tensor.dtype) in _NOT_IN_SAFETENSORS
    ]
    if refused:
        raise BadArgument(
            f"{refused[0]!r} of {tensors[refused[0]].dtype} has no place in safetensors", Hint(f"give [format] {BENCH}")
        )
    file.write(save(_with_own_buffers(tensors), None if structure is None else {STRUCTURE_KEY: structure}))


def _with_own_buffers(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Return tensors with a buffer each: decoded ones may share one, which would be saved whole with every tensor."""
    import torch

    own: dict[str, torch.Tensor] = {}
    buffers: set[int] = set()
    for name, tensor in tensors.items():
        buffer = tensor.untyped_storage()
        alone = buffer.nbytes() == tensor.nbytes and tensor.is_contiguous() and buffer.data_ptr() not in buffers
        buffers.add(buffer.data_ptr())
        own[name] = tensor if alone else tensor.clone(memory_format=torch.contiguous_format)
    return own


def _write_npz(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    """Write the archive member by member, because `np.savez` takes names as keywords and reserves `file`."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, tensor)


def _write_npy(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    """Write the one array that a sample was made of."""
    import torch

    nested = restore(tensors, structure)
    if isinstance(nested, dict) and len(nested) == 1:
        (nested,) = nested.values()
    if not isinstance(nested, torch.Tensor):
        raise BadArgument(f"a sample of {', '.join(sorted(tensors)[:8])} is no single array", Hint("give [format] npz"))
    _write_array(file, nested)


def _write_array(file: Any, tensor: torch.Tensor) -> None:
    import numpy as np

    np.lib.format.write_array(file, numpy_of(tensor), allow_pickle=False)  # type: ignore[no-untyped-call]


def _write_bench(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    """Write the nested sample by `torch.save` into one zstd frame."""
    import pyarrow as pa
    import torch

    nested = restore(_with_own_buffers(tensors), structure)
    with pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), "w"), "zstd") as frame:
        torch.save(nested, frame)


class _KeptOpen(io.RawIOBase):
    """A file that stays open when its wrapper is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write to the file itself."""
        return self._file.write(data)


def numpy_of(tensor: torch.Tensor) -> NDArray[Any]:
    """Return the values in NumPy; dtypes that it lacks (bfloat16, 8-bit floats, complex32) are widened."""
    import torch

    try:
        return tensor.cpu().numpy()
    except TypeError:
        return tensor.cpu().to(torch.complex64 if tensor.is_complex() else torch.float32).numpy()


BENCH = "lamofcbench"
FORMATS = {
    "safetensors": Format(".safetensors", _write_safetensors),
    "npz": Format(".npz", _write_npz),
    BENCH: Format(".zst", _write_bench),
    "lamofc-npy": Format(".npy", _write_npy),
}

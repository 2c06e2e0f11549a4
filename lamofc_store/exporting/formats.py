"""How one sample is written in each format of exports; a new one is a function and a line in FORMATS."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, get_args

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import ENVELOPE_KEYS, STRUCTURE_KEY
from lamofc_store.sample import structure as nesting

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Tensors = Mapping[str, "torch.Tensor"]
Write: TypeAlias = Callable[[BinaryIO, Tensors, "str | None"], None]
KeyNames = Literal["original", "segmentation", "layer"]
"""What blocks are called: as they were, or as evaluation scripts of DINOv3 look for them."""
_BLOCK = re.compile(r"(?:.*\.)?(?:blocks|layer)\.(\d{1,4})")
_NOT_SAFE = ("torch.complex32", "torch.complex128")
_BLOCKS = {"segmentation": "segmentation_model.0.backbone.blocks.{}", "layer": "layer.{}"}


@dataclass(frozen=True)
class Format:
    """A file a sample."""

    suffix: str
    write: Write


def format_named(name: str, keys: str = "original", *, measured: bool = False) -> Format:
    """The format of that name; `keys` and what was measured are for `lamofcbench` alone."""
    if name not in FORMATS:
        raise BadArgument(f"{name!r} is no format of exports", f"choose one of {', '.join(FORMATS)}")
    if keys not in get_args(KeyNames):
        raise BadArgument(f"keys={keys!r}", f"choose one of {', '.join(get_args(KeyNames))}")
    if measured and name != BENCH:
        raise BadArgument(f"measured=True in an export as {name}", f"only {BENCH} has a place for it")
    if keys == "original":
        return FORMATS[name]
    if name != BENCH:
        raise BadArgument(f"keys={keys!r} in an export as {name}", f"only {BENCH} has keys to choose")
    return Format(FORMATS[name].suffix, partial(_write_bench, blocks=_BLOCKS[keys]))


def _write_safetensors(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    from safetensors.torch import save

    wrong = [name for name, tensor in tensors.items() if name == "__metadata__" or str(tensor.dtype) in _NOT_SAFE]
    if wrong:
        raise BadArgument(
            f"{wrong[0]!r} of {tensors[wrong[0]].dtype} has no place in safetensors", Hint(f"give [format] {BENCH}")
        )
    file.write(save(_apart(tensors), None if structure is None else {STRUCTURE_KEY: structure}))


def _apart(tensors: Tensors) -> dict[str, torch.Tensor]:
    """The same, each in a buffer of its own: decoded ones may share one, which would be saved whole with each."""
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
    """By hand, because `np.savez` takes names as arguments and has no place for one called `file`."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, tensor)


def _write_npy(file: BinaryIO, tensors: Tensors, structure: str | None) -> None:
    """The one array that a sample was, put together again."""
    import torch

    whole = nesting.restore(tensors, structure)
    if isinstance(whole, dict) and len(whole) == 1:
        (whole,) = whole.values()
    if not isinstance(whole, torch.Tensor):
        raise BadArgument(f"a sample of {', '.join(sorted(tensors)[:8])} is no single array", Hint("give [format] npz"))
    _write_array(file, whole)


def _write_array(file: Any, tensor: torch.Tensor) -> None:
    import numpy as np

    np.lib.format.write_array(file, numpy_of(tensor), allow_pickle=False)  # type: ignore[no-untyped-call]


def _write_bench(file: BinaryIO, tensors: Tensors, structure: str | None, blocks: str | None = None) -> None:
    """What `torch.save` makes of the sample as it was nested, in one zstd frame; `blocks` renames keys of blocks."""
    import pyarrow as pa
    import torch

    whole = nesting.restore(_apart(tensors), structure)
    with pa.CompressedOutputStream(pa.PythonFile(_Lent(file), "w"), "zstd") as frame:
        torch.save(whole if blocks is None else _renamed(whole, blocks), frame)


class _Lent(io.RawIOBase):
    """A file that whoever closes it does not close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        """It is written to."""
        return True

    def write(self, data: Any) -> int:
        """Pass it on."""
        return self._file.write(data)


def _renamed(whole: Any, blocks: str) -> Any:
    """The same with other keys for blocks, in an envelope or without."""
    if isinstance(whole, dict) and set(whole) == set(ENVELOPE_KEYS):
        return {**whole, ENVELOPE_KEYS[0]: _renamed(whole[ENVELOPE_KEYS[0]], blocks)}
    found = {key: _BLOCK.fullmatch(str(key)) for key in whole} if isinstance(whole, dict) else {}
    names = [blocks.format(match[1]) if match else str(key) for key, match in found.items()]
    if not any(found.values()) or len(set(names)) < len(names):
        keys = ", ".join(map(str, found))[:120]
        raise BadArgument(
            f"the keys {keys or type(whole).__name__} are not each of another block", Hint("give [keys] original")
        )
    return dict(zip(names, whole.values(), strict=True))


def numpy_of(tensor: torch.Tensor) -> NDArray[Any]:
    """The same values in NumPy; what it lacks, bfloat16, 8-bit floats, halves of complex numbers, is widened."""
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

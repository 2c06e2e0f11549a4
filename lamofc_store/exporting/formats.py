"""The formats of exports, each a function that writes one sample; a new one is a function and a line in FORMATS."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, get_args

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import ENVELOPE_KEYS, STRUCTURE_KEY, restore

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Tensors = Mapping[str, "torch.Tensor"]
Write: TypeAlias = Callable[[BinaryIO, Tensors, "str | None"], None]
KeyNames = Literal["original", "segmentation", "layer"]
"""Keys of blocks: as they were, or as the evaluation scripts of DINOv3 look for them."""
_BLOCK_KEY = re.compile(r"(?:.*\.)?(?:blocks|layer)\.(\d{1,4})")
_NOT_IN_SAFETENSORS = ("torch.complex32", "torch.complex128")
_KEY_TEMPLATES = {"segmentation": "segmentation_model.0.backbone.blocks.{}", "layer": "layer.{}"}


@dataclass(frozen=True)
class Format:
    """One file format: a file holds one sample."""

    suffix: str
    write: Write


def format_named(name: str, keys: str = "original", *, measured: bool = False) -> Format:
    """Return a format by its name; `keys` and `measured` are for `lamofcbench` alone."""
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
    return Format(FORMATS[name].suffix, partial(_write_bench, template=_KEY_TEMPLATES[keys]))


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


def _write_bench(file: BinaryIO, tensors: Tensors, structure: str | None, template: str | None = None) -> None:
    """Write the nested sample by `torch.save` into one zstd frame; a `template` renames the keys of blocks."""
    import pyarrow as pa
    import torch

    nested = restore(_with_own_buffers(tensors), structure)
    with pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), "w"), "zstd") as frame:
        torch.save(nested if template is None else _renamed(nested, template), frame)


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


def _renamed(nested: Any, template: str) -> Any:
    """Return a sample with other keys for blocks, in an envelope or without."""
    if isinstance(nested, dict) and set(nested) == set(ENVELOPE_KEYS):
        return {**nested, ENVELOPE_KEYS[0]: _renamed(nested[ENVELOPE_KEYS[0]], template)}
    blocks = {key: _BLOCK_KEY.fullmatch(str(key)) for key in nested} if isinstance(nested, dict) else {}
    names = [template.format(match[1]) if match else str(key) for key, match in blocks.items()]
    if not any(blocks.values()) or len(set(names)) < len(names):
        keys = ", ".join(map(str, blocks))[:120]
        raise BadArgument(
            f"the keys {keys or type(nested).__name__} are not each of another block", Hint("give [keys] original")
        )
    return dict(zip(names, nested.values(), strict=True))


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

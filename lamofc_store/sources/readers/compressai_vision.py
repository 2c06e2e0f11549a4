"""CompressAI-Vision's feature dumps: named .h5, written by `torch.save`; tensors, or 16-bit numbers in two planes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import Sample
from lamofc_store.sources.readers.iterable import sample_of
from lamofc_store.sources.readers.protocols import Wanted
from lamofc_store.sources.readers.torch_unpickle import load

_DATA = "data"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: Path, name: str, wanted: Wanted) -> Sample:
    """One sample: what is under `data` by its key, and what is beside it, as it is."""
    with path.open("rb") as file:
        if file.read(len(_HDF5)) == _HDF5:
            raise SourceError(f"{path} is a file of HDF5, not a dump of torch.save", "convert it to .safetensors")
    saved = load(path)
    if not isinstance(saved, Mapping) or not isinstance(saved.get(_DATA), Mapping):
        raise SourceError(
            f"{path} has no mapping under {_DATA!r}: {type(saved).__name__}", Hint("[format] pt takes any")
        )
    return sample_of(name, saved, wanted, str(path))

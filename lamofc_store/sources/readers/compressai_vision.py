"""CompressAI-Vision's feature dumps: named .h5, written by `torch.save`; tensors, or 16-bit numbers in two planes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lamofc_store.errors import Hint, SourceError
from lamofc_store.sample import Sample
from lamofc_store.sources.contract import FeatureFilter
from lamofc_store.sources.readers.nested_sample import sample_of
from lamofc_store.sources.readers.torch_unpickle import load

_DATA = "data"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read(path: Path, name: str, features: FeatureFilter) -> Sample:
    """Read one sample: the tensors under `data` by their keys, and everything beside them."""
    with path.open("rb") as file:
        if file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC:
            raise SourceError(f"{path} is a file of HDF5, not a dump of torch.save", "convert it to .safetensors")
    saved = load(path)
    if not isinstance(saved, Mapping) or not isinstance(saved.get(_DATA), Mapping):
        raise SourceError(
            f"{path} has no mapping under {_DATA!r}: {type(saved).__name__}", Hint("[format] pt takes any")
        )
    return sample_of(name, saved, features, str(path))

"""A .safetensors file, as one sample or as stacked columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError, StoreError
from lamofc_store.sample import STRUCTURE_KEY, Sample, restore
from lamofc_store.sources.contract import Column, FeatureFilter, reading

if TYPE_CHECKING:
    import torch

_FILE_KIND = ".safetensors file"


def read(path: Path, name: str, features: FeatureFilter) -> Sample:
    """Read one sample: each tensor of the file is a feature; only those that pass the filter are read from disk."""
    from safetensors import safe_open

    with reading(path, _FILE_KIND), safe_open(path, framework="pt") as file:
        names = features.pick(dict.fromkeys(file.keys()), str(path))
        tensors = {key: file.get_tensor(key) for key in names}
        complete = len(names) == len(file.keys())
        structure = (file.metadata() or {}).get(STRUCTURE_KEY) if complete else None
    if structure is not None:
        _check_structure(path, structure, tensors)
    return Sample(name, tensors, structure=structure)


def _check_structure(path: Path, structure: str, tensors: dict[str, torch.Tensor]) -> None:
    """Raise SourceError unless the structure can be restored from the tensors."""
    try:
        restore(tensors, structure)
    except StoreError as error:
        raise SourceError(f"{path}: {error.message}", f"remove the metadata key {STRUCTURE_KEY!r}") from None


def columns(path: Path) -> dict[str, Column]:
    """Open each tensor as a column whose rows are read from disk one at a time."""
    from safetensors import safe_open

    with reading(path, _FILE_KIND):
        file: Any = safe_open(path, framework="pt")
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118

    def column(tensor: Any) -> Column:
        discrete = not tensor.get_dtype().startswith(("F", "BF", "C"))
        return Column(tuple(tensor.get_shape()), discrete, lambda row: tensor[row])

    return {key: column(tensor) for key, tensor in slices.items()}

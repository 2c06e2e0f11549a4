"""A .safetensors file, as one sample or as columns of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError, StoreError
from lamofc_store.sample import STRUCTURE_KEY, Sample, restore
from lamofc_store.sources.readers.protocols import Wanted, reading

if TYPE_CHECKING:
    import torch

    from lamofc_store.sources.readers.column import Column

KIND = ".safetensors file"


def read(path: Path, name: str, wanted: Wanted) -> Sample:
    """One sample: each tensor of the file is a feature; only wanted tensors are read from disk."""
    from safetensors import safe_open

    with reading(path, KIND), safe_open(path, framework="pt") as file:
        names = wanted.pick(dict.fromkeys(file.keys()), str(path))
        features = {key: file.get_tensor(key) for key in names}
        whole = len(names) == len(file.keys())
        structure = (file.metadata() or {}).get(STRUCTURE_KEY) if whole else None
    if structure is not None:
        _check(path, structure, features)
    return Sample(name, features, structure=structure)


def _check(path: Path, structure: str, features: dict[str, torch.Tensor]) -> None:
    try:
        restore(features, structure)
    except StoreError as error:
        raise SourceError(f"{path}: {error.message}", f"remove the metadata key {STRUCTURE_KEY!r}") from None


def columns(path: Path) -> dict[str, Column]:
    """Each tensor as a column whose rows are read from disk one at a time."""
    from safetensors import safe_open

    from lamofc_store.sources.readers.column import Column

    with reading(path, KIND):
        file: Any = safe_open(path, framework="pt")
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118

    def column(piece: Any) -> Column:
        whole = not piece.get_dtype().startswith(("F", "BF", "C"))
        return Column(tuple(piece.get_shape()), whole, lambda row: piece[row])

    return {key: column(piece) for key, piece in slices.items()}

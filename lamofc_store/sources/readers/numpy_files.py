"""NumPy's .npy and .npz files, as one sample or as stacked columns; pickles are refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError
from lamofc_store.sample import UNNAMED_FEATURE, Sample, Scalar, as_tensor
from lamofc_store.sources.contract import Column, FeatureFilter, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


LARGE_BYTES, MAX_EXPANSION = 1 << 30, 200
"""An archive is refused as an attack if it expands to more than `LARGE_BYTES` and `MAX_EXPANSION` times its size."""
NPY_MAGIC = b"\x93NUMPY"


def read(path: Path, name: str, features: FeatureFilter) -> Sample:
    """Read one sample: arrays are features, plain values (0-d arrays of an .npz) are attributes."""
    arrays = _load(path)
    attributes: dict[str, Scalar] = {
        key: array.item()
        for key, array in arrays.items()
        if not array.ndim and key != UNNAMED_FEATURE and array.dtype.kind in "biufUS"
    }
    picked = features.pick({key: array for key, array in arrays.items() if key not in attributes}, str(path))
    return Sample(name, {key: as_tensor(array, f"{path}: {key!r}") for key, array in picked.items()}, attributes)


def columns(path: Path) -> dict[str, Column]:
    """Open each array as a column; an .npy stays on disk, the arrays of an .npz are loaded whole."""

    def column(key: str, array: NDArray[Any]) -> Column:
        plain = array.ndim == 1
        row = array.__getitem__ if plain else lambda index: as_tensor(array[index], f"{path}: {key!r}")
        return Column(array.shape, array.dtype.kind in "biuUS", row)

    return {key: column(key, array) for key, array in _load(path).items()}


def _load(path: Path) -> Arrays:
    """Load all arrays of a file; the one of an .npy is mapped, so that reading a row costs a row."""
    import numpy as np

    with reading(path, f"{path.suffix or '.npy'} file"):
        try:
            with path.open("rb") as file:
                if file.read(len(NPY_MAGIC)) == NPY_MAGIC:
                    return {UNNAMED_FEATURE: np.load(path, mmap_mode="r", allow_pickle=False)}
                file.seek(0)
                archive = np.load(file, allow_pickle=False)
                size = sum(member.file_size for member in archive.zip.infolist())
                if size > max(LARGE_BYTES, MAX_EXPANSION * path.stat().st_size):
                    raise SourceError(
                        f"{path} of {path.stat().st_size} bytes would become {size}",
                        "write it with np.savez, uncompressed",
                    )
                return {key: archive[key] for key in archive.files}
        except ValueError as error:
            if "allow_pickle" not in str(error) and "Python objects" not in str(error):
                raise
            raise SourceError(
                f"{path} holds Python objects or is no NumPy file; rebuilding objects could run any code",
                "save plain arrays: np.savez(file, name=np.stack(list_of_arrays))",
            ) from None

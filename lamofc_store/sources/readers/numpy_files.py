"""NumPy's .npy and .npz files, as one sample or as columns of rows; never with pickles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import SourceError
from lamofc_store.sample import UNNAMED_FEATURE, Sample, Scalar, as_tensor
from lamofc_store.sources.readers.protocols import Wanted, reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamofc_store.sources.readers.column import Column

    Arrays = dict[str, NDArray[Any]]


LARGE, RATIO = 1 << 30, 200
"""An archive that says to hold more bytes than LARGE, RATIO times its own size, is a trap and no feature."""
MAGIC = b"\x93NUMPY"


def read(path: Path, name: str, wanted: Wanted) -> Sample:
    """One sample: arrays are features; what NumPy made of plain values (0-d arrays of an .npz) are attributes."""
    arrays = _load(path)
    attributes: dict[str, Scalar] = {
        key: array.item()
        for key, array in arrays.items()
        if not array.ndim and key != UNNAMED_FEATURE and array.dtype.kind in "biufUS"
    }
    features = {key: array for key, array in arrays.items() if key not in attributes}
    picked = wanted.pick(features, str(path))
    return Sample(name, {key: as_tensor(array, f"{path}: {key!r}") for key, array in picked.items()}, attributes)


def columns(path: Path) -> dict[str, Column]:
    """Each array as a column; an .npy stays on disk, the arrays of an .npz are loaded whole."""
    from lamofc_store.sources.readers.column import Column

    def column(key: str, array: NDArray[Any]) -> Column:
        scalars = array.ndim == 1
        row = array.__getitem__ if scalars else lambda index: as_tensor(array[index], f"{path}: {key!r}")
        return Column(array.shape, array.dtype.kind in "biuUS", row)

    return {key: column(key, array) for key, array in _load(path).items()}


def _load(path: Path) -> Arrays:
    """All arrays of the file; the one of an .npy is mapped, so that a row costs a row."""
    import numpy as np

    with reading(path, f"{path.suffix or '.npy'} file"):
        try:
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    return {UNNAMED_FEATURE: np.load(path, mmap_mode="r", allow_pickle=False)}
                file.seek(0)
                archive = np.load(file, allow_pickle=False)
                size = sum(member.file_size for member in archive.zip.infolist())
                if size > max(LARGE, RATIO * path.stat().st_size):
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

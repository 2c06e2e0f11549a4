"""The index of an export: a Parquet table of samples with their files, structures and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.exporting.atomic_file import atomic_file
from lamofc_store.sample import Sample, Scalar
from lamofc_store.sources import INDEX

if TYPE_CHECKING:
    import pyarrow as pa

STRUCTURE_COLUMN = "nesting"
"""The column of structures: a table of attributes must not have one called `structure`, which is the store's own."""


class IndexWriter:
    """An index written batch by batch beside its place."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / INDEX
        self._part = folder / f".{INDEX}.part"
        self._writer: Any = None

    def add(self, rows: pa.Table, files: Sequence[str]) -> None:
        """Append rows of the view `samples`, with the file of each."""
        from pyarrow.parquet import ParquetWriter

        table = _with_files(rows, files)
        if self._writer is None:
            self._writer = ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table.cast(self._writer.schema))

    def close(self) -> None:
        """Give the complete index its name."""
        self._writer.close()
        self._part.replace(self._path)


def write_index(folder: Path, files: Mapping[str, str], attributes: Mapping[str, Mapping[str, Scalar]]) -> None:
    """Write the index of files, by sample, that come from no store."""
    from pyarrow.parquet import write_table

    from lamofc_store.ingest import sample_rows

    rows = sample_rows({sample: Sample(sample, {}, attributes[sample]) for sample in files})
    with atomic_file(folder / INDEX) as file:
        write_table(_with_files(rows, list(files.values())), file)


def _with_files(rows: pa.Table, files: Sequence[str]) -> pa.Table:
    """Return rows of samples as the index has them."""
    import pyarrow as pa

    rows = rows.rename_columns([STRUCTURE_COLUMN if name == "structure" else name for name in rows.column_names])
    return rows.append_column("file", pa.array(files, pa.string()))

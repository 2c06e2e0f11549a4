"""A table of attributes beside the features, joined by its column `sample`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lamofc_store.errors import NotFound, SourceError, SourceNotFound
from lamofc_store.sources.contract import reading

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "sample"
"""The column of sample ids."""


def read_table(path: str | os.PathLike[str]) -> pa.Table:
    """Read a .parquet or .csv file with a column `sample` of unique ids, which stay text: `007` is not 7."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    file = Path(path)
    if not file.is_file():
        raise NotFound(f"{file} is no file", "give a .parquet or .csv file of attributes")
    if file.suffix.lower() not in (".parquet", ".csv"):
        raise SourceError(f"{file} is neither .parquet nor .csv", "write the attributes as one of them")
    with reading(file, f"{file.suffix} table"):
        if file.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(file)
        else:
            options = pyarrow.csv.ConvertOptions(column_types={KEY: pa.string()}, strings_can_be_null=False)
            table = pyarrow.csv.read_csv(file, convert_options=options)
    if KEY not in table.column_names:
        raise SourceNotFound(
            f"{file} has no column 'sample'; it has {', '.join(table.column_names[:12])}", "rename the id column"
        )
    ids = table.column(KEY).cast(pa.string())
    if ids.null_count or len(ids.unique()) != len(ids):
        repeated = next((pair["values"].as_py() for pair in ids.value_counts() if pair["counts"].as_py() > 1), None)
        raise SourceError(
            f"{file}: {ids.null_count} rows have no sample, and {repeated!r} stands twice or more",
            "keep one row a sample",
        )
    return table.set_column(table.column_names.index(KEY), KEY, ids)

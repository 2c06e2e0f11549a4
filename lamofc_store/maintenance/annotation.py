"""Annotation: columns and values are added to existing samples."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import changes, row_objects
from lamofc_store.errors import BadArgument
from lamofc_store.ingest import sample_rows
from lamofc_store.sample import Sample

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.session import Session

_MAPPING_HINT = "write {'img_0001': {'label': 3}}"


def annotate(store: "Session", table: "str | Path | pa.Table | Mapping[str, Mapping[str, Any]]") -> int:
    """Commit rows of the table `samples` for existing samples; returns the number of the commit."""
    store.require_writable()
    rows = _sample_table(table)
    samples: list[str] = rows["sample"].to_pylist()
    if not samples or rows.num_columns < 2:
        raise BadArgument(
            f"the table has {len(samples)} rows and the columns {rows.column_names}",
            "give a column `sample` and at least one more",
        )
    if None in samples or len(set(samples)) < len(samples):
        wrong = next((sample for sample in samples if sample is None or samples.count(sample) > 1), None)
        raise BadArgument(f"the table names sample {wrong!r} more than once or not at all", "give each sample one row")
    columns = changes.column_types(rows.drop_columns(["sample"]).schema)
    entry = row_objects.write(store.storage, "samples", _with_structure(rows))
    return store.publish(lambda head: changes.annotate(store.context, entry, samples, columns, head))


def _sample_table(table: "str | Path | pa.Table | Mapping[str, Mapping[str, Any]]") -> "pa.Table":
    """Bring a file, a mapping or a table into the form of one row a sample."""
    import pyarrow as pa

    from lamofc_store.sources import read_table

    if isinstance(table, str | Path):
        return read_table(str(table))
    if isinstance(table, Mapping):
        return _rows_of_mapping(table)
    if not isinstance(table, pa.Table):
        raise BadArgument(
            f"{table!r} is a {type(table).__name__}, neither a file nor a mapping nor an Arrow table", _MAPPING_HINT
        )
    if "sample" not in table.column_names:
        raise BadArgument(
            f"the table has no column 'sample' but {table.column_names}", "name the column of ids `sample`"
        )
    return table


def _rows_of_mapping(table: "Mapping[str, Mapping[str, Any]]") -> "pa.Table":
    """Make one row a sample of the columns of each."""
    for name, columns in table.items():
        if not isinstance(columns, Mapping):
            raise BadArgument(f"the columns of sample {name!r} are {columns!r}, not a mapping", _MAPPING_HINT)
    rows = sample_rows({name: Sample(name, {}, dict(columns)) for name, columns in table.items()})
    return rows.drop_columns(["structure"])


def _with_structure(rows: "pa.Table") -> "pa.Table":
    """Add the column `structure`, empty: an annotation leaves the structure of samples as it is."""
    import pyarrow as pa

    columns = [name for name in rows.column_names if name != "sample"]
    return pa.table(
        {
            "sample": rows["sample"].cast(pa.string()),
            "structure": pa.nulls(rows.num_rows, pa.string()),
            **{name: rows[name] for name in columns},
        }
    )

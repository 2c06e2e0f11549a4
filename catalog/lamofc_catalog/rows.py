"""Rows files: one Parquet object for the new rows of one table, small and quick to search.

Records and samples are divided into blocks of neighbouring samples, one row group each, so that the bounds of the row
groups lead to the block of a sample. Inside a block, record rows are sorted by feature: neighbouring rows are then
adjacent in their segment and equal in all that a feature determines, which compresses well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamofc_catalog.columns import widen
from lamofc_catalog.errors import CatalogError, SchemaConflict
from lamofc_catalog.schemas import POSITION, RECORDS, SAMPLES, TABLES, conform, nullable
from lamofc_catalog.stored_form import STORED, stored_columns, to_plain, to_stored

BLOCK_ROWS = 8192
"""Rows of a row group of records and samples. A lookup decodes one such block, in about 3 ms."""

SORTED_TABLES = ("records", "samples")
"""The tables whose files are sorted by sample."""

FOLDED = pa.field("folded", pa.list_(pa.struct(list(POSITION))))
"""Positions of the earlier rows of a sample that a merge folded into its row; null where there are none."""

_FLOAT_COLUMNS = ("sum", "sum_sq", "sse", "max_error", "signal", "bulk_sse", "weighted_sse", "encode_seconds")
_FLOAT_LEAVES = (*_FLOAT_COLUMNS, "layers.list.element.sse", "weighted_layers.list.element")
_DELTA_LEAVES = ("record_shift", "item", "part", "offset", "length", "row", "layers.list.element.bytes")
_LISTS = ("layers", "weighted_layers")
_OTHER_LEAVES = (*_FLOAT_LEAVES, *_DELTA_LEAVES, "sample", "source_hash", *_LISTS)
_DICTIONARY_LEAVES = [name for name in STORED.names if name not in _OTHER_LEAVES]


def write_rows(table: str, rows: pa.Table, path: str | os.PathLike[str], *, origin: str) -> int:
    """Write `rows` of `table` to `path` and return the size of the file in bytes.

    Row i gets the position (`origin`, i). The table `gone` names it by this position for ever, whatever its place in
    the file. One call takes all rows of a record, because it divides the record's bits among them.
    """
    if table == "records":
        new = to_stored(conform(rows, RECORDS, table), origin)
    elif table == "samples":
        new = _stored_samples(rows, origin)
    else:
        new = _with_positions(conform(rows, _schema(table), table), origin)
    if table in SORTED_TABLES:
        _check_ids(new, table)
    new = new.cast(nullable(new.schema))
    with writer(table, new.schema, path) as file:
        for block in _blocks(table, new):
            file.write_table(block, row_group_size=max(1, block.num_rows))
    return Path(path).stat().st_size


def read_rows(table: str, path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of one file as plain columns (all, or `columns`), in the file's order, deleted ones included."""
    if table != "records":
        return pq.read_table(path, columns=None if columns is None else list(columns))
    names = None if columns is None else stored_columns(list(columns))
    rows = to_plain(pq.read_table(path, columns=names))
    return rows if columns is None else rows.select(list(columns))


def writer(table: str, schema: pa.Schema, path: str | os.PathLike[str]) -> pq.ParquetWriter:
    """Open a Parquet writer for rows of `schema`, the stored form of `table`, with encodings that suit each column."""
    if table != "records":
        return pq.ParquetWriter(str(path), schema, compression="zstd", store_schema=True)
    leaves = [name for name in schema.names if name not in _LISTS]
    leaves += ["layers.list.element.bytes", "layers.list.element.sse", "weighted_layers.list.element"]
    encodings = dict.fromkeys(_FLOAT_LEAVES, "BYTE_STREAM_SPLIT") | dict.fromkeys(_DELTA_LEAVES, "DELTA_BINARY_PACKED")
    encodings |= {"sample": "DELTA_BYTE_ARRAY", "source_hash": "PLAIN"}
    # A hash cannot be compressed; the attempt would only slow down reading.
    options: dict[str, Any] = {
        "compression": {leaf: "none" if leaf == "source_hash" else "zstd" for leaf in leaves},
        "use_dictionary": _DICTIONARY_LEAVES,
        "column_encoding": encodings,
        "write_statistics": ["sample", "feature"],
        "store_schema": False,
    }
    return pq.ParquetWriter(str(path), schema, **options)


def _blocks(table: str, rows: pa.Table) -> list[pa.Table]:
    """Divide stored `rows` into the row groups of a file; in sorted tables no sample spans two."""
    if table not in SORTED_TABLES or rows.num_rows == 0:
        return [rows]
    return [order_block(table, block) for block in split_blocks(sort_by_sample(rows))]


def sort_by_sample(rows: pa.Table) -> pa.Table:
    """Sort rows by the UTF-8 bytes of their samples; rows of one sample keep their order."""
    order = pc.sort_indices(rows["sample"])
    places = order.to_numpy()
    return rows if np.array_equal(places, np.arange(len(places))) else rows.take(order)


def split_blocks(ordered: pa.Table) -> list[pa.Table]:
    """Split rows sorted by sample into blocks of at most BLOCK_ROWS; a sample with more rows gets a larger block."""
    ends = run_ends(ordered["sample"])
    parts: list[pa.Table] = []
    start = 0
    while start < ordered.num_rows:
        fitting = int(np.searchsorted(ends, start + BLOCK_ROWS, side="right"))
        first = int(np.searchsorted(ends, start, side="right"))
        stop = int(ends[max(fitting - 1, first)])
        parts.append(ordered.slice(start, stop - start))
        start = stop
    return parts


def run_ends(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the end (exclusive) of each run of equal neighbours."""
    array = column.combine_chunks()
    if len(array) == 0:
        return np.zeros(0, np.int64)
    changes = pc.not_equal(array.slice(1), array.slice(0, len(array) - 1)).to_numpy(zero_copy_only=False)
    return np.append(np.flatnonzero(changes) + 1, len(array))


def order_block(table: str, block: pa.Table) -> pa.Table:
    """Sort the rows of one block as its row group stores them."""
    if table != "records":
        return block
    keys = pa.table({name: block[name].cast(pa.string()) for name in ("feature", "sample")})
    return block.take(pc.sort_indices(keys, [("feature", "ascending"), ("sample", "ascending")]))


def fold_samples(rows: pa.Table) -> pa.Table:
    """Reduce sample rows, sorted by sample and then by age, to one row a sample: each column's last non-null value.

    The row has the last position. The others go to `folded`, because deletes must be able to name them after a merge.
    """
    ends = run_ends(rows["sample"])
    if len(ends) == rows.num_rows:
        return rows
    starts = np.concatenate([[0], ends[:-1]])
    columns: dict[str, pa.Array] = {}
    for name in rows.column_names:
        column = rows[name]
        if name in ("sample", *POSITION.names):
            columns[name] = column.take(pa.array(ends - 1))
        elif name == "folded":
            columns[name] = _folded(rows, starts, ends)
        else:
            valid = column.is_valid().to_numpy()
            last = np.maximum.accumulate(np.where(valid, np.arange(len(valid)), -1))[ends - 1]
            columns[name] = column.take(pa.array(np.maximum(last, 0), mask=last < starts))
    return pa.table(columns)


def _folded(rows: pa.Table, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.Array:
    """Return for each run the positions folded earlier and those of all its rows but the last, oldest first."""
    before = rows["folded"].combine_chunks()
    counts = np.array(pc.fill_null(pc.list_value_length(before), 0))
    own = np.setdiff1d(np.arange(rows.num_rows), ends - 1, assume_unique=True)
    positions = rows.select(POSITION.names).take(pa.array(own)).cast(POSITION).to_struct_array().combine_chunks()
    parents = np.concatenate([np.repeat(np.arange(rows.num_rows), counts), own])
    entries = pa.concat_arrays([before.flatten().cast(FOLDED.type.value_type), positions])
    counts[own] += 1
    sizes = np.add.reduceat(counts, starts)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    ordered = entries.take(pa.array(np.argsort(parents, kind="stable")))
    return pa.ListArray.from_arrays(offsets, ordered, type=FOLDED.type, mask=pa.array(sizes == 0))


def _stored_samples(rows: pa.Table, origin: str) -> pa.Table:
    fixed = conform(rows.select([n for n in rows.column_names if n in SAMPLES.names]), SAMPLES, "samples")
    user = [name for name in rows.column_names if name not in SAMPLES.names]
    schema = widen(pa.schema([]), pa.schema([rows.schema.field(name) for name in user]))
    columns = {name: fixed[name] for name in SAMPLES.names}
    # A column without any value has no type yet and is not written.
    columns |= {f.name: rows[f.name].cast(f.type) for f in schema if not pa.types.is_null(f.type)}
    positioned = _with_positions(pa.table(columns), origin)
    return fold_samples(sort_by_sample(positioned.append_column(FOLDED, pa.nulls(rows.num_rows, FOLDED.type))))


def _with_positions(rows: pa.Table, origin: str) -> pa.Table:
    if rows.schema.names[-2:] == POSITION.names:  # tombstones have the positions of the rows that they delete
        return rows
    return rows.append_column(POSITION.field(0), pa.repeat(origin, rows.num_rows)).append_column(
        POSITION.field(1), pa.array(np.arange(rows.num_rows))
    )


def _check_ids(rows: pa.Table, table: str) -> None:
    if rows.num_rows and pc.min(pc.binary_length(rows["sample"])).as_py() == 0:
        raise CatalogError(
            f"a row of {table} has the sample id ''; an id has at least one character", "name the sample"
        )


def _schema(table: str) -> pa.Schema:
    if table not in TABLES:
        raise SchemaConflict(f"there is no table {table!r}; there are {', '.join(TABLES)}", "name one of these")
    return TABLES[table]

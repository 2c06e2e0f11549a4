"""Rows files: one Parquet object holds the new rows of one table, laid out so that it is small and quickly searched.

Records and samples are cut into blocks of neighbouring samples, one row group each, so that a row group's least and
greatest id find the block of a sample. Inside a block record rows stand feature by feature, because then
neighbouring rows lie end to end in their segment and share all that a feature shares.
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
from lamofc_catalog.packing import PACKED, needed, pack, unpack
from lamofc_catalog.schemas import POSITION, RECORDS, SAMPLES, TABLES, conform, stored

BLOCK = 8192
"""Rows of a row group of records and samples: a lookup decodes one such block, about 3 ms."""

SORTED = ("records", "samples")
"""The tables whose files are in order of sample."""

FOLDED = pa.field("folded", pa.list_(pa.struct(list(POSITION))))
"""Positions of a sample's earlier rows that a merge has folded into this one; null where there are none."""

_FIGURES = ("sum", "sum_sq", "sse", "max_error", "signal", "bulk_sse", "encode_seconds", "layers.list.element.sse")
_DELTAS = ("record_shift", "item", "part", "offset", "length", "row", "layers.list.element.bytes")
_DICTIONARY = [name for name in PACKED.names if name not in (*_FIGURES, *_DELTAS, "sample", "source_hash", "layers")]


def write_rows(table: str, rows: pa.Table, path: str | os.PathLike[str], *, origin: str) -> int:
    """Write `rows` of `table` to `path`; returns the file's bytes.

    Row i gets the position (`origin`, i), by which `gone` names it for ever, whatever order the file keeps. All rows
    of one record come in one call, so that its bits can be shared out.
    """
    if table == "records":
        new = pack(conform(rows, RECORDS, table), origin)
    elif table == "samples":
        new = _samples(rows, origin)
    else:
        new = _positioned(conform(rows, _schema(table), table), origin)
    if table in SORTED:
        _check_ids(new, table)
    new = new.cast(stored(new.schema))
    with writer(table, new.schema, path) as file:
        for block in blocks(table, new):
            file.write_table(block, row_group_size=max(1, block.num_rows))
    return Path(path).stat().st_size


def read_rows(table: str, path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one file in their plain columns (all, or `columns`), in the file's order, gone ones too."""
    if table != "records":
        return pq.read_table(path, columns=None if columns is None else list(columns))
    names = None if columns is None else needed(list(columns))
    rows = unpack(pq.read_table(path, columns=names))
    return rows if columns is None else rows.select(list(columns))


def writer(table: str, schema: pa.Schema, path: str | os.PathLike[str]) -> pq.ParquetWriter:
    """A Parquet writer with the encodings of `table` for rows of `schema`, its stored form."""
    if table != "records":
        return pq.ParquetWriter(str(path), schema, compression="zstd", store_schema=True)
    leaves = [name for name in schema.names if name != "layers"]
    leaves += ["layers.list.element.bytes", "layers.list.element.sse"]
    encodings = dict.fromkeys(_FIGURES, "BYTE_STREAM_SPLIT") | dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED")
    encodings |= {"sample": "DELTA_BYTE_ARRAY", "source_hash": "PLAIN"}
    # A hash cannot be compressed: trying would only slow its reading.
    options: dict[str, Any] = {
        "compression": {leaf: "none" if leaf == "source_hash" else "zstd" for leaf in leaves},
        "use_dictionary": _DICTIONARY,
        "column_encoding": encodings,
        "write_statistics": ["sample", "feature"],
        "store_schema": False,
    }
    return pq.ParquetWriter(str(path), schema, **options)


def blocks(table: str, rows: pa.Table) -> list[pa.Table]:
    """Stored `rows` cut into the row groups of a file; of sorted tables, a sample stays in one."""
    if table not in SORTED or rows.num_rows == 0:
        return [rows]
    return [arranged(table, block) for block in cut(by_sample(rows))]


def by_sample(rows: pa.Table) -> pa.Table:
    """Rows in order of the samples' UTF-8 bytes; rows of one sample keep their order."""
    order = pc.sort_indices(rows["sample"])
    places = order.to_numpy()
    return rows if np.array_equal(places, np.arange(len(places))) else rows.take(order)


def cut(ordered: pa.Table) -> list[pa.Table]:
    """Rows in sample order cut into blocks of at most BLOCK rows; only a sample with more of them has more."""
    ends = run_ends(ordered["sample"])
    parts: list[pa.Table] = []
    start = 0
    while start < ordered.num_rows:
        fit = int(np.searchsorted(ends, start + BLOCK, side="right"))
        first = int(np.searchsorted(ends, start, side="right"))
        stop = int(ends[max(fit - 1, first)])
        parts.append(ordered.slice(start, stop - start))
        start = stop
    return parts


def run_ends(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The end (exclusive) of each run of equal neighbours."""
    array = column.combine_chunks()
    if len(array) == 0:
        return np.zeros(0, np.int64)
    changes = pc.not_equal(array.slice(1), array.slice(0, len(array) - 1)).to_numpy(zero_copy_only=False)
    return np.append(np.flatnonzero(changes) + 1, len(array))


def arranged(table: str, block: pa.Table) -> pa.Table:
    """The rows of one block as a row group keeps them."""
    if table != "records":
        return block
    keys = pa.table({name: block[name].cast(pa.string()) for name in ("feature", "sample")})
    return block.take(pc.sort_indices(keys, [("feature", "ascending"), ("sample", "ascending")]))


def fold(rows: pa.Table) -> pa.Table:
    """Sample rows in order of sample, then of age: one row for each sample, of each column the last that is not null.

    The row keeps the last position; the others go to `folded`, for a row must stay nameable after a merge.
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
    """For each run of rows: the positions folded before, and those of all its rows but the last, oldest first."""
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


def _samples(rows: pa.Table, origin: str) -> pa.Table:
    fixed = conform(rows.select([n for n in rows.column_names if n in SAMPLES.names]), SAMPLES, "samples")
    own = [name for name in rows.column_names if name not in SAMPLES.names]
    schema = widen(pa.schema([]), pa.schema([rows.schema.field(name) for name in own]))
    # A column without any value has no type yet, and none is kept.
    kept = [field for field in schema if not pa.types.is_null(field.type)]
    columns = {name: fixed[name] for name in SAMPLES.names}
    columns |= {field.name: rows[field.name].cast(field.type) for field in kept}
    positioned = _positioned(pa.table(columns), origin).append_column(FOLDED, pa.nulls(rows.num_rows, FOLDED.type))
    return fold(by_sample(positioned))


def _positioned(rows: pa.Table, origin: str) -> pa.Table:
    if rows.schema.names[-2:] == POSITION.names:  # the table of gone rows names positions itself
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

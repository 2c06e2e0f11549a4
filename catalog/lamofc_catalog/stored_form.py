"""The stored form of record rows, which takes fewer bits in Parquet than the plain columns, and the way back.

Differences: sums keep 16 bits after the leading one (relative error <= 7.7e-6), `encode_seconds` 8, weighted errors 6,
`max_error` 7, rounded up; `bulk_sse` is null where it equals `sse`; `overhead_bits` (stored less payload bits) replaces
`payload_bits`; `record_shift` (`record` less `row`) replaces `record`; `shape` becomes JSON text. Two columns are
added: `others_bits`, the bits of a shared record that belong to its other rows, and `dtype_bits`.
"""

from __future__ import annotations

import json
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog.schemas import LAYERS, POSITION, RECORDS, nullable

SUM_COLUMNS = ("sum", "sum_sq", "sse", "signal", "bulk_sse")
_FIGURES = (*SUM_COLUMNS, "max_error", "weighted_sse")
"""Columns that are float64 in files with a value beyond the range of float32."""
SUM_FRACTION_BITS = 16
MAX_ERROR_FRACTION_BITS = 7
SECONDS_FRACTION_BITS = 8
WEIGHTED_FRACTION_BITS = 6

STORED = nullable(
    pa.schema(
        [
            *(RECORDS.field(name) for name in ("sample", "feature", "segment")),
            pa.field("record_shift", pa.int64()),
            *(RECORDS.field(name) for name in ("item", "part", "offset", "length")),
            pa.field("others_bits", pa.int64(), False),
            pa.field("overhead_bits", pa.int64()),
            *(RECORDS.field(name) for name in ("layers", "weighted_layers")),
            pa.field("shape", pa.string()),
            pa.field("dtype", pa.string()),
            pa.field("dtype_bits", pa.int16()),
            *(RECORDS.field(name) for name in ("pattern", "grid", "codec", "quality", "profile", "source_hash")),
            RECORDS.field("elements"),
            *(pa.field(name, pa.float32()) for name in ("sum", "sum_sq", "sse", "max_error", "signal", "bulk_sse")),
            pa.field("weighted_sse", pa.float32()),
            *(RECORDS.field(name) for name in ("nats_per_error", "measured_kl")),
            pa.field("encode_seconds", pa.float32()),
            *POSITION,
        ]
    )
)
"""The stored form with float32 sums, which most files have."""

STORED_WIDE = pa.schema([field.with_type(pa.float64()) if field.name in _FIGURES else field for field in STORED])
"""The stored form of a file that has a sum or an error beyond the range of float32."""

_LEFT_OUT = "measured_kl"
"""A column that a file lacks where it is null throughout, as in most files."""

_FLOAT32_RANGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max) * 0.99

STORED_BITS = "stored_bits"
"""A row's share of its record's bits, headers counted. RECORDS lacks this column; `to_plain` computes it on request."""

_COMPUTED_FROM = {
    "record": ("record_shift", "row"),
    "bulk_sse": ("sse", "bulk_sse"),
    "payload_bits": ("length", "others_bits", "overhead_bits"),
    STORED_BITS: ("length", "others_bits"),
}
"""The stored columns from which a plain column is computed; every other plain column is stored under its own name."""


def to_stored(rows: pa.Table, origin: str) -> pa.Table:
    """Convert `rows` (schema RECORDS) to the stored form; row i gets the position (origin, i)."""
    bits_of_record = pc.multiply(rows["length"], 8)
    others = pa.chunked_array([pa.array(_others_bits(rows))])
    schema = STORED if _fits_float32(rows) else STORED_WIDE
    columns = {name: rows[name] for name in RECORDS.names if name not in ("shape", "payload_bits", "record")}
    columns["others_bits"] = others
    columns["overhead_bits"] = pc.subtract(pc.subtract(bits_of_record, others), rows["payload_bits"])
    columns["layers"] = _round_layers(rows["layers"].combine_chunks())
    columns["shape"] = _shape_text(rows["shape"].combine_chunks())
    bits: dict[str | None, object] = {name: dtype_bits(name) for name in pc.unique(rows["dtype"]).to_pylist()}
    columns["dtype_bits"] = _replace_texts(rows["dtype"], bits, pa.int16())
    for name in SUM_COLUMNS:
        columns[name] = _round_column(rows[name], SUM_FRACTION_BITS, up=False)
    columns["bulk_sse"] = pc.if_else(pc.equal(columns["sse"], columns["bulk_sse"]), None, columns["bulk_sse"])
    columns["weighted_sse"] = _round_column(rows["weighted_sse"], WEIGHTED_FRACTION_BITS, up=False)
    columns["weighted_layers"] = _round_lists(rows["weighted_layers"].combine_chunks())
    columns["encode_seconds"] = _round_column(rows["encode_seconds"], SECONDS_FRACTION_BITS, up=False)
    columns["max_error"] = _round_column(rows["max_error"], MAX_ERROR_FRACTION_BITS, up=True)
    columns["origin"] = pa.repeat(origin, rows.num_rows)
    columns["row"] = pa.array(np.arange(rows.num_rows))
    columns["record_shift"] = pc.subtract(rows["record"].cast(pa.int64()), columns["row"])
    stored = pa.table([columns[field.name] for field in schema], names=schema.names).cast(schema, safe=False)
    return stored if stored[_LEFT_OUT].null_count < len(stored) else stored.drop_columns([_LEFT_OUT])


def to_plain(rows: pa.Table, *, stored_bits: bool = False) -> pa.Table:
    """Convert stored rows, or some columns of them, to plain columns: those of RECORDS in order, then the position."""
    present = set(rows.column_names)
    columns: dict[str, pa.Array] = {}
    for field in [*RECORDS, *POSITION]:
        if not present.issuperset(_sources(field.name)):
            continue
        if field.name == "payload_bits":
            columns[field.name] = pc.subtract(_stored_bits(rows), rows["overhead_bits"])
        elif field.name == "record":
            columns[field.name] = pc.add(rows["record_shift"], rows["row"]).cast(field.type)
        elif field.name == "shape":
            columns[field.name] = _shape_lists(rows["shape"])
        elif field.name == "bulk_sse":
            columns[field.name] = pc.coalesce(rows["bulk_sse"], rows["sse"]).cast(pa.float64())
        else:
            columns[field.name] = rows[field.name].cast(field.type)
    if stored_bits:
        columns[STORED_BITS] = _stored_bits(rows)
    return pa.table(columns)


def stored_columns(columns: list[str]) -> list[str]:
    """List the stored columns from which `to_plain` computes the plain `columns`."""
    return list(dict.fromkeys(source for name in columns for source in _sources(name)))


def _sources(column: str) -> tuple[str, ...]:
    return _COMPUTED_FROM.get(column, (column,))


def _stored_bits(rows: pa.Table) -> pa.ChunkedArray:
    return pc.subtract(pc.multiply(rows["length"], 8), rows["others_bits"])


def dtype_bits(dtype: str | None) -> int | None:
    """Return the bits of one element of a torch or numpy dtype, by its name; None where the name has no number."""
    if dtype is None:
        return None
    if dtype == "bool":
        return 8
    match = re.match(r"(?:torch\.)?[a-z]+(\d+)", dtype)
    return int(match[1]) if match else None


def round_values(values: npt.ArrayLike, fraction_bits: int, *, up: bool) -> npt.NDArray[np.float64]:
    """Round `values` to `fraction_bits` bits after the leading one: to the nearest, or upwards."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    scale = 2.0 ** (fraction_bits + 1)
    return np.ldexp((np.ceil if up else np.rint)(mantissa * scale) / scale, exponent)


def _round_column(column: pa.ChunkedArray, fraction_bits: int, *, up: bool) -> pa.Array:
    array = column.combine_chunks()
    rounded = round_values(pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False), fraction_bits, up=up)
    return pa.array(rounded, mask=array.is_null().to_numpy(zero_copy_only=False))


def _fits_float32(rows: pa.Table) -> bool:
    """Return whether float32 holds every sum and error: none overflows, none is subnormal and would lose bits."""
    smallest, largest = _FLOAT32_RANGE
    for name in _FIGURES:
        values = np.abs(pc.fill_null(rows[name], 0.0).to_numpy())
        with np.errstate(invalid="ignore"):
            if np.any((values != 0) & np.isfinite(values) & ((values < smallest) | (values > largest))):
                return False
    return True


def _others_bits(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Return the bits of each row's record that belong to its other rows.

    A record's bits are divided among its rows by elements, and rounded so that the shares add up exactly.
    """
    count = rows.num_rows
    if count == 0:
        return np.zeros(0, np.int64)
    segment = rows["segment"].combine_chunks().dictionary_encode().indices.to_numpy()
    record = rows["record"].to_numpy()
    order = np.lexsort((rows["part"].to_numpy(), rows["item"].to_numpy(), record, segment))
    new = np.ones(count, bool)
    new[1:] = (np.diff(segment[order]) != 0) | (np.diff(record[order]) != 0)
    if new.all():
        return np.zeros(count, np.int64)
    first = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    bits = 8 * rows["length"].to_numpy()[order]
    weight = np.maximum(rows["elements"].to_numpy()[order], 0).astype(np.float64)
    cumulative = np.cumsum(weight)
    before = (cumulative - weight)[first][group]
    total = np.add.reduceat(weight, first)[group]
    # Rows of a record without elements share its bits evenly.
    index = np.arange(count) - first[group]
    size = np.diff(np.append(first, count))[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        high = np.where(total > 0, (cumulative - before) / total, (index + 1) / size)
        low = np.where(total > 0, (cumulative - weight - before) / total, index / size)
    share = np.rint(high * bits).astype(np.int64) - np.rint(low * bits).astype(np.int64)
    others = np.empty(count, np.int64)
    others[order] = bits - share
    return others


def _round_layers(layers: pa.ListArray) -> pa.ListArray:
    flat = layers.flatten()
    if len(flat) == 0:
        return layers
    sse = round_values(flat.field("sse").to_numpy(zero_copy_only=False), SUM_FRACTION_BITS, up=False).astype(np.float32)
    values = pa.StructArray.from_arrays([flat.field("bytes"), pa.array(sse)], fields=list(LAYERS.value_type))
    return _lists_like(layers, values)


def _round_lists(lists: pa.ListArray) -> pa.ListArray:
    flat = lists.flatten()
    if len(flat) == 0:
        return lists
    rounded = round_values(flat.to_numpy(zero_copy_only=False), WEIGHTED_FRACTION_BITS, up=False)
    return _lists_like(lists, pa.array(rounded.astype(np.float32)))


def _lists_like(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """Return lists of the same lengths, null in the same places, of other values."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values, type=lists.type, mask=lists.is_null())


def _shape_text(shapes: pa.ListArray) -> pa.Array:
    numbers = pc.binary_join(shapes.cast(pa.list_(pa.string())), ", ")
    return pc.binary_join_element_wise("[", numbers, "]", "")


def _shape_lists(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    shapes = {text: None if text is None else json.loads(text) for text in pc.unique(texts).to_pylist()}
    return _replace_texts(texts, shapes, RECORDS.field("shape").type)


def _replace_texts(column: pa.ChunkedArray, values: dict[str | None, object], type_: pa.DataType) -> pa.ChunkedArray:
    """Replace each text of `column` by its entry of `values`, which has one entry for each distinct text."""
    keys = [key for key in values if key is not None]
    index = pc.index_in(column.cast(pa.string()), value_set=pa.array(keys, pa.string()))
    return pa.chunked_array([pa.array([values[key] for key in keys], type_)]).take(index)

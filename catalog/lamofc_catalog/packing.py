"""Record rows as they lie in Parquet: fewer bits than their plain columns, and the way back.

What changes: sums keep 16 binary places (relative error <= 7.7e-6), `encode_seconds` 8, `max_error` 7, rounded up;
`bulk_sse` is null where it equals `sse`; `payload_bits` becomes its small difference to the bits stored, and `record`
that to `row`; `shape` becomes JSON text. Two columns are added: `others_bits`, the bits of a shared record that belong
to its other rows, and `dtype_bits`.
"""

from __future__ import annotations

import json
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog.schemas import LAYERS, POSITION, RECORDS, stored

SUMS = ("sum", "sum_sq", "sse", "signal", "bulk_sse")
PLACES = 16
ERROR_PLACES = 7
SECONDS_PLACES = 8

PACKED = stored(
    pa.schema(
        [
            *(RECORDS.field(name) for name in ("sample", "feature", "segment")),
            pa.field("record_shift", pa.int64()),
            *(RECORDS.field(name) for name in ("item", "part", "offset", "length")),
            pa.field("others_bits", pa.int64(), False),
            pa.field("overhead_bits", pa.int64()),
            pa.field("layers", LAYERS),
            pa.field("shape", pa.string()),
            pa.field("dtype", pa.string()),
            pa.field("dtype_bits", pa.int16()),
            *(RECORDS.field(name) for name in ("pattern", "grid", "codec", "quality", "profile", "source_hash")),
            RECORDS.field("elements"),
            *(pa.field(name, pa.float32()) for name in ("sum", "sum_sq", "sse", "max_error", "signal", "bulk_sse")),
            pa.field("encode_seconds", pa.float32()),
            *POSITION,
        ]
    )
)
"""The stored form; a file whose figures leave float32's range has float64 in the six figure columns instead."""

WIDE = pa.schema([pa.field(f.name, pa.float64()) if f.name in (*SUMS, "max_error") else f for f in PACKED])

_TINY, _HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max) * 0.99


def pack(rows: pa.Table, origin: str) -> pa.Table:
    """`rows` (schema RECORDS) in stored form; row i is given the position (origin, i)."""
    bits_of_record = pc.multiply(rows["length"], 8)
    others = pa.chunked_array([pa.array(_others_bits(rows))])
    schema = PACKED if _narrow(rows) else WIDE
    columns = {name: rows[name] for name in RECORDS.names if name not in ("shape", "payload_bits", "record")}
    columns["others_bits"] = others
    columns["overhead_bits"] = pc.subtract(pc.subtract(bits_of_record, others), rows["payload_bits"])
    columns["layers"] = _round_layers(rows["layers"].combine_chunks())
    columns["shape"] = _shape_text(rows["shape"].combine_chunks())
    bits: dict[str | None, object] = {name: dtype_bits(name) for name in pc.unique(rows["dtype"]).to_pylist()}
    columns["dtype_bits"] = _mapped(rows["dtype"], bits, pa.int16())
    for name in SUMS:
        columns[name] = _round_column(rows[name], PLACES, up=False)
    columns["bulk_sse"] = pc.if_else(pc.equal(columns["sse"], columns["bulk_sse"]), None, columns["bulk_sse"])
    columns["encode_seconds"] = _round_column(rows["encode_seconds"], SECONDS_PLACES, up=False)
    columns["max_error"] = _round_column(rows["max_error"], ERROR_PLACES, up=True)
    columns["origin"] = pa.repeat(origin, rows.num_rows)
    columns["row"] = pa.array(np.arange(rows.num_rows))
    columns["record_shift"] = pc.subtract(rows["record"].cast(pa.int64()), columns["row"])
    return pa.table([columns[field.name] for field in schema], names=schema.names).cast(schema, safe=False)


STORED_BITS = "stored_bits"
"""What a row answers for of its record, headers counted; no column of RECORDS, but made from them on request."""


def unpack(packed: pa.Table, *, stored_bits: bool = False) -> pa.Table:
    """Stored rows, or some columns of them, in their plain columns, in RECORDS' order and then the position."""
    have = set(packed.column_names)
    columns: dict[str, pa.Array] = {}
    for field in [*RECORDS, *POSITION]:
        if field.name == "payload_bits":
            if {"length", "others_bits", "overhead_bits"} <= have:
                bits = pc.subtract(pc.multiply(packed["length"], 8), packed["others_bits"])
                columns[field.name] = pc.subtract(bits, packed["overhead_bits"])
        elif field.name == "record":
            if {"record_shift", "row"} <= have:
                columns[field.name] = pc.add(packed["record_shift"], packed["row"]).cast(field.type)
        elif field.name == "shape" and "shape" in have:
            columns[field.name] = _shape_lists(packed["shape"])
        elif field.name == "bulk_sse" and {"sse", "bulk_sse"} <= have:
            columns[field.name] = pc.coalesce(packed["bulk_sse"], packed["sse"]).cast(pa.float64())
        elif field.name in have:
            columns[field.name] = packed[field.name].cast(field.type)
    if stored_bits:
        columns[STORED_BITS] = pc.subtract(pc.multiply(packed["length"], 8), packed["others_bits"])
    return pa.table(columns)


def needed(columns: list[str]) -> list[str]:
    """The stored columns from which `unpack` makes the plain `columns`."""
    names: dict[str, None] = {}
    for name in columns:
        if name == STORED_BITS:
            names |= dict.fromkeys(["length", "others_bits"])
        elif name == "payload_bits":
            names |= dict.fromkeys(["length", "others_bits", "overhead_bits"])
        elif name == "record":
            names |= dict.fromkeys(["record_shift", "row"])
        elif name == "bulk_sse":
            names |= dict.fromkeys(["sse", "bulk_sse"])
        else:
            names[name] = None
    return list(names)


def dtype_bits(dtype: str | None) -> int | None:
    """Bits of one element of a torch or numpy dtype by its name; None where the name tells none."""
    if dtype is None:
        return None
    if dtype == "bool":
        return 8
    match = re.match(r"(?:torch\.)?[a-z]+(\d+)", dtype)
    return int(match[1]) if match else None


def round_figures(values: npt.ArrayLike, places: int, *, up: bool) -> npt.NDArray[np.float64]:
    """`values` with `places` binary places after the leading one: to nearest, or up to the next (magnitudes)."""
    mantissa, exponent = np.frexp(np.asarray(values, np.float64))
    scale = 2.0 ** (places + 1)
    return np.ldexp((np.ceil if up else np.rint)(mantissa * scale) / scale, exponent)


def _round_column(column: pa.ChunkedArray, places: int, *, up: bool) -> pa.Array:
    array = column.combine_chunks()
    figures = round_figures(pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False), places, up=up)
    return pa.array(figures, mask=array.is_null().to_numpy(zero_copy_only=False))


def _narrow(rows: pa.Table) -> bool:
    """Whether float32 holds every figure: none too large for it, none so small that places would be lost."""
    for name in (*SUMS, "max_error"):
        figures = np.abs(pc.fill_null(rows[name], 0.0).to_numpy())
        with np.errstate(invalid="ignore"):
            if np.any((figures != 0) & np.isfinite(figures) & ((figures < _TINY) | (figures > _HUGE))):
                return False
    return True


def _others_bits(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Bits of each row's record that its other rows answer for, shared out by elements so that they add up exactly."""
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
    upto = np.cumsum(weight)
    before = (upto - weight)[first][group]
    total = np.add.reduceat(weight, first)[group]
    even = np.arange(count) - first[group]
    size = np.diff(np.append(first, count))[group]
    with np.errstate(invalid="ignore", divide="ignore"):
        high = np.where(total > 0, (upto - before) / total, (even + 1) / size)
        low = np.where(total > 0, (upto - weight - before) / total, even / size)
    share = np.rint(high * bits).astype(np.int64) - np.rint(low * bits).astype(np.int64)
    others = np.empty(count, np.int64)
    others[order] = bits - share
    return others


def _round_layers(layers: pa.ListArray) -> pa.ListArray:
    flat = layers.flatten()
    if len(flat) == 0:
        return layers
    sse = round_figures(flat.field("sse").to_numpy(zero_copy_only=False), PLACES, up=False).astype(np.float32)
    values = pa.StructArray.from_arrays([flat.field("bytes"), pa.array(sse)], fields=list(LAYERS.value_type))
    lengths = pc.fill_null(pc.list_value_length(layers), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, values, type=LAYERS, mask=layers.is_null())


def _shape_text(shapes: pa.ListArray) -> pa.Array:
    numbers = pc.binary_join(shapes.cast(pa.list_(pa.string())), ", ")
    return pc.binary_join_element_wise("[", numbers, "]", "")


def _shape_lists(text: pa.ChunkedArray) -> pa.ChunkedArray:
    lists = {value: None if value is None else json.loads(value) for value in pc.unique(text).to_pylist()}
    return _mapped(text, lists, RECORDS.field("shape").type)


def _mapped(column: pa.ChunkedArray, values: dict[str | None, object], kind: pa.DataType) -> pa.ChunkedArray:
    """Each text of `column` replaced by its entry of `values`, worked out once for each distinct text."""
    keys = [key for key in values if key is not None]
    index = pc.index_in(column.cast(pa.string()), value_set=pa.array(keys, pa.string()))
    return pa.chunked_array([pa.array([values[key] for key in keys], kind)]).take(index)

"""The tables of the catalog as Arrow schemas: the plain columns that `write_rows` takes and lookups return.

`catalog/README.md` gives the meaning and the unit of every column; a test compares the two.
"""

from __future__ import annotations

import pyarrow as pa

from lamofc_catalog.errors import SchemaConflict

TIME = pa.timestamp("us")
"""Points in time are UTC without a zone, so that DuckDB needs no extension to read them."""

LAYERS = pa.list_(pa.struct([pa.field("bytes", pa.int32()), pa.field("sse", pa.float32())]))

POSITION = pa.schema([pa.field("origin", pa.string()), pa.field("row", pa.int64())])
"""The place where a row was first written: the rows object's ulid and the row's number in it. Merges keep it."""

RECORDS = pa.schema(
    [
        pa.field("sample", pa.string(), False),
        pa.field("feature", pa.string(), False),
        pa.field("segment", pa.string(), False),
        pa.field("record", pa.int32(), False),
        pa.field("item", pa.int32(), False),
        pa.field("part", pa.int16(), False),
        pa.field("offset", pa.int64(), False),
        pa.field("length", pa.int64(), False),
        pa.field("layers", LAYERS),
        pa.field("weighted_layers", pa.list_(pa.float32())),
        pa.field("shape", pa.list_(pa.int32())),
        pa.field("dtype", pa.string()),
        pa.field("pattern", pa.string()),
        pa.field("grid", pa.string()),
        pa.field("codec", pa.string()),
        pa.field("quality", pa.string()),
        pa.field("profile", pa.string()),
        pa.field("source_hash", pa.uint64()),
        pa.field("elements", pa.int64(), False),
        pa.field("sum", pa.float64()),
        pa.field("sum_sq", pa.float64()),
        pa.field("sse", pa.float64()),
        pa.field("max_error", pa.float64()),
        pa.field("signal", pa.float64()),
        pa.field("bulk_sse", pa.float64()),
        pa.field("weighted_sse", pa.float64()),
        pa.field("nats_per_error", pa.float64()),
        pa.field("measured_kl", pa.float64()),
        pa.field("payload_bits", pa.int64()),
        pa.field("encode_seconds", pa.float64()),
    ]
)

SAMPLES = pa.schema([pa.field("sample", pa.string(), False), pa.field("structure", pa.string())])
"""The fixed columns; the user's own follow them."""

TOMBSTONES = pa.schema(
    [
        pa.field("table", pa.string(), False),
        pa.field("origin", pa.string(), False),
        pa.field("row", pa.int64(), False),
    ]
)

METRICS = pa.schema(
    [
        pa.field("run", pa.string(), False),
        pa.field("feature", pa.string()),
        pa.field("name", pa.string(), False),
        pa.field("value", pa.float64()),
        pa.field("step", pa.int64()),
    ]
)

RUNS = pa.schema(
    [
        pa.field("run", pa.string(), False),
        pa.field("kind", pa.string()),
        pa.field("name", pa.string()),
        pa.field("config", pa.string()),
        pa.field("started", TIME),
        pa.field("seconds", pa.float64()),
    ]
)

SKIPPED = pa.schema(
    [
        pa.field("sample", pa.string(), False),
        pa.field("feature", pa.string()),
        pa.field("source", pa.string()),
        pa.field("error", pa.string()),
        pa.field("message", pa.string()),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "records": RECORDS,
    "samples": SAMPLES,
    "gone": TOMBSTONES,
    "metrics": METRICS,
    "runs": RUNS,
    "skipped": SKIPPED,
}
"""The tables that are stored in rows files, by their names on disk. `gone` holds the tombstones."""

PROFILES = pa.schema(
    [
        pa.field("profile", pa.string(), False),
        pa.field("codec", pa.string()),
        pa.field("features", pa.list_(pa.string())),
        pa.field("bytes", pa.int64()),
        pa.field("commit", pa.int64()),
        pa.field("quality", pa.string()),
        pa.field("config", pa.string()),
    ]
)

CONFIGS = pa.schema([pa.field("profile", pa.string(), False), pa.field("config", pa.string())])
"""Configurations of profiles that PROFILES leaves out."""

COMMITS = pa.schema(
    [
        pa.field("n", pa.int64(), False),
        pa.field("time", TIME),
        pa.field("verb", pa.string()),
        pa.field("writer", pa.string()),
        pa.field("adds", pa.int64()),
        pa.field("drops", pa.int64()),
        pa.field("records", pa.int64()),
        pa.field("samples", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("profiles", pa.list_(pa.string())),
    ]
)

COMPUTED = ("stored_bits", "raw_bytes", "bpfp", "ebpfp", "mse", "snr_db", "snr_total_db", "expected_kl")
"""Columns that the view `records` computes and no file stores."""

RESERVED = frozenset([*RECORDS.names, *SAMPLES.names, *POSITION.names, "folded", *COMPUTED])
"""Names that a user's column may not have: a join of samples and records would then hold two columns of one name."""


def nullable(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with nullable fields, as in files: nulls are checked for once, when rows come in."""
    return pa.schema([field.with_nullable(True) for field in schema])


def conform(rows: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """Return `rows` with exactly the columns and types of `schema`; absent nullable columns become null.

    `name` is the table's name, for messages.
    """
    unknown = [column for column in rows.column_names if column not in schema.names]
    if unknown:
        raise SchemaConflict(
            f"table {name} has no column {unknown[0]!r}; it has {', '.join(schema.names)}",
            f"drop the column {unknown[0]!r} from the rows",
        )
    return pa.table([_column(rows, field, name) for field in schema], schema=schema)


def _column(rows: pa.Table, field: pa.Field, name: str) -> pa.ChunkedArray:
    if field.name not in rows.column_names:
        if not field.nullable:
            raise SchemaConflict(
                f"rows for {name} lack the column {field.name!r}", f"give {field.name} as {field.type}"
            )
        return pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
    column = rows[field.name]
    if not field.nullable and column.null_count:
        raise SchemaConflict(
            f"column {field.name!r} of {name} holds {column.null_count} nulls and may hold none",
            f"give every row a {field.name}",
        )
    try:
        return _cast(column, field.type)
    except pa.ArrowException as error:
        raise SchemaConflict(
            f"column {field.name!r} of {name} is {column.type}, expected {field.type}: {error}",
            f"give {field.name} as {field.type}",
        ) from error


def _cast(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    if column.type == to:
        return column
    if to == TIME and (pa.types.is_string(column.type) or column.type == pa.timestamp("us", "UTC")):
        return column.cast(pa.timestamp("us", "UTC")).cast(TIME)
    if to == pa.string() and not _is_text(column.type):
        raise pa.ArrowTypeError("other values do not become text")
    return column.cast(to)


def _is_text(type_: pa.DataType) -> bool:
    values = type_.value_type if pa.types.is_dictionary(type_) else type_
    return bool(pa.types.is_null(values)) or str(values) in ("string", "large_string", "string_view")

"""The user's sample columns: one schema for the whole store, widened without loss or refused."""

from __future__ import annotations

import pyarrow as pa

from lamofc_catalog.errors import SchemaConflict
from lamofc_catalog.schemas import RESERVED

# Widest whole number (in bits, sign aside) that a float type holds exactly.
_EXACT = ((11, pa.float16()), (24, pa.float32()), (53, pa.float64()))
_SIGNED = ((7, pa.int8()), (15, pa.int16()), (31, pa.int32()), (63, pa.int64()))


def widen(columns: pa.Schema, new: pa.Schema) -> pa.Schema:
    """The smallest schema that holds both without loss: `columns` first, then what `new` adds.

    Whole numbers widen to wider ones, and to floats only where every value stays exact (int32 and float32 become
    float64; int64 and a float do not meet). Nothing ever becomes text. Raises `SchemaConflict`.
    """
    merged: dict[str, pa.Field] = {}
    for field in [*columns, *new]:
        _check_name(field.name)
        key = field.name.lower()
        known = merged.get(key)
        if known is None:
            merged[key] = pa.field(field.name, _plain(field.type))
        elif known.name != field.name:
            raise SchemaConflict(
                f"columns {known.name!r} and {field.name!r} differ only in case",
                f"rename {field.name!r} to {known.name!r} if they mean the same, else to another name",
            )
        else:
            merged[key] = pa.field(field.name, _wider(field.name, known.type, _plain(field.type)))
    return pa.schema(list(merged.values()))


def _check_name(name: str) -> None:
    if not name or "\x00" in name:
        raise SchemaConflict(f"a column is named {name!r}; a name needs at least one character and no NUL", "name it")
    if name.lower() in RESERVED:
        raise SchemaConflict(
            f"column {name!r}: the catalog itself has a column of this name",
            f"rename it in your table, for instance to {'my_' + name!r}",
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Encodings of one kind of value are one type: dictionaries and large or view strings are strings."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or str(kind) == "string_view":
        return pa.string()
    if pa.types.is_large_binary(kind) or str(kind) == "binary_view":
        return pa.binary()
    return kind


def _wider(name: str, old: pa.DataType, new: pa.DataType) -> pa.DataType:
    if old == new or pa.types.is_null(new):
        return old
    if pa.types.is_null(old):
        return new
    wide = _wider_number(old, new)
    if wide is None:
        raise SchemaConflict(
            f"column {name!r} is {old} in the store and {new} in these rows; no type holds both without loss",
            f"cast {name!r} to {old} in your table, or give it another name",
        )
    return wide


def _wider_number(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (old, new)):
        return None
    if pa.types.is_integer(old) and pa.types.is_integer(new):
        if pa.types.is_signed_integer(old) == pa.types.is_signed_integer(new):
            return max(old, new, key=lambda kind: kind.bit_width)
        return _first(_SIGNED, max(_digits(old), _digits(new)))
    return _first(_EXACT, max(_digits(old), _digits(new)))


def _digits(kind: pa.DataType) -> int:
    """Binary digits of the largest whole number range that `kind` holds, sign aside."""
    if pa.types.is_floating(kind):
        return {16: 11, 32: 24, 64: 53}[kind.bit_width]
    return int(kind.bit_width) - int(pa.types.is_signed_integer(kind))


def _first(ladder: tuple[tuple[int, pa.DataType], ...], digits: int) -> pa.DataType | None:
    return next((kind for limit, kind in ladder if limit >= digits), None)

"""The user's sample columns: one schema for the whole store, widened without loss or refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pyarrow as pa

from lamofc_catalog.errors import SchemaConflict
from lamofc_catalog.schemas import RESERVED

# (bits, type): the widest integer, without its sign, that each floating type holds exactly; likewise for integer types.
_FLOATS = ((24, pa.float32()), (53, pa.float64()))
_SIGNED = ((7, pa.int8()), (15, pa.int16()), (31, pa.int32()), (63, pa.int64()))

_OTHER_TYPES = ("null", "bool", "string", "binary", "date32", "date64", "time32", "time64", "timestamp")
_ALLOWED = "texts, numbers, booleans, bytes, dates and times"


def widen(columns: pa.Schema, new: pa.Schema) -> pa.Schema:
    """Return the smallest schema that holds both without loss: `columns` first, then those that `new` adds.

    Integers widen to wider ones, and to floating types only where every value stays exact (int32 and float32 become
    float64; int64 and a floating type have no common type). Nothing ever becomes text. float16 becomes float32, which
    SQL knows, and times with a zone become times in UTC. Raises `SchemaConflict`, also where a column of `new` holds
    lists, dicts or other values that are not flat.
    """
    for field in new:
        _check_type(field.name, _plain_type(field.type))
        if field.name not in columns.names:
            _check_not_reserved(field.name)
    return common_schema([columns, new])


def common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the smallest schema that holds all of `schemas` without loss; as `widen`, with types of any kind."""
    merged: dict[str, pa.Field] = {}
    for field in chain.from_iterable(schemas):
        _check_name(field.name)
        plain = _plain_type(field.type)
        key = field.name.lower()
        earlier = merged.get(key)
        if earlier is None:
            merged[key] = pa.field(field.name, plain)
        elif earlier.name != field.name:
            raise SchemaConflict(
                f"columns {earlier.name!r} and {field.name!r} differ only in case",
                f"rename {field.name!r} to {earlier.name!r} if they mean the same, else to another name",
            )
        else:
            merged[key] = pa.field(field.name, _common_type(field.name, earlier.type, plain))
    return pa.schema(list(merged.values()))


def _check_name(name: str) -> None:
    if not name or "\x00" in name:
        raise SchemaConflict(f"a column is named {name!r}; a name needs at least one character and no NUL", "name it")


def _check_not_reserved(name: str) -> None:
    if name.lower() in RESERVED:
        raise SchemaConflict(
            f"column {name!r}: the catalog itself has a column of this name",
            f"rename it in your table, for instance to {'my_' + name!r}",
        )


def _check_type(name: str, type_: pa.DataType) -> None:
    if not (_is_number(type_) or str(type_).partition("[")[0] in _OTHER_TYPES):
        raise SchemaConflict(
            f"column {name!r} holds values of type {type_}; a column may hold {_ALLOWED}",
            f"cast {name!r} to one of these: a list or a dict to JSON text, a duration to seconds",
        )


def _plain_type(type_: pa.DataType) -> pa.DataType:
    """Return the one type of the store for all Arrow encodings of a kind of value."""
    if pa.types.is_dictionary(type_):
        return _plain_type(type_.value_type)
    if pa.types.is_large_string(type_) or str(type_) == "string_view":
        return pa.string()
    if pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_) or str(type_) == "binary_view":
        return pa.binary()
    if pa.types.is_float16(type_):
        return pa.float32()
    if pa.types.is_timestamp(type_):
        return pa.timestamp(type_.unit)
    return type_


def _is_number(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def _common_type(name: str, old: pa.DataType, new: pa.DataType) -> pa.DataType:
    if old == new or pa.types.is_null(new):
        return old
    if pa.types.is_null(old):
        return new
    common = _common_number(old, new)
    if common is None:
        raise SchemaConflict(
            f"column {name!r} is {old} in the store and {new} in these rows; no type holds both without loss",
            f"cast {name!r} to {old} in your table, or give it another name",
        )
    return common


def _common_number(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    if not (_is_number(old) and _is_number(new)):
        return None
    if pa.types.is_integer(old) and pa.types.is_integer(new):
        if pa.types.is_signed_integer(old) == pa.types.is_signed_integer(new):
            return max(old, new, key=lambda type_: type_.bit_width)
        return _smallest(_SIGNED, max(_integer_bits(old), _integer_bits(new)))
    return _smallest(_FLOATS, max(_integer_bits(old), _integer_bits(new)))


def _integer_bits(type_: pa.DataType) -> int:
    """Bits, without the sign, of the widest integer that `type_` holds exactly."""
    if pa.types.is_floating(type_):
        return {32: 24, 64: 53}[type_.bit_width]
    return int(type_.bit_width) - int(pa.types.is_signed_integer(type_))


def _smallest(types: tuple[tuple[int, pa.DataType], ...], bits: int) -> pa.DataType | None:
    return next((type_ for limit, type_ in types if limit >= bits), None)

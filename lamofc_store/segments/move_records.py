"""Moving live records into another segment, without the samples that were forgotten."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.reading import RecordLocations, fetch_records
from lamofc_store.segments.writer import SegmentWriter, Slot, Stream
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Profile

_READ_COLUMNS = ("feature", "pattern", "profile", "sample", "item", "elements", "layers", "length", "payload_bits")
_REWRITTEN_COLUMNS = ("item", "layers", "length", "payload_bits")

MovedRecords = tuple["pa.Table", list[Slot]]
"""Record rows as they are after the move, and the slot of each row's record."""


def move(storage: Storage, profiles: "Mapping[str, Profile]", writer: SegmentWriter, rows: "pa.Table") -> MovedRecords:
    """Copy the records of some rows into an open segment; rows of one record must be adjacent.

    A record that holds forgotten samples is reduced to the live ones.
    """
    from lamofc_codecs import inspect, keep

    first_rows = np.flatnonzero(np.diff(rows["record"].to_numpy(), prepend=-1))
    packed = fetch_records(storage, RecordLocations.from_rows(rows.take(first_rows)))
    columns = {name: rows[name].to_pylist() for name in _READ_COLUMNS}
    slots: list[Slot] = []
    reduced = False
    for number, members in enumerate(np.split(np.arange(rows.num_rows), first_rows[1:])):
        data, items = packed[number], sorted({columns["item"][row] for row in members})
        profile = columns["profile"][members[0]]
        if inspect(data).items > len(items):
            data, reduced = memoryview(keep(data, profiles[profile], items)), True
            _update_reduced(columns, members.tolist(), data, items)
        samples = list(
            dict.fromkeys(columns["sample"][row] for row in sorted(members, key=columns["item"].__getitem__))
        )
        features, patterns = ([columns[name][row] for row in members] for name in ("feature", "pattern"))
        slots += [writer.add(Stream.of(features, patterns, profile, samples), samples, data)] * len(members)
    if reduced:
        rows = replace_columns(rows, {name: columns[name] for name in _REWRITTEN_COLUMNS})
    return rows, slots


def replace_columns(rows: "pa.Table", columns: Mapping[str, Sequence[Any]]) -> "pa.Table":
    """Replace the values of some columns; their types stay."""
    import pyarrow as pa

    for name, values in columns.items():
        index = rows.schema.get_field_index(name)
        field = rows.schema.field(index)
        rows = rows.set_column(index, field, pa.array(values, field.type))
    return rows


def _update_reduced(
    columns: dict[str, list[Any]], members: Sequence[int], data: memoryview, items: Sequence[int]
) -> None:
    """Update the rows of a record that was reduced to some of its items."""
    from lamofc_codecs import inspect

    header, total = inspect(data), sum(columns["elements"][row] for row in members)
    for row in members:
        columns["item"][row] = items.index(columns["item"][row])
        columns["length"][row] = len(data)
        columns["payload_bits"][row] = header.payload_bits * columns["elements"][row] // max(total, 1)
        if columns["layers"][row] is not None:
            sizes = header.layer_bytes()
            columns["layers"][row] = [
                {"bytes": size, "sse": layer["sse"]} for size, layer in zip(sizes, columns["layers"][row], strict=True)
            ]

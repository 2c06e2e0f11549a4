"""Records on their way into another segment: what is gone of them stays behind."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.reading import RecordLocations, fetch_records
from lamofc_store.segments.writer import SegmentWriter, Stream
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Profile

_TOLD = ("feature", "pattern", "profile", "sample", "item", "elements", "layers", "length", "payload_bits")
_CHANGED = ("item", "layers", "length", "payload_bits")

Taken = tuple["pa.Table", list[tuple[Stream, int]]]
"""Record rows as they are now, and where the record of each went."""


def move(storage: Storage, profiles: "Mapping[str, Profile]", writer: SegmentWriter, rows: "pa.Table") -> Taken:
    """Copy the records of some rows, those of one record side by side.

    Of a record of which some samples are gone, those that are left are kept, and nothing else.
    """
    from lamofc_codecs import inspect, keep

    first = np.flatnonzero(np.diff(rows["record"].to_numpy(), prepend=-1))
    packed = fetch_records(storage, RecordLocations.from_rows(rows.take(first)))
    told = {name: rows[name].to_pylist() for name in _TOLD}
    places: list[tuple[Stream, int]] = []
    fewer = False
    for number, mine in enumerate(np.split(np.arange(rows.num_rows), first[1:])):
        data, items = packed[number], sorted({told["item"][row] for row in mine})
        held = inspect(data).items
        if held > len(items):
            data, fewer = memoryview(keep(data, profiles[told["profile"][mine[0]]], items)), True
            _retell(told, mine.tolist(), data, items)
        samples = list(dict.fromkeys(told["sample"][row] for row in sorted(mine, key=told["item"].__getitem__)))
        features, patterns = ([told[name][row] for row in mine] for name in ("feature", "pattern"))
        stream = Stream.of(features, patterns, told["profile"][mine[0]], samples)
        places += [writer.add(stream, samples, data)] * len(mine)
    return retold(rows, {name: told[name] for name in _CHANGED}) if fewer else rows, places


def retold(rows: "pa.Table", columns: Mapping[str, Sequence[Any]]) -> "pa.Table":
    """Rows with other values in some columns, of the same types."""
    import pyarrow as pa

    for name, values in columns.items():
        at = rows.schema.get_field_index(name)
        rows = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
    return rows


def _retell(told: dict[str, list[Any]], mine: Sequence[int], data: memoryview, items: Sequence[int]) -> None:
    """What the rows of a record tell once it holds only some of its items."""
    from lamofc_codecs import inspect

    header, total = inspect(data), sum(told["elements"][row] for row in mine)
    for row in mine:
        told["item"][row] = items.index(told["item"][row])
        told["length"][row] = len(data)
        told["payload_bits"][row] = header.payload_bits * told["elements"][row] // max(total, 1)
        if told["layers"][row] is not None:
            sizes = header.layer_bytes()
            told["layers"][row] = [
                {"bytes": size, "sse": layer["sse"]} for size, layer in zip(sizes, told["layers"][row], strict=True)
            ]

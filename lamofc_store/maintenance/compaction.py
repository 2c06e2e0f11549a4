"""Moving live records out of segments that are mostly dead, or small, into new ones; no value changes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from lamofc_store.commits import Change, RowsEntry, SegmentEntry, Snapshot, catalog_tables, changes, log, row_objects
from lamofc_store.errors import BadArgument, Expired
from lamofc_store.ingest import CLOSE_RECORDS
from lamofc_store.segments import MovedRecords, SegmentWriter, move, replace_columns
from lamofc_store.storage import paths

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_store.session import Session


CLOSE_BYTES = 256 << 20
_BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did."""

    segments: int
    """Segments that were emptied."""
    written: int
    records: int
    """Features of samples."""
    bytes_before: int
    bytes_after: int
    commit: int


@dataclass(frozen=True, slots=True)
class _Moved:
    """One new segment and where its rows came from."""

    entry: SegmentEntry
    rows: RowsEntry
    origins: tuple[tuple[str, int], ...]
    """The old position of each new row."""


def compact(store: "Session", *, live: float = 0.75, small: int = CLOSE_BYTES // 4) -> Compaction:
    """Rewrite segments of which less than `live` is live, and those under `small` bytes when there are several."""
    if not 0 <= live <= 1:
        raise BadArgument(
            f"live={live} is no share", "give a number from 0 to 1; 0.75 rewrites segments that are a quarter dead"
        )
    store.require_writable()
    while True:
        store.refresh()
        try:
            with log.detect_expiry(store.storage, store.head):
                chosen = _chosen(store, live, small)
                moved = list(_move(store, chosen))
                break
        except Expired:
            continue  # another compaction and a gc came first
    if not chosen:
        return Compaction(0, 0, 0, 0, 0, store.head)
    before = store.snapshot
    commit = store.publish(lambda head: _change(store, head, chosen, moved))
    return Compaction(
        len(chosen),
        len(moved),
        sum(one.rows.count for one in moved),
        sum(before.segments[identity].bytes for identity in chosen),
        sum(one.entry.bytes for one in moved),
        commit,
    )


def _chosen(store: "Session", live: float, small: int) -> list[str]:
    from lamofc_catalog import translated

    query = "SELECT segment, sum(stored_bits) // 8 FROM records GROUP BY 1"
    with translated(query):
        sizes = dict(store.sql(query).fetchall())
    entries = store.snapshot.segments.values()
    dying = [entry.id for entry in entries if int(sizes.get(entry.id, 0)) < live * entry.bytes]
    little = [entry.id for entry in entries if entry.bytes < small and entry.id not in dying]
    return dying + (little if len(little) + len(dying) > 1 else [])


def _move(store: "Session", chosen: Sequence[str]) -> Iterator[_Moved]:
    """Copy the live records of the chosen segments into new ones."""
    writer = SegmentWriter(store.storage)
    taken: list[MovedRecords] = []
    for identity in chosen:
        rows = catalog_tables.rows_of_segment(store.catalog, identity)
        for batch in _batches(rows):
            if writer.records and (writer.bytes >= CLOSE_BYTES or writer.records >= CLOSE_RECORDS):
                yield _closed(store, writer, taken)
                writer, taken = SegmentWriter(store.storage), []
            taken.append(move(store.storage, store.profiles, writer, batch))
    if writer.records:
        yield _closed(store, writer, taken)


def _batches(rows: "pa.Table") -> Iterator["pa.Table"]:
    ends, record = np.cumsum(rows["length"].to_numpy()), rows["record"].to_numpy()
    first = 0
    while first < rows.num_rows:
        base = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + _BATCH_BYTES, side="right")))
        while last < rows.num_rows and record[last] == record[last - 1]:  # features of one record stay together
            last += 1
        yield rows.slice(first, last - first)
        first = last


def _closed(store: "Session", writer: SegmentWriter, taken: "list[MovedRecords]") -> _Moved:
    """Write the new segment and its rows: the old ones with a new place."""
    import pyarrow as pa

    layout = writer.close()
    places = [layout.locate(at) for _, added in taken for at in added]
    rows = pa.concat_tables([batch for batch, _ in taken])
    origins = tuple(zip(rows["origin"].to_pylist(), rows["row"].to_pylist(), strict=True))
    moved = {"segment": [layout.id] * len(places)}
    columns: dict[str, list[Any]] = {"record": [n for n, _, _ in places], "offset": [o for _, o, _ in places], **moved}
    rows = replace_columns(rows, columns)
    order = np.argsort(np.array(columns["record"]), kind="stable")
    entry = row_objects.write(store.storage, "records", rows.drop_columns(["origin", "row"]).take(order))
    assert layout.entry is not None  # noqa: S101 - close() has just made it
    return _Moved(replace(layout.entry, rows=entry.name), entry, tuple(origins[i] for i in order))


def _change(store: "Session", head: Snapshot, chosen: Sequence[str], moved: Sequence[_Moved]) -> Change | None:
    """The commit: new rows for old; what was forgotten meanwhile is forgotten in its new place as well."""
    if any(identity not in head.segments for identity in chosen):
        return None  # somebody compacted them first; what we wrote will be collected
    deleted = row_objects.tombstones(store.storage, head)
    records = deleted.filter(pc.equal(deleted["table"], "records"))
    dead = set(zip(records["origin"].to_pylist(), records["row"].to_pylist(), strict=True))
    gone = [
        ("records", paths.rows_parts(one.rows.name)[0], row)
        for one in moved
        for row, at in enumerate(one.origins)
        if at in dead
    ]
    adds = [one.rows for one in moved]
    if gone:
        adds.append(row_objects.write(store.storage, "gone", changes.tombstone_table(gone)))
    return Change(
        verb="compact",
        adds=tuple(adds),
        segments=tuple(one.entry for one in moved),
        drops=(*chosen, *(head.segments[identity].rows for identity in chosen)),
        note={"segments": len(chosen)},
    )

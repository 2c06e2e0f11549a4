"""Compaction: live records are copied from segments that are mostly dead, or small, to new ones; no value changes."""

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
"""A new segment is closed at this size."""
_BATCH_BYTES = 64 << 20
"""Records are copied in batches of this size, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """The result of a compaction."""

    segments: int
    """Segments that were emptied."""
    written: int
    """Segments that were written."""
    records: int
    """Features of samples."""
    bytes_before: int
    bytes_after: int
    commit: int


@dataclass(frozen=True, slots=True)
class _NewSegment:
    """One new segment, its rows, and the old position of each row."""

    entry: SegmentEntry
    rows: RowsEntry
    origins: tuple[tuple[str, int], ...]


def compact(store: "Session", *, live: float = 0.75, small: int = CLOSE_BYTES // 4) -> Compaction:
    """Rewrite segments whose live share is below `live`, and segments under `small` bytes if there are several."""
    if not 0 <= live <= 1:
        raise BadArgument(
            f"live={live} is no share", "give a number from 0 to 1; 0.75 rewrites segments that are a quarter dead"
        )
    if not isinstance(small, int | float) or small < 0:
        raise BadArgument(f"small={small!r} is no size", "give a number of bytes, such as 64 * 2**20; 0 rewrites none")
    store.require_writable()
    while True:
        store.refresh()
        try:
            with log.detect_expiry(store.storage, store.head):
                old = _segments_to_rewrite(store, live, small)
                new = list(_copy_live_records(store, old))
                break
        except Expired:
            continue  # another compaction and a gc came first
    if not old:
        return Compaction(0, 0, 0, 0, 0, store.head)
    before = store.snapshot
    commit = store.publish(lambda head: _replace_segments(store, head, old, new))
    return Compaction(
        len(old),
        len(new),
        sum(segment.rows.count for segment in new),
        sum(before.segments[identity].bytes for identity in old),
        sum(segment.entry.bytes for segment in new),
        commit,
    )


def _segments_to_rewrite(store: "Session", live: float, small: int) -> list[str]:
    from lamofc_catalog import translated

    query = "SELECT segment, sum(stored_bits) // 8 FROM records GROUP BY 1"
    with translated(query):
        live_bytes = dict(store.sql(query).fetchall())
    entries = store.snapshot.segments.values()
    mostly_dead = [entry.id for entry in entries if int(live_bytes.get(entry.id, 0)) < live * entry.bytes]
    too_small = [entry.id for entry in entries if entry.bytes < small and entry.id not in mostly_dead]
    return mostly_dead + (too_small if len(too_small) + len(mostly_dead) > 1 else [])


def _copy_live_records(store: "Session", old: Sequence[str]) -> Iterator[_NewSegment]:
    """Copy the live records of old segments into new ones."""
    writer = SegmentWriter(store.storage)
    copied: list[MovedRecords] = []
    for identity in old:
        rows = catalog_tables.rows_of_segment(store.catalog, identity)
        for batch in _batches(rows):
            if writer.records and (writer.bytes >= CLOSE_BYTES or writer.records >= CLOSE_RECORDS):
                yield _close(store, writer, copied)
                writer, copied = SegmentWriter(store.storage), []
            copied.append(move(store.storage, store.profiles, writer, batch))
    if writer.records:
        yield _close(store, writer, copied)


def _batches(rows: "pa.Table") -> Iterator["pa.Table"]:
    """Slice rows into batches of bounded size; rows of one record stay together."""
    ends, record = np.cumsum(rows["length"].to_numpy()), rows["record"].to_numpy()
    first = 0
    while first < rows.num_rows:
        base = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + _BATCH_BYTES, side="right")))
        while last < rows.num_rows and record[last] == record[last - 1]:
            last += 1
        yield rows.slice(first, last - first)
        first = last


def _close(store: "Session", writer: SegmentWriter, copied: "list[MovedRecords]") -> _NewSegment:
    """Write the new segment and its rows: the old rows at their new places."""
    import pyarrow as pa

    layout = writer.close()
    places = [layout.locate(slot) for _, slots in copied for slot in slots]
    rows = pa.concat_tables([batch for batch, _ in copied])
    origins = tuple(zip(rows["origin"].to_pylist(), rows["row"].to_pylist(), strict=True))
    columns: dict[str, list[Any]] = {
        "record": [record for record, _, _ in places],
        "offset": [offset for _, offset, _ in places],
        "segment": [layout.id] * len(places),
    }
    rows = replace_columns(rows, columns)
    order = np.argsort(np.array(columns["record"]), kind="stable")
    entry = row_objects.write(store.storage, "records", rows.drop_columns(["origin", "row"]).take(order))
    assert layout.entry is not None  # noqa: S101 - close() has just made it
    return _NewSegment(replace(layout.entry, rows=entry.name), entry, tuple(origins[i] for i in order))


def _replace_segments(
    store: "Session", head: Snapshot, old: Sequence[str], new: Sequence[_NewSegment]
) -> Change | None:
    """Exchange old segments for new ones; rows that were deleted meanwhile are deleted at their new place too."""
    if any(identity not in head.segments for identity in old):
        return None  # another compaction came first; the segments written here are left to garbage collection
    tombstones = row_objects.tombstones(store.storage, head)
    deleted_rows = tombstones.filter(pc.equal(tombstones["table"], "records"))
    deleted = set(zip(deleted_rows["origin"].to_pylist(), deleted_rows["row"].to_pylist(), strict=True))
    deleted_meanwhile = [
        ("records", paths.rows_parts(segment.rows.name)[0], row)
        for segment in new
        for row, origin in enumerate(segment.origins)
        if origin in deleted
    ]
    adds = [segment.rows for segment in new]
    if deleted_meanwhile:
        adds.append(row_objects.write(store.storage, "gone", changes.tombstone_table(deleted_meanwhile)))
    return Change(
        verb="compact",
        adds=tuple(adds),
        segments=tuple(segment.entry for segment in new),
        drops=(*old, *(head.segments[identity].rows for identity in old)),
        note={"segments": len(old)},
    )

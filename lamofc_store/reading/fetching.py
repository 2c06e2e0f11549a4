"""Records from a storage, many at a time: ranges are sorted and coalesced, and every record's checksum is compared."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.errors import CorruptStore
from lamofc_store.reading.read_plan import Numbers, ReadPlan, RecordLocations
from lamofc_store.storage import Openable, Range, Ranged, Storage, paths

if TYPE_CHECKING:
    from lamofc_codecs import Packed
    from lamofc_store.storage import Cache

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_MAX_GAP_BYTES = 1 << 16
"""Ranges of a remote object that lie closer than this are read as one."""
_MAX_RANGE_BYTES = 1 << 26
"""Ranges are not coalesced beyond this length."""
_RESTORE_HINT = "lamofc verify names all that is damaged; restore the object from a copy"


@dataclass(frozen=True, slots=True)
class FetchedRecords:
    """The records of a plan, checked and not decoded. A record that several tensors share is held once."""

    packed: "Packed"
    record: Numbers
    """The index in `packed` of each tensor's record."""

    def part(self, start: int, stop: int) -> "FetchedRecords":
        """Select the tensors from `start` to `stop`; the records stay where they are."""
        return FetchedRecords(self.packed, self.record[start:stop])


def fetch_plan(storage: Storage, plan: ReadPlan, cache: "Cache | None" = None) -> FetchedRecords:
    """Fetch the records of a plan, each once."""
    locations, record = _unique_records(plan.locations)
    return FetchedRecords(fetch_records(storage, locations, cache), record)


def _unique_records(locations: RecordLocations) -> tuple[RecordLocations, Numbers]:
    """List each record once, at the greatest requested length, and give the index of the record of each location."""
    if len(locations) < 2:
        return locations, np.arange(len(locations))
    keys = np.stack([locations.segment, locations.offset], axis=1)
    _, first, record = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    record = record.reshape(-1)
    length = np.zeros(len(first), np.int64)
    np.maximum.at(length, record, locations.length)
    return replace(locations.take(first), length=length), record


def fetch_records(storage: Storage, locations: RecordLocations, cache: "Cache | None" = None) -> "Packed":
    """Fetch records into one buffer, in the order of their locations; those of a remote storage through a cache."""
    from lamofc_codecs import CorruptRecord, Packed, verify

    ends = np.zeros(len(locations) + 1, np.int64)
    np.cumsum(locations.length, out=ends[1:])
    buffer = np.empty(int(ends[-1]), np.uint8)
    try:
        if isinstance(storage, Openable):
            _read_local(storage, locations, ends, buffer)
        else:
            _read_remote(storage if cache is None else cache.over(storage), locations, ends, buffer)
    except FileNotFoundError as error:
        raise CorruptStore(f"a segment's payload is missing: {error.filename or error}", _RESTORE_HINT) from None
    packed = Packed(buffer, ends)
    try:
        return verify(packed)
    except CorruptRecord as error:
        if cache is not None and not isinstance(storage, Openable):
            cache.forget(storage, [paths.payload(segment) for segment in locations.segments])
            return fetch_records(storage, locations)
        raise CorruptStore(f"{locations.describe(_first_corrupt(packed))}: {error}", _RESTORE_HINT) from error


def _contiguous_runs(locations: RecordLocations, ends: Numbers) -> Iterator[tuple[int, int, int, int]]:
    """Find runs of records that follow one another both in their segment and in the buffer.

    Yields the segment's index, the offset in the segment, and where the run begins and ends in the buffer.
    """
    order = np.lexsort((locations.offset, locations.segment)) if len(locations) > 1 else np.arange(len(locations))
    segment, offset, length = locations.segment[order], locations.offset[order], locations.length[order]
    starts = ends[:-1][order]
    breaks = np.ones(len(order), bool)
    follows = (
        (segment[1:] == segment[:-1])
        & (offset[1:] == offset[:-1] + length[:-1])
        & (starts[1:] == starts[:-1] + length[:-1])
    )
    breaks[1:] = ~follows
    first = np.flatnonzero(breaks)
    last = np.append(first[1:], len(order)) - 1
    stops = starts[last] + length[last]
    return zip(segment[first].tolist(), offset[first].tolist(), starts[first].tolist(), stops.tolist(), strict=True)


def _read_local(storage: Openable, locations: RecordLocations, ends: Numbers, buffer: Bytes) -> None:
    view, preadv = buffer.data, os.preadv
    current, file = -1, None
    for segment, offset, start, stop in _contiguous_runs(locations, ends):
        if file is None or segment != current:
            current, file = segment, storage.open_file(paths.payload(locations.segments[segment]))
        descriptor = file.descriptor
        done = preadv(descriptor, [view[start:stop]], offset)
        while done < stop - start:
            count = preadv(descriptor, [view[start + done : stop]], offset + done)
            if count == 0:
                raise _truncated(Range(paths.payload(locations.segments[segment]), offset, stop - start))
            done += count


def _read_remote(storage: Ranged, locations: RecordLocations, ends: Numbers, buffer: Bytes) -> None:
    runs = list(_contiguous_runs(locations, ends))
    ranges = [
        Range(paths.payload(locations.segments[segment]), offset, stop - start) for segment, offset, start, stop in runs
    ]
    requests, members = _coalesce(ranges)
    for request, data, inside in zip(requests, storage.read_ranges(requests), members, strict=True):
        if len(data) != request.length:
            raise _truncated(request)
        for number in inside:
            _, offset, start, stop = runs[number]
            buffer[start:stop] = np.frombuffer(data, np.uint8, stop - start, offset - request.start)


def count_requests(locations: RecordLocations) -> int:
    """Count the range requests that fetch these records from an object store."""
    ends = np.concatenate([[0], np.cumsum(locations.length)])
    runs = [
        Range(str(segment), offset, stop - start) for segment, offset, start, stop in _contiguous_runs(locations, ends)
    ]
    return len(_coalesce(runs)[0])


def _coalesce(ranges: list[Range]) -> tuple[list[Range], list[list[int]]]:
    """Join sorted ranges with small gaps between them to fewer and longer ones, and list the members of each."""
    joined: list[Range] = []
    members: list[list[int]] = []
    for number, added in enumerate(ranges):
        end = added.start + added.length
        if joined and joined[-1].path == added.path:
            last = joined[-1]
            reach = max(end, last.start + last.length)
            gap = added.start - last.start - last.length
            if gap <= _MAX_GAP_BYTES and reach - last.start <= _MAX_RANGE_BYTES:
                joined[-1] = Range(last.path, last.start, reach - last.start)
                members[-1].append(number)
                continue
        joined.append(added)
        members.append([number])
    return joined, members


def _truncated(expected: Range) -> CorruptStore:
    return CorruptStore(f"{expected.path} ends before byte {expected.start + expected.length}", _RESTORE_HINT)


def _first_corrupt(packed: "Packed") -> int:
    from lamofc_codecs import CorruptRecord, Packed, verify

    for number in range(len(packed.offsets) - 1):
        start, stop = packed.offsets[number], packed.offsets[number + 1]
        try:
            verify(Packed(packed.buffer[start:stop], np.array([0, stop - start], np.int64)))
        except CorruptRecord:
            return number
    return 0

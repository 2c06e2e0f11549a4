"""Records back from storage, many at a time: ranges sorted, neighbours joined, every record's checksum compared."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Openable, Range, Ranged, Storage, paths

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_codecs import Packed
    from lamofc_store.storage import Cache

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_GAP = 1 << 16
"""Ranges of a remote object closer than this are read as one."""
_LONGEST = 1 << 26
_CURE = "lamofc verify names all that is damaged; restore the object from a copy"


@dataclass(frozen=True, slots=True)
class Places:
    """Where records lie: parallel arrays, and the segments that `segment` counts."""

    segments: tuple[str, ...]
    segment: Numbers
    offset: Numbers
    length: Numbers

    @classmethod
    def of(cls, rows: "pa.Table") -> "Places":
        """The places in record rows, in their order."""
        code: dict[str, int] = {}
        codes = [code.setdefault(segment, len(code)) for segment in rows["segment"].to_pylist()]
        offset, length = (np.asarray(rows[name].to_numpy(), np.int64) for name in ("offset", "length"))
        return cls(tuple(code), np.array(codes, np.int64), offset, length)

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, indices: Sequence[int] | Numbers) -> "Places":
        """Some of them, in the order asked for."""
        return Places(self.segments, self.segment[indices], self.offset[indices], self.length[indices])

    def name(self, index: int) -> str:
        """One place, for people."""
        return f"{paths.payload(self.segments[self.segment[index]])} at byte {self.offset[index]}"


def joined(parts: Sequence[Places]) -> Places:
    """Several lists of places, one after the other."""
    segments = dict.fromkeys(segment for part in parts for segment in part.segments)
    code = {segment: number for number, segment in enumerate(segments)}
    codes = [np.array([code[segment] for segment in part.segments], np.int64)[part.segment] for part in parts]
    return Places(
        tuple(segments),
        np.concatenate(codes),
        np.concatenate([part.offset for part in parts]),
        np.concatenate([part.length for part in parts]),
    )


def fetch(storage: Storage, places: Places, cache: "Cache | None" = None) -> "Packed":
    """The records at those places, in the order asked for, in one buffer; of remote ones by way of a cache."""
    from lamofc_codecs import CorruptRecord, Packed, verify

    ends = np.zeros(len(places) + 1, np.int64)
    np.cumsum(places.length, out=ends[1:])
    buffer = np.empty(int(ends[-1]), np.uint8)
    try:
        if isinstance(storage, Openable):
            _read_local(storage, places, ends, buffer)
        else:
            _read_remote(storage if cache is None else cache.over(storage), places, ends, buffer)
    except FileNotFoundError as error:
        raise CorruptStore(f"a segment's payload is missing: {error.filename or error}", _CURE) from None
    packed = Packed(buffer, ends)
    try:
        verify(packed)
    except CorruptRecord as error:
        if cache is not None and not isinstance(storage, Openable):
            cache.forget(storage, [paths.payload(segment) for segment in places.segments])
            return fetch(storage, places)
        raise CorruptStore(f"{places.name(_first_broken(packed))}: {error}", _CURE) from error
    return packed


def _runs(places: Places, ends: Numbers) -> Iterator[tuple[int, int, int, int]]:
    """Segment, offset, and the part of the buffer, of each run of bytes that lies together there and here."""
    order = np.lexsort((places.offset, places.segment)) if len(places) > 1 else np.arange(len(places))
    segment, offset, length = places.segment[order], places.offset[order], places.length[order]
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


def _read_local(storage: Openable, places: Places, ends: Numbers, buffer: Bytes) -> None:
    view, preadv = buffer.data, os.preadv
    current, file = -1, None
    for segment, offset, start, stop in _runs(places, ends):
        if file is None or segment != current:
            current, file = segment, storage.open_file(paths.payload(places.segments[segment]))
        descriptor = file.descriptor
        done = preadv(descriptor, [view[start:stop]], offset)
        while done < stop - start:
            more = preadv(descriptor, [view[start + done : stop]], offset + done)
            if more == 0:
                raise _short(Range(paths.payload(places.segments[segment]), offset, stop - start))
            done += more


def _read_remote(storage: Ranged, places: Places, ends: Numbers, buffer: Bytes) -> None:
    runs = list(_runs(places, ends))
    wanted = [
        Range(paths.payload(places.segments[segment]), offset, stop - start) for segment, offset, start, stop in runs
    ]
    wholes, members = _near(wanted)
    for whole, data, inside in zip(wholes, storage.read_ranges(wholes), members, strict=True):
        if len(data) != whole.length:
            raise _short(whole)
        for number in inside:
            _, offset, start, stop = runs[number]
            at = offset - whole.start
            buffer[start:stop] = np.frombuffer(data, np.uint8, stop - start, at)


def requests(places: Places) -> int:
    """How many ranges of remote objects those records are asked for in."""
    ends = np.concatenate([[0], np.cumsum(places.length)])
    runs = [Range(str(segment), offset, stop - start) for segment, offset, start, stop in _runs(places, ends)]
    return len(_near(runs)[0])


def _near(wanted: list[Range]) -> tuple[list[Range], list[list[int]]]:
    """Sorted ranges with small gaps between them, as fewer and longer ones; and which are in each."""
    wholes: list[Range] = []
    members: list[list[int]] = []
    for number, one in enumerate(wanted):
        end = one.start + one.length
        if wholes and wholes[-1].path == one.path:
            last = wholes[-1]
            reach = max(end, last.start + last.length)
            if one.start - last.start - last.length <= _GAP and reach - last.start <= _LONGEST:
                wholes[-1] = Range(last.path, last.start, reach - last.start)
                members[-1].append(number)
                continue
        wholes.append(one)
        members.append([number])
    return wholes, members


def _short(wanted: Range) -> CorruptStore:
    return CorruptStore(f"{wanted.path} ends before byte {wanted.start + wanted.length}", _CURE)


def _first_broken(packed: "Packed") -> int:
    from lamofc_codecs import CorruptRecord, Packed, verify

    for number in range(len(packed.offsets) - 1):
        start, stop = packed.offsets[number], packed.offsets[number + 1]
        try:
            verify(Packed(packed.buffer[start:stop], np.array([0, stop - start], np.int64)))
        except CorruptRecord:
            return number
    return 0

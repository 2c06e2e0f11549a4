"""Records back from storage, many at a time: ranges sorted, neighbours joined, every record's checksum compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lamofc_store import names
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Range, Storage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamofc_codecs import Packed

_GAP = 1 << 16
"""Ranges of a remote object closer than this are read as one."""
_LONGEST = 1 << 26


def fetch(
    storage: Storage, segments: Sequence[str], offsets: "NDArray[np.int64]", lengths: "NDArray[np.int64]"
) -> "Packed":
    """The records at those places, in the order asked for, in one buffer."""
    from lamofc_codecs import CorruptRecord, Packed, verify

    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    buffer = np.empty(int(ends[-1]), np.uint8)
    view = buffer.data
    order = np.lexsort((offsets, np.asarray(segments))) if len(segments) > 1 else np.arange(len(segments))
    local = storage.local("") is not None
    ranges = [Range(names.payload(segments[i]), int(offsets[i]), int(lengths[i])) for i in order]
    try:
        (_read_local if local else _read_remote)(storage, ranges, [view[ends[i] : ends[i + 1]] for i in order])
    except FileNotFoundError as error:
        raise CorruptStore(f"a segment's payload is missing: {error.filename or error}", _CURE) from None
    packed = Packed(buffer, ends)
    try:
        verify(packed)
    except CorruptRecord as error:
        places = [f"{names.payload(s)} at {o}" for s, o in zip(segments, offsets.tolist(), strict=True)]
        raise CorruptStore(f"{_first_broken(packed, places)}: {error}", _CURE) from error
    return packed


_CURE = "lamofc verify names all that is damaged; restore the object from a copy"


def _read_local(storage: Storage, ranges: list[Range], targets: list[memoryview]) -> None:
    import os

    from lamofc_store.local import LocalStorage

    assert isinstance(storage, LocalStorage)  # noqa: S101 - `fetch` chose by `storage.local`
    for wanted, target in zip(ranges, targets, strict=True):
        done = os.preadv(storage.descriptor(wanted.path), [target], wanted.start)
        while done < wanted.length:
            more = os.preadv(storage.descriptor(wanted.path), [target[done:]], wanted.start + done)
            if more == 0:
                raise _short(wanted)
            done += more


def _read_remote(storage: Storage, ranges: list[Range], targets: list[memoryview]) -> None:
    joined, members = _joined(ranges)
    for whole, data, inside in zip(joined, storage.read_ranges(joined), members, strict=True):
        if len(data) != whole.length:
            raise _short(whole)
        for i in inside:
            start = ranges[i].start - whole.start
            targets[i][:] = data[start : start + ranges[i].length]


def _joined(ranges: list[Range]) -> tuple[list[Range], list[list[int]]]:
    """Sorted ranges with small gaps between them, as fewer and longer ones."""
    joined: list[Range] = []
    members: list[list[int]] = []
    for i, wanted in enumerate(ranges):
        end = wanted.start + wanted.length
        if joined and joined[-1].path == wanted.path:
            last = joined[-1]
            reach = max(end, last.start + last.length)
            if wanted.start - last.start - last.length <= _GAP and reach - last.start <= _LONGEST:
                joined[-1] = Range(last.path, last.start, reach - last.start)
                members[-1].append(i)
                continue
        joined.append(wanted)
        members.append([i])
    return joined, members


def _short(wanted: Range) -> CorruptStore:
    return CorruptStore(f"{wanted.path} ends before byte {wanted.start + wanted.length}", _CURE)


def _first_broken(packed: "Packed", places: list[str]) -> str:
    from lamofc_codecs import CorruptRecord, Packed, verify

    for i, place in enumerate(places):
        start, end = packed.offsets[i], packed.offsets[i + 1]
        try:
            verify(Packed(packed.buffer[start:end], np.array([0, end - start])))
        except CorruptRecord:
            return place
    return places[0]

"""Whether a segment's objects are what was written: the small ones by the commit's checksum, records by their own."""

from typing import Any

import numpy as np

from lamofc_store.commits import SegmentEntry
from lamofc_store.errors import CorruptStore
from lamofc_store.segments.writer import SMALL, small_crc
from lamofc_store.storage import Range, Storage, paths, zarr_metadata

_CURE = "restore the object from a copy"
_READ = 1 << 26

Offsets = np.ndarray[Any, np.dtype[np.int64]]


def small_objects(storage: Storage, entry: SegmentEntry) -> Offsets:
    """Compare everything but the payload; gives the records' offsets."""
    contents = []
    for name in SMALL:
        path = paths.segment(entry.id, name)
        try:
            contents.append(storage.read(path))
        except FileNotFoundError:
            raise CorruptStore(f"{path} is missing", _CURE) from None
    if small_crc(contents) != entry.crc32c:
        raise CorruptStore(
            f"{paths.segment(entry.id)} is damaged: the checksum over its small objects is not the commit's", _CURE
        )
    offsets = np.frombuffer(contents[SMALL.index("offsets/c/0")][:-4], "<u8").astype(np.int64)
    if len(offsets) != entry.records + 1 or offsets[-1] != entry.bytes or (np.diff(offsets) < 0).any():
        raise CorruptStore(
            f"{paths.segment(entry.id)} holds {len(offsets) - 1} records, the commit says {entry.records}", _CURE
        )
    return offsets


def lies_as_told(places: Offsets, offsets: Offsets) -> bool:
    """Whether rows (record, offset, length) name every record of a segment, where its offsets say.

    Rows of features that are coded together name the same record.
    """
    ordered = np.unique(places, axis=0)
    expected = np.column_stack([np.arange(len(offsets) - 1), offsets[:-1], np.diff(offsets)])
    return np.array_equal(ordered, expected)


def payload(storage: Storage, entry: SegmentEntry, offsets: Offsets) -> None:
    """Compare every record, the padding and the shard's index, in bounded memory."""
    path = paths.payload(entry.id)
    first = 0
    while first < entry.records:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _READ, side="right")) - 1)
        start, end = int(offsets[first]), int(offsets[last])
        _records(path, _read(storage, path, start, end - start), offsets[first : last + 1] - start)
        first = last
    padding = zarr_metadata.padded(entry.bytes) - entry.bytes
    expected = bytes(padding) + zarr_metadata.shard_index(entry.bytes)
    if _read(storage, path, entry.bytes, len(expected), more=1) != expected:
        raise CorruptStore(f"{path} is damaged after its records, at byte {entry.bytes}", _CURE)


def _records(path: str, data: bytes, offsets: Offsets) -> None:
    from lamofc_codecs import CorruptRecord, Packed, verify

    try:
        verify(Packed(np.frombuffer(data, np.uint8), offsets))
    except CorruptRecord as error:
        raise CorruptStore(f"{path} is damaged: {error}", _CURE) from error


def _read(storage: Storage, path: str, start: int, length: int, more: int = 0) -> bytes:
    """A range of an object; asks for `more` bytes than there should be, to see that there are none."""
    try:
        data = storage.read_ranges([Range(path, start, length + more)])[0]
    except FileNotFoundError:
        raise CorruptStore(f"{path} is missing", _CURE) from None
    if len(data) != length:
        raise CorruptStore(f"{path} ends at byte {start + len(data)}, expected {start + length}", _CURE)
    return data

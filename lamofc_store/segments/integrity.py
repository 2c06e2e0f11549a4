"""Integrity of a segment: its small objects by the checksum of the commit, its records by their own checksums."""

from typing import Any

import numpy as np

from lamofc_store.commits import SegmentEntry
from lamofc_store.errors import CorruptStore
from lamofc_store.segments.writer import SMALL_OBJECTS, small_objects_crc
from lamofc_store.storage import Range, Storage, paths, zarr_metadata

_RESTORE_HINT = "restore the object from a copy"
_READ_BYTES = 1 << 26
"""Bytes of records that are read and checked at a time."""

Offsets = np.ndarray[Any, np.dtype[np.int64]]


def check_small_objects(storage: Storage, entry: SegmentEntry) -> Offsets:
    """Check all objects but the payload, and return the records' offsets."""
    contents = []
    for name in SMALL_OBJECTS:
        path = paths.segment(entry.id, name)
        try:
            contents.append(storage.read(path))
        except FileNotFoundError:
            raise CorruptStore(f"{path} is missing", _RESTORE_HINT) from None
    if small_objects_crc(contents) != entry.crc32c:
        raise CorruptStore(
            f"{paths.segment(entry.id)} is damaged: the checksum over its small objects is not the commit's",
            _RESTORE_HINT,
        )
    offsets = np.frombuffer(contents[SMALL_OBJECTS.index("offsets/c/0")][:-4], "<u8").astype(np.int64)
    if len(offsets) != entry.records + 1 or offsets[-1] != entry.bytes or (np.diff(offsets) < 0).any():
        raise CorruptStore(
            f"{paths.segment(entry.id)} holds {len(offsets) - 1} records, the commit says {entry.records}",
            _RESTORE_HINT,
        )
    return offsets


def rows_match_offsets(places: Offsets, offsets: Offsets) -> bool:
    """Whether rows (record, offset, length) name every record of a segment, at the place that its offsets give.

    Rows of features that are coded together name the same record.
    """
    ordered = np.unique(places, axis=0)
    expected = np.column_stack([np.arange(len(offsets) - 1), offsets[:-1], np.diff(offsets)])
    return np.array_equal(ordered, expected)


def check_payload(storage: Storage, entry: SegmentEntry, offsets: Offsets) -> None:
    """Check every record, the padding and the shard's index, in bounded memory."""
    path = paths.payload(entry.id)
    first = 0
    while first < entry.records:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _READ_BYTES, side="right")) - 1)
        start, end = int(offsets[first]), int(offsets[last])
        _check_records(path, _read(storage, path, start, end - start), offsets[first : last + 1] - start)
        first = last
    padding = zarr_metadata.padded_length(entry.bytes) - entry.bytes
    expected = bytes(padding) + zarr_metadata.shard_index(entry.bytes)
    if _read(storage, path, entry.bytes, len(expected), last=True) != expected:
        raise CorruptStore(f"{path} is damaged after its records, at byte {entry.bytes}", _RESTORE_HINT)


def _check_records(path: str, data: bytes, offsets: Offsets) -> None:
    from lamofc_codecs import CorruptRecord, Packed, verify

    try:
        verify(Packed(np.frombuffer(data, np.uint8), offsets))
    except CorruptRecord as error:
        raise CorruptStore(f"{path} is damaged: {error}", _RESTORE_HINT) from error


def _read(storage: Storage, path: str, start: int, length: int, *, last: bool = False) -> bytes:
    """Read a range of an object; after the `last` one there must be no further byte."""
    try:
        data = storage.read_ranges([Range(path, start, length + last)])[0]
    except FileNotFoundError:
        raise CorruptStore(f"{path} is missing", _RESTORE_HINT) from None
    if len(data) != length:
        raise CorruptStore(f"{path} ends at byte {start + len(data)}, expected {start + length}", _RESTORE_HINT)
    return data

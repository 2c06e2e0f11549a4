"""Many records in one buffer, and the one call that checks them all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.record.framing import (
    FLAG_GRID,
    FLAG_SAME_PARTS,
    FLAG_SAME_TOKENS,
    FLAG_WIDE,
    MAGIC,
    MAX_LAYERS,
    VERSION,
    Buffer,
    parse,
    sections,
)
from lamofc_codecs.record.grid import DTYPES, MAX_ELEMENTS, MAX_ITEMS, MAX_PARTS, Partition
from lamofc_codecs.runtime import Int, as_bytes, compiled, crc32c_span

_MAGIC = int.from_bytes(MAGIC, "little")
_IS_DTYPE_CODE = np.isin(np.arange(256), list(DTYPES))
_CELL = int(Partition.CELL)


@dataclass(frozen=True, slots=True)
class Packed:
    """Records in one buffer, which one copy moves to a device and one call checks or decodes."""

    buffer: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    """Offsets of n + 1 bounds: record i is `buffer[offsets[i] : offsets[i + 1]]`."""
    verified: bool = False
    """Whether `verify` compared every checksum, so that a decoder need not compute them again."""

    @classmethod
    def of(cls, records: Sequence[Buffer]) -> "Packed":
        """Put records end to end."""
        offsets = np.zeros(len(records) + 1, np.int64)
        np.cumsum([len(record) for record in records], out=offsets[1:])
        return cls(np.frombuffer(b"".join(records), np.uint8), offsets)

    def __len__(self) -> int:
        return max(len(self.offsets) - 1, 0)

    def __getitem__(self, index: int) -> memoryview:
        """Return a view of the bytes of one record."""
        return self.buffer.data[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def __iter__(self) -> Iterator[memoryview]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Iterable[int]) -> "PackedView":
        """Return views of some of the records, in the order of `indices`; they count as verified if all of them are."""
        return PackedView(tuple(self[index] for index in indices), self.verified)


@dataclass(frozen=True, slots=True)
class PackedView(Sequence[memoryview]):
    """Views of some records of a `Packed`, in any order."""

    records: tuple[memoryview, ...]
    verified: bool

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> memoryview: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[memoryview]: ...
    def __getitem__(self, index: int | slice) -> memoryview | Sequence[memoryview]:
        return self.records[index]


def verify(packed: Packed) -> Packed:
    """Check the framing and every crc32c of all records, and return them as verified; the first bad record raises.

    One compiled call checks all records without the GIL. Only a bad record is parsed again in Python, which words the
    error.
    """
    buffer = as_bytes(packed.buffer)
    offsets = np.ascontiguousarray(packed.offsets, np.int64)
    if offsets.size and (offsets[0] < 0 or offsets[-1] > buffer.size or (np.diff(offsets) < 0).any()):
        raise CorruptRecord(
            f"offsets run from {offsets[0]} to {offsets[-1]}; expected them to rise within {buffer.size}"
        )
    bad = int(_first_bad(buffer, offsets))
    if bad < 0:
        return replace(packed, verified=True)
    try:
        record = packed[bad]
        sections(record, parse(record))
    except CorruptRecord as error:
        raise CorruptRecord(f"record {bad} of {len(packed)}: {error.message}", error.cure) from None
    raise CorruptRecord(f"record {bad} of {len(packed)}: its framing is unsound")


@compiled
def _first_bad(buffer: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Int:
    """Return the index of the first bad record, or -1."""
    for record in range(offsets.size - 1):
        if not _sound(buffer, offsets[record], offsets[record + 1]):
            return np.int64(record)
    return np.int64(-1)


@compiled
def _uint(buffer: NDArray[np.uint8], at: Int, size: Int) -> Int:
    """Return a little-endian number of up to 8 bytes; it is negative if it exceeds the range of int64."""
    value = np.int64(0)
    for k in range(size):
        value |= np.int64(buffer[at + k]) << np.int64(8 * k)
    return value


@compiled
def _sound(buffer: NDArray[np.uint8], start: Int, stop: Int) -> bool:
    """Say whether one record is well framed and every checksum agrees."""
    if stop - start < 45 or _uint(buffer, start, 4) != _MAGIC or buffer[start + 4] != VERSION:
        return False
    flags, layers = np.int64(buffer[start + 6]), np.int64(buffer[start + 7])
    if flags >= 16 or layers < 1 or layers > MAX_LAYERS:
        return False
    if flags & FLAG_GRID:
        cuts, items, parts = _sound_grid(buffer, start + 24, stop, flags)
        at = cuts + layers
    else:
        cuts, items, parts = _sound_short(buffer, start + 24, flags), np.int64(1), np.int64(1)
        at = cuts
    if cuts < 0 or at > stop:
        return False
    counts = np.empty(MAX_LAYERS, np.int64)
    total = np.int64(0)
    for layer in range(layers):
        cut = np.int64(buffer[cuts + layer]) if flags & FLAG_GRID else np.int64(0)
        if cut > _CELL:
            return False
        counts[layer] = (items if cut & 1 else np.int64(1)) * (parts if cut & 2 else np.int64(1))
        total += counts[layer]
    width = np.int64(8 if flags & FLAG_WIDE else 4)
    head = at + total * (width + 4)
    if head + 4 > stop or _uint(buffer, head, 4) != np.int64(crc32c_span(buffer, start, head, np.uint32(0))):
        return False
    return _sound_sections(buffer, at, stop, counts[:layers], width)


@compiled
def _sound_short(buffer: NDArray[np.uint8], at: Int, flags: Int) -> Int:
    """Return the end of a shape in the short form, or -1 if it is invalid."""
    tokens, channels = _uint(buffer, at + 1, 4), _uint(buffer, at + 5, 4)
    if flags & ~FLAG_WIDE or not _IS_DTYPE_CODE[buffer[at]] or (channels and tokens > MAX_ELEMENTS // channels):
        return np.int64(-1)
    return at + 9


@compiled
def _sound_grid(buffer: NDArray[np.uint8], at: Int, stop: Int, flags: Int) -> tuple[Int, Int, Int]:
    """Return the end of a grid in the long form (-1 if it is invalid), its items and its parts."""
    items, parts = _uint(buffer, at, 4), _uint(buffer, at + 4, 2)
    if items < 1 or items > MAX_ITEMS or parts < 1 or parts > MAX_PARTS:
        return np.int64(-1), items, parts
    at += 6
    token_counts = np.int64(1) if flags & FLAG_SAME_TOKENS else items
    part_shapes = np.int64(1) if flags & FLAG_SAME_PARTS else parts
    if at + 4 * token_counts + 5 * part_shapes > stop:
        return np.int64(-1), items, parts
    tokens, channels = np.int64(0), np.int64(0)
    for item in range(token_counts):
        tokens += _uint(buffer, at + 4 * item, 4)
    at += 4 * token_counts
    for part in range(part_shapes):
        if not _IS_DTYPE_CODE[buffer[at + 5 * part]]:
            return np.int64(-1), items, parts
        channels += _uint(buffer, at + 5 * part + 1, 4)
    tokens *= items // token_counts
    channels *= parts // part_shapes
    if channels and tokens > MAX_ELEMENTS // channels:
        return np.int64(-1), items, parts
    return at + 5 * part_shapes, items, parts


@compiled
def _sound_sections(buffer: NDArray[np.uint8], index: Int, stop: Int, counts: NDArray[np.int64], width: Int) -> bool:
    """Say whether the sections of some number of complete layers fill the record, and each agrees with its crc32c."""
    start = index + counts.sum() * (width + 4) + 4
    at, present, number = start, np.int64(-1), np.int64(0)
    for layer in range(counts.size):
        for _ in range(counts[layer]):
            length = _uint(buffer, index + number * (width + 4), width)
            if length < 0 or length > np.int64(1) << 48:
                return False
            at += length
            number += 1
        if at == stop:
            present = number
    if present < 0:
        return False
    at = start
    for section in range(present):
        place = index + section * (width + 4)
        length = _uint(buffer, place, width)
        crc = crc32c_span(buffer, at, at + length, np.uint32(0))
        if np.int64(crc) != _uint(buffer, place + width, 4):
            return False
        at += length
    return True

"""The first layer of a record: numbers to bytes and back, whatever their size.

A number that its run's table does not hold is escaped; runs of wide classes keep their low bits apart, as they are.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import (
    LARGEST_LEVEL,
    rans,
    rans_cpu,
    rans_layout,
    read_numbers,
    shape_of_classes,
    sigma_tables,
    write_numbers,
)
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.klt.layers.runs import Numbers, Runs
from lamofc_codecs.runtime import compiled

_LENGTH = struct.Struct("<I")
_MOST = 1 << 15
"""Numbers in a byte: a symbol costs at least log2(4096 / 4095) bits."""

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


def write_first(numbers: Numbers, runs: Runs) -> bytes:
    """Code columns x sorted tokens, each at most 2^22 in magnitude."""
    symbols, low, beyond = _split(numbers, runs)
    coded = rans.encode_symbols(symbols, runs.table_of_row, sigma_tables())
    escapes = write_numbers(beyond) if len(beyond) else b""
    return b"".join((_LENGTH.pack(len(coded)), coded, low.tobytes(), escapes))


def first_bits(numbers: Numbers, runs: Runs) -> float:
    """Bits that `write_first` takes, to a part in a thousand, without coding."""
    symbols, low, beyond = _split(numbers, runs)
    cost = int(rans_cpu.coded_millibits(symbols, runs.table_of_row, sigma_tables().millibits)[0]) / 1024
    lanes, streams = rans_layout.choose_layout(symbols.size, int(cost / 8))
    escapes = len(write_numbers(beyond)) if len(beyond) else 0
    return cost + 8.0 * (len(low) + escapes + 4 * streams * (lanes + 1))


def _split(numbers: Numbers, runs: Runs) -> tuple[Bytes, Bytes, Places]:
    """Symbols in coding order, low bits, and what stands for the escapes."""
    shifts, radii = shape_of_classes()[1:, runs.classes]
    length = runs.length
    symbols = np.empty(runs.count, np.uint8)
    low = np.zeros((int((shifts * length).sum()) + 7) // 8, np.uint8)
    escapes = _take(numbers, runs.column, runs.first, length, shifts, radii, symbols.view(np.int8))
    if low.size:
        _write_low(numbers, runs.column, runs.first, length, shifts, low)
    return symbols, low, escapes


def read_first(data: memoryview, runs: Runs) -> Numbers:
    """Decode a layer that holds those runs and nothing else."""
    shifts, radii = shape_of_classes()[1:, runs.classes]
    length = runs.length
    low_size = (int((shifts * length).sum()) + 7) // 8
    size = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
    low_end = _LENGTH.size + size + low_size
    if size < 0 or low_end > len(data) or runs.count > len(data) * _MOST:
        raise CorruptRecord(f"{len(data)} bytes for {runs.count} numbers: {size} of symbols, {low_size} of low bits")
    coded = data[_LENGTH.size : _LENGTH.size + size]
    symbols = rans.decode_symbols(coded, runs.count, runs.table_of_row, sigma_tables())
    escaped = int(np.count_nonzero(symbols == 128))
    beyond = read_escapes(data[low_end:], escaped)
    low = np.frombuffer(data[_LENGTH.size + size : low_end], np.uint8)
    numbers = np.zeros((runs.columns, runs.tokens.count), np.int32)
    largest = _put(symbols.view(np.int8), (runs.column, runs.first, length), shifts, radii, beyond, low, numbers)
    if largest > LARGEST_LEVEL:
        raise CorruptRecord(f"an escaped number of {largest}; the largest is {LARGEST_LEVEL}")
    return numbers


def read_escapes(data: memoryview, count: int) -> Places:
    """What stands for the escapes: twice how far beyond the radius, plus the sign."""
    if not count:
        if len(data):
            raise CorruptRecord(f"{len(data)} bytes follow numbers of which none is escaped")
        return np.empty(0, np.int64)
    coded, used = read_numbers(data, count)
    if used != len(data) or int(coded.max()) >> 1 > LARGEST_LEVEL:
        raise CorruptRecord(f"{count} escapes take {used} of {len(data)} bytes and reach {int(coded.max()) >> 1}")
    return coded


@compiled
def _take(  # noqa: PLR0913 - compiled code takes arrays, not objects
    numbers: Numbers,
    column: Places,
    first: Places,
    length: Places,
    shifts: NDArray[np.int32],
    radii: NDArray[np.int32],
    symbols: NDArray[np.int8],
) -> Places:
    escaped = np.int64(0)
    at = 0
    for run in range(len(column)):
        here = numbers[column[run], first[run] : first[run] + length[run]]
        there = symbols[at : at + length[run]]
        half, shift, radius = (np.int32(1) << shifts[run]) >> np.int32(1), shifts[run], radii[run]
        for i in range(len(here)):
            high = (here[i] + half) >> shift
            inside = abs(high) <= radius
            escaped += not inside
            there[i] = np.int8(high if inside else np.int32(-128))
        at += length[run]
    beyond = np.empty(escaped, np.int64)
    if escaped == 0:
        return beyond
    at, found = 0, 0
    for run in range(len(column)):
        here = numbers[column[run], first[run] : first[run] + length[run]]
        half, shift, radius = (np.int32(1) << shifts[run]) >> np.int32(1), shifts[run], radii[run]
        for i in range(len(here)):
            if symbols[at + i] == np.int8(-128):
                high = np.int64((here[i] + half) >> shift)
                beyond[found] = (abs(high) - radius - 1) << 1 | np.int64(high < 0)
                found += 1
        at += length[run]
    return beyond


@compiled
def _write_low(
    numbers: Numbers, column: Places, first: Places, length: Places, shifts: NDArray[np.int32], out: Bytes
) -> None:
    """Low bits run after run, the lowest bit of each byte first, into `out`, which is all zeros."""
    at, held, bits = 0, np.uint64(0), np.uint64(0)
    for run in range(len(column)):
        shift = np.uint64(shifts[run])
        if shift:
            half, mask = np.int64(1) << np.int64(shift - np.uint64(1)), (np.uint64(1) << shift) - np.uint64(1)
            for t in range(first[run], first[run] + length[run]):
                held |= (np.uint64(np.int64(numbers[column[run], t]) + half) & mask) << bits
                bits += shift
                while bits >= np.uint64(8):
                    out[at] = np.uint8(held & np.uint64(255))
                    at += 1
                    held >>= np.uint64(8)
                    bits -= np.uint64(8)
    if bits:
        out[at] = np.uint8(held & np.uint64(255))


@compiled
def _put(  # noqa: PLR0913 - compiled code takes arrays, not objects
    symbols: NDArray[np.int8],
    runs: tuple[Places, Places, Places],
    shifts: NDArray[np.int32],
    radii: NDArray[np.int32],
    beyond: Places,
    low: Bytes,
    numbers: Numbers,
) -> np.int64:
    """Undo `_take` and `_write_low`; return the largest escaped magnitude, its low bits left out."""
    column, first, length = runs
    largest = np.int64(0)
    at, escape, byte, held, bits = 0, 0, 0, np.uint64(0), np.uint64(0)
    for run in range(len(column)):
        there = numbers[column[run], first[run] : first[run] + length[run]]
        shift = np.uint64(shifts[run])
        half, mask = (np.int64(1) << np.int64(shift)) >> np.int64(1), (np.uint64(1) << shift) - np.uint64(1)
        for i in range(len(there)):
            there[i] = symbols[at + i]
        if len(beyond):
            for i in range(len(there)):
                if symbols[at + i] == np.int8(-128):
                    high = (beyond[escape] >> 1) + radii[run] + 1
                    largest = max(largest, high << np.int64(shift))
                    there[i] = np.int32(-high if beyond[escape] & 1 else high)
                    escape += 1
        if shift:
            for i in range(len(there)):
                while bits < shift:
                    held |= np.uint64(low[byte]) << bits
                    byte += 1
                    bits += np.uint64(8)
                there[i] = np.int32((np.int64(there[i]) << np.int64(shift)) + np.int64(held & mask) - half)
                held >>= shift
                bits -= shift
        at += length[run]
    return largest

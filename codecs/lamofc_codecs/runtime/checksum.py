"""crc32c (Castagnoli), the checksum of records: one definition, in Python and inside numba code.

`crc32c(data)` is for Python. Compiled code calls `crc32c_span(buffer, start, stop, crc)`, so that a batch of records is
checked without a return to Python. On x86 with SSE4.2 and on arm64 with the crc
extension the processor's own instruction is used, three streams at once, because one stream waits three cycles for each
8 bytes. Other processors look up eight tables for each 8 bytes. All forms give the same values.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime.intrinsics import CRC32C, fold64, load64
from lamofc_codecs.runtime.jit import Bytes, Int, as_bytes, compiled, inlined

POLYNOMIAL = 0x82F63B78
"""Castagnoli's polynomial, bits reversed."""

_LONG = 1024
_SHORT = 128
"""Bytes of each of the three parallel streams: long ones as far as they go, then short ones."""


def _byte_table() -> NDArray[np.uint32]:
    """Return the crc of each single byte."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def _slice_tables() -> NDArray[np.uint32]:
    """Return tables of 8 x 256: row k has the crc of each byte with k zero bytes after it."""
    tables = [_byte_table()]
    for _ in range(7):
        tables.append((tables[0][tables[-1] & 0xFF] ^ (tables[-1] >> 8)).astype(np.uint32))
    return np.stack(tables)


def _shift_tables(zeros: int) -> NDArray[np.uint32]:
    """Return tables of 4 x 256 that append `zeros` zero bytes to a running crc.

    The map is linear, so the crc of the four bytes of a running crc is the xor of four look-ups.
    """
    bits = (np.uint32(1) << np.arange(32, dtype=np.uint32)).astype(np.uint32)
    table = _byte_table()
    for _ in range(zeros):
        bits = (table[bits & 0xFF] ^ (bits >> 8)).astype(np.uint32)
    chosen = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(bool)
    table = np.empty((4, 256), np.uint32)
    for k in range(4):
        table[k] = np.bitwise_xor.reduce(np.where(chosen, bits[8 * k : 8 * k + 8], 0), axis=1)
    return table


_TABLES = _slice_tables()
_AFTER_LONG = _shift_tables(_LONG)
_AFTER_SHORT = _shift_tables(_SHORT)
_ONES = np.uint64(0xFFFFFFFF)


@inlined
def _after(crc: Int, tables: NDArray[np.uint32]) -> Int:
    """Append the zero bytes of `tables` to a running crc."""
    low, high = crc & np.uint64(0xFFFF), crc >> np.uint64(16)
    return np.uint64(
        tables[0, low & np.uint64(255)]
        ^ tables[1, low >> np.uint64(8)]
        ^ tables[2, high & np.uint64(255)]
        ^ tables[3, high >> np.uint64(8)]
    )


@inlined
def _fold8(crc: Int, byte: Int) -> Int:
    """Append one byte to a running crc by table look-up."""
    return np.uint64(_TABLES[0, (crc ^ np.uint64(byte)) & np.uint64(255)]) ^ (crc >> np.uint64(8))


@compiled
def _by_table(buffer: NDArray[np.uint8], start: Int, stop: Int, crc: Int) -> Int:
    """Compute the crc by eight table look-ups for each 8 bytes."""
    at, value = start, np.uint64(crc) ^ _ONES
    while at + 8 <= stop:
        word = load64(buffer, at) ^ value
        value = np.uint64(0)
        for k in range(8):
            value ^= np.uint64(_TABLES[7 - k, (word >> np.uint64(8 * k)) & np.uint64(255)])
        at += 8
    while at < stop:
        value = _fold8(value, buffer[at])
        at += 1
    return np.uint32(value ^ _ONES)


@compiled
def _by_instruction(buffer: NDArray[np.uint8], start: Int, stop: Int, crc: Int) -> Int:
    """Compute the crc by the processor's instruction: three streams, then one, then single bytes."""
    at, value = start, np.uint64(crc) ^ _ONES
    while at + 3 * _LONG <= stop:
        second, third = np.uint64(0), np.uint64(0)
        for k in range(at, at + _LONG, 8):
            value = fold64(value, load64(buffer, k))
            second = fold64(second, load64(buffer, k + _LONG))
            third = fold64(third, load64(buffer, k + 2 * _LONG))
        value = _after(_after(value, _AFTER_LONG) ^ second, _AFTER_LONG) ^ third
        at += 3 * _LONG
    while at + 3 * _SHORT <= stop:
        second, third = np.uint64(0), np.uint64(0)
        for k in range(at, at + _SHORT, 8):
            value = fold64(value, load64(buffer, k))
            second = fold64(second, load64(buffer, k + _SHORT))
            third = fold64(third, load64(buffer, k + 2 * _SHORT))
        value = _after(_after(value, _AFTER_SHORT) ^ second, _AFTER_SHORT) ^ third
        at += 3 * _SHORT
    while at + 8 <= stop:
        value = fold64(value, load64(buffer, at))
        at += 8
    while at < stop:
        value = _fold8(value, buffer[at])
        at += 1
    return np.uint32(value ^ _ONES)


crc32c_span = _by_instruction if CRC32C else _by_table
"""`(buffer: uint8 array, start, stop, crc) -> uint32`: the crc of buffer[start:stop] after `crc`, for compiled code.

The caller keeps start and stop inside the buffer and passes them as signed integers, the crc as a uint32.
"""


@compiled
def _full(buffer: NDArray[np.uint8]) -> Int:
    return crc32c_span(buffer, 0, buffer.size, np.uint32(0))


def crc32c(data: Bytes, start: int = 0) -> int:
    """Return the crc32c of `data`, continued from `start`, the crc of the bytes before it."""
    array = as_bytes(data)
    return int(_full(array) if start == 0 else crc32c_span(array, 0, array.size, np.uint32(start)))

"""The compiled loops behind coefficients.py: from tokens x columns to columns that stand one after another, and back.

Bytes are turned eight by eight inside 64-bit words: read and written a byte at a time, the same would cost more than
the entropy coder.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import compiled

Bytes = NDArray[np.int8]
Places = NDArray[np.int64]
_LEFT, _RIGHT = np.uint64(0x00000000FFFFFFFF), np.uint64(32)
_PAIRS, _PAIR = np.uint64(0x0000FFFF0000FFFF), np.uint64(16)
_ODDS, _ODD = np.uint64(0x00FF00FF00FF00FF), np.uint64(8)


def padded(tokens: int, columns: int) -> Bytes:
    """Room for tokens x columns whose axes are whole multiples of 8; not cleared."""
    return np.empty((-(-tokens // 8) * 8, -(-columns // 8) * 8), np.int8)


def turned(rows: Bytes) -> Bytes:
    """Transpose an array whose axes are multiples of 8."""
    out = np.empty((rows.shape[1], rows.shape[0]), np.int8)
    if rows.size:
        _turn(rows.view(np.uint64), out.view(np.uint64))
    return out


def scatter(high: Bytes, starts: Places, tokens: int, symbols: Bytes) -> None:
    """Put each column of padded tokens x columns where it stands among the symbols."""
    _scatter(turned(high), starts, tokens, symbols)


def gather(symbols: Bytes, starts: Places, tokens: int) -> Bytes:
    """Undo `scatter`; what pads the columns and tokens is not defined."""
    columns = padded(len(starts), tokens)
    _gather(symbols, starts, tokens, columns)
    return turned(columns)


@compiled
def place_columns(tables: NDArray[np.int32], order: Places, tokens: int) -> tuple[Places, NDArray[np.uint16]]:
    """Where each column's first token stands among the symbols, and the table of each row of 32 of them."""
    starts = np.empty(len(order), np.int64)
    count = len(order) * tokens
    rows = np.empty((count + 31) // 32, np.uint16)
    row = 0
    for rank in range(len(order)):
        starts[order[rank]] = rank * tokens
        table, end = np.uint16(tables[order[rank]]), (rank + 1) * tokens
        # A row belongs to the column of its last symbol; the last row may end before its 32nd.
        while row * 32 + 32 <= end or (rank == len(order) - 1 and row < len(rows)):
            rows[row] = table
            row += 1
    return starts, rows


@compiled
def _turn(rows: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    w = np.empty(8, np.uint64)
    for t in range(out.shape[1]):
        for c in range(rows.shape[1]):
            for i in range(8):
                w[i] = rows[8 * t + i, c]
            for i in range(4):
                x = ((w[i] >> _RIGHT) ^ w[i + 4]) & _LEFT
                w[i + 4] ^= x
                w[i] ^= x << _RIGHT
            for j in range(4):
                i = j + (j & 2)
                x = ((w[i] >> _PAIR) ^ w[i + 2]) & _PAIRS
                w[i + 2] ^= x
                w[i] ^= x << _PAIR
            for j in range(4):
                i = 2 * j
                x = ((w[i] >> _ODD) ^ w[i + 1]) & _ODDS
                w[i + 1] ^= x
                w[i] ^= x << _ODD
            for i in range(8):
                out[8 * c + i, t] = w[i]


@compiled
def _scatter(columns: Bytes, starts: Places, tokens: int, symbols: Bytes) -> None:
    for c in range(len(starts)):
        symbols[starts[c] : starts[c] + tokens] = columns[c, :tokens]


@compiled
def _gather(symbols: Bytes, starts: Places, tokens: int, columns: Bytes) -> None:
    for c in range(len(starts)):
        columns[c, :tokens] = symbols[starts[c] : starts[c] + tokens]


@compiled
def find_escapes(symbols: Bytes, order: Places, starts: Places, tokens: int) -> Places:
    """Positions (token * columns + column) of the escaped numbers, in the order of the symbols."""
    count = np.int64(0)
    for symbol in symbols:
        count += symbol == np.int8(-128)
    found = np.empty(count, np.int64)
    if count == 0:
        return found
    at = 0
    for c in order:
        column = symbols[starts[c] : starts[c] + tokens]
        inside = np.int64(0)
        for symbol in column:
            inside += symbol == np.int8(-128)
        if inside:
            for t in range(tokens):
                if column[t] == np.int8(-128):
                    found[at] = t * len(order) + c
                    at += 1
    return found[:at]


@compiled
def pack_low(numbers: NDArray[np.int32], order: Places, shifts: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    """Write low bits, column after column, the lowest bit of each byte first, into `out`, which is all zeros."""
    at, held, bits = 0, np.uint64(0), np.uint64(0)
    for c in order:
        shift = np.uint64(shifts[c])
        if shift:
            half, mask = np.int64(1) << np.int64(shift - np.uint64(1)), (np.uint64(1) << shift) - np.uint64(1)
            for t in range(numbers.shape[0]):
                held |= (np.uint64(np.int64(numbers[t, c]) + half) & mask) << bits
                bits += shift
                while bits >= np.uint64(8):
                    out[at] = np.uint8(held & np.uint64(255))
                    at += 1
                    held >>= np.uint64(8)
                    bits -= np.uint64(8)
    if bits:
        out[at] = np.uint8(held & np.uint64(255))


@compiled
def unpack_low(data: NDArray[np.uint8], order: Places, shifts: NDArray[np.int32], numbers: NDArray[np.int32]) -> None:
    """Undo `pack_low` in place: `numbers` holds the high parts and gets the whole ones."""
    at, held, bits = 0, np.uint64(0), np.uint64(0)
    for c in order:
        shift = np.uint64(shifts[c])
        if shift:
            half, mask = np.int64(1) << np.int64(shift - np.uint64(1)), (np.uint64(1) << shift) - np.uint64(1)
            for t in range(numbers.shape[0]):
                while bits < shift:
                    held |= np.uint64(data[at]) << bits
                    at += 1
                    bits += np.uint64(8)
                high = np.int64(numbers[t, c]) << np.int64(shift)
                numbers[t, c] = np.int32(high + np.int64(held & mask) - half)
                held >>= shift
                bits -= shift

"""Compiled loops that bring tokens x columns to columns that stand one after another, and back.

Bytes are transposed eight by eight inside 64-bit words: read and written one at a time, they would cost more than the
entropy coder.
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
    """Allocate tokens x columns, both rounded up to multiples of 8; the contents are undefined."""
    return np.empty((-(-tokens // 8) * 8, -(-columns // 8) * 8), np.int8)


def transposed(rows: Bytes) -> Bytes:
    """Transpose an array whose axes are multiples of 8."""
    out = np.empty((rows.shape[1], rows.shape[0]), np.int8)
    if rows.size:
        _transpose(rows.view(np.uint64), out.view(np.uint64))
    return out


def scatter(high: Bytes, starts: Places, tokens: int, symbols: Bytes) -> None:
    """Copy each column of padded tokens x columns to its place among the symbols."""
    _scatter(transposed(high), starts, tokens, symbols)


def gather(symbols: Bytes, starts: Places, tokens: int) -> Bytes:
    """Invert `scatter`; the padding of columns and tokens is undefined."""
    columns = padded(len(starts), tokens)
    _gather(symbols, starts, tokens, columns)
    return transposed(columns)


@compiled
def place_columns(tables: NDArray[np.int32], order: Places, tokens: int) -> tuple[Places, NDArray[np.uint16]]:
    """Return where the first token of each column stands among the symbols, and the table of each row of 32."""
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
def _transpose(rows: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
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
    """Return the positions (token * columns + column) of the escaped levels, in the order of the symbols."""
    count = np.int64(0)
    for symbol in symbols:
        count += symbol == np.int8(-128)
    positions = np.empty(count, np.int64)
    if count == 0:
        return positions
    at = 0
    for c in order:
        column = symbols[starts[c] : starts[c] + tokens]
        inside = np.int64(0)
        for symbol in column:
            inside += symbol == np.int8(-128)
        if inside:
            for t in range(tokens):
                if column[t] == np.int8(-128):
                    positions[at] = t * len(order) + c
                    at += 1
    return positions[:at]

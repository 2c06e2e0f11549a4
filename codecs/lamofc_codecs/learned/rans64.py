"""The entropy coder of the learned codecs: it writes the stream of CompressAI's coder, and checks all that it reads.

The coder has one state of 64 bits, words of 32 bits, and frequencies of 16 bits in a table for each index. A value
outside of its table is coded as the table's last symbol, followed by digits of four bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.errors import CodecError, CorruptRecord
from lamofc_codecs.runtime import Int, compiled

Ints = NDArray[np.int32]
_PRECISION = 16
_LOW = 1 << 31
_DIGITS = 8
"""Digits of the largest escape: 32 bits."""


@dataclass(frozen=True)
class Cdfs:
    """Cumulative frequencies of entropy tables: row i has `lengths[i]` of them, for values from `offsets[i]` on."""

    table: Ints
    lengths: Ints
    offsets: Ints

    def check(self) -> None:
        """Refuse tables that do not rise from 0 to 65536."""
        rows, width = self.table.shape
        fits = self.lengths.shape == self.offsets.shape == (rows,)
        if not fits or not rows or (self.lengths < 2).any() or (self.lengths > width).any():
            raise CodecError(f"entropy tables of {self.table.shape} and lengths of {self.lengths.shape}", "train again")
        for row, length in zip(self.table, self.lengths, strict=True):
            if row[0] != 0 or row[length - 1] != 1 << _PRECISION or (np.diff(row[:length]) <= 0).any():
                raise CodecError(f"an entropy table of {length} entries does not rise from 0 to 65536", "train again")


class Writer:
    """Writer of a stream: it gathers values, and then codes them from the last to the first."""

    def __init__(self) -> None:
        self._steps: list[NDArray[np.uint32]] = []

    def push(self, values: Ints, indexes: Ints, cdfs: Cdfs) -> None:
        """Add values, each under the table of its index."""
        room = np.empty((len(values) + 2 * _DIGITS * _outside(values, indexes, cdfs), 2), np.uint32)
        used = _steps(values, indexes, cdfs.table, cdfs.lengths, cdfs.offsets, room)
        self._steps.append(room[:used])

    def finish(self) -> bytes:
        """Return the stream."""
        steps = np.concatenate(self._steps) if self._steps else np.empty((0, 2), np.uint32)
        words = np.empty(len(steps) + 2, np.uint32)
        return words[_write(steps, words) :].tobytes()


class Reader:
    """Reader of a stream: it returns the values in the order in which they were pushed."""

    def __init__(self, data: memoryview) -> None:
        if len(data) % 4 or len(data) < 8:
            raise CorruptRecord(f"a stream of {len(data)} bytes is not two words of 32 bits or more")
        self._words = np.frombuffer(data, "<u4").astype(np.uint32)
        self._state = np.array([int(self._words[0]) | int(self._words[1]) << 32, 2], np.uint64)

    def pull(self, indexes: Ints, cdfs: Cdfs) -> Ints:
        """Return the next values, one for each index."""
        values = np.empty(len(indexes), np.int32)
        if not _read(self._words, self._state, indexes, cdfs.table, cdfs.lengths, cdfs.offsets, values):
            raise CorruptRecord(f"a stream of {4 * len(self._words)} bytes ends before its values do")
        return values

    def finish(self) -> None:
        """Refuse a stream whose words are not used up, or whose final state is wrong."""
        if self._state[0] != _LOW or self._state[1] != len(self._words):
            raise CorruptRecord(
                f"{len(self._words) - int(self._state[1])} words are left of a stream, or its end is off"
            )


def _outside(values: Ints, indexes: Ints, cdfs: Cdfs) -> int:
    """Count the values that have no symbol of their own."""
    places = values.astype(np.int64) - cdfs.offsets[indexes]
    return int(((places < 0) | (places >= cdfs.lengths[indexes] - 2)).sum())


@compiled
def _steps(values: Ints, indexes: Ints, table: Ints, lengths: Ints, offsets: Ints, room: NDArray[np.uint32]) -> int:
    """Write the start and the width of each step to `room`, and return their count; width 0 stands for a digit."""
    used = 0
    for i in range(len(values)):
        row = indexes[i]
        last = lengths[row] - 2
        place = np.int64(values[i]) - offsets[row]
        beyond = np.int64(0)
        if place < 0:
            beyond = -2 * place - 1
            place = np.int64(last)
        elif place >= last:
            beyond = 2 * (place - last)
            place = np.int64(last)
        room[used, 0] = table[row, place]
        room[used, 1] = table[row, place + 1] - table[row, place]
        used += 1
        if place == last:
            digits = 0
            while beyond >> (4 * digits):
                digits += 1
            room[used, 0] = digits
            room[used, 1] = 0
            used += 1
            for j in range(digits):
                room[used, 0] = (beyond >> (4 * j)) & 15
                room[used, 1] = 0
                used += 1
    return used


@compiled
def _write(steps: NDArray[np.uint32], words: NDArray[np.uint32]) -> Int:
    """Write the stream to the end of `words`, and return the index of its first word."""
    state = np.uint64(_LOW)
    at = len(words)
    for i in range(len(steps) - 1, -1, -1):
        start, width = np.uint64(steps[i, 0]), np.uint64(steps[i, 1])
        wide = width if width else np.uint64(1 << (_PRECISION - 4))
        if state >= (np.uint64(_LOW >> _PRECISION) << np.uint64(32)) * wide:
            at -= 1
            words[at] = state & np.uint64(0xFFFFFFFF)
            state >>= np.uint64(32)
        if width:
            state = ((state // width) << np.uint64(_PRECISION)) + state % width + start
        else:
            state = (state << np.uint64(4)) | start
    at -= 2
    words[at] = state & np.uint64(0xFFFFFFFF)
    words[at + 1] = state >> np.uint64(32)
    return at


@compiled
def _digit(words: NDArray[np.uint32], state: Int, at: Int) -> tuple[Int, Int, Int]:
    """Return the next digit, and the state and the word index after it; the index is -1 if the words are used up."""
    digit = np.int64(state & np.uint64(15))
    state >>= np.uint64(4)
    if state < np.uint64(_LOW):
        if at < 0 or at >= len(words):
            return digit, state, np.int64(-1)
        state = (state << np.uint64(32)) | np.uint64(words[at])
        at += 1
    return digit, state, at


@compiled
def _read(  # noqa: PLR0913 - compiled code takes arrays, not objects
    words: NDArray[np.uint32],
    at_state: NDArray[np.uint64],
    indexes: Ints,
    table: Ints,
    lengths: Ints,
    offsets: Ints,
    values: Ints,
) -> bool:
    state, at = at_state[0], np.int64(at_state[1])
    for i in range(len(indexes)):
        row = indexes[i]
        last = lengths[row] - 2
        slot = np.int64(state & np.uint64(0xFFFF))
        low, high = np.int64(0), np.int64(last)
        while low < high:
            middle = (low + high + 1) >> 1
            if table[row, middle] <= slot:
                low = middle
            else:
                high = middle - 1
        width = np.uint64(table[row, low + 1] - table[row, low])
        state = width * (state >> np.uint64(16)) + np.uint64(slot - table[row, low])
        if state < np.uint64(_LOW):
            if at >= len(words):
                return False
            state = (state << np.uint64(32)) | np.uint64(words[at])
            at += 1
        place = low
        if place == last:
            digits, state, at = _digit(words, state, at)
            beyond = np.int64(0)
            for j in range(digits):
                digit, state, at = _digit(words, state, at)
                beyond |= digit << (4 * j)
            if at < 0 or digits > _DIGITS:
                return False
            place = -((beyond + 1) >> 1) if beyond & 1 else last + (beyond >> 1)
        value = place + offsets[row]
        if not -(1 << 31) <= value < 1 << 31:
            return False
        values[i] = value
    at_state[0] = state
    at_state[1] = np.uint64(at)
    return True

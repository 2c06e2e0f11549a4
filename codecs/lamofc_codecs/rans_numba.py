"""rANS on the CPU: the bytes of `rans_reference`, all streams of a block or of a whole batch in one compiled call.

The 32 lanes of a step go through short loops (look up, update, refill) rather than one long one: all but the last then
become vector instructions. The refill has no branch: it always loads the next word and moves on only if that was used.
Arithmetic is spelled out as uint32 everywhere, as numba would widen it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.compiled import Int, compiled
from lamofc_codecs.instructions import load16, store16
from lamofc_codecs.rans_block import (
    COUNT,
    END_STATE,
    FIRST,
    FIRST_STATE,
    LANES,
    ROW,
    START,
    STOP,
    TABLES,
    WORDS_END,
    WORDS_LEFT,
)

_U = np.uint32
_LOW = np.uint32(1 << 15)
_LANES = 32


def _full_steps(lanes: int) -> Callable[..., tuple[Int, Int]]:
    """A loop for that many lanes: with the number known, the compiler unrolls it."""

    @compiled
    def steps(
        buffer: NDArray[np.uint8],
        span: tuple[Int, Int],
        row_tables: NDArray[np.uint16],
        slots: NDArray[np.uint32],
        work: NDArray[np.uint32],
        symbols: NDArray[np.uint8],
    ) -> tuple[Int, Int]:
        """Whole rows while their words are surely there; returns the symbols done and where the words go on."""
        states, entries = work[0], work[1]
        done = np.int64(0)
        at, stop = span
        while done + ROW <= symbols.size and at + 2 * ROW <= stop:
            table = slots[row_tables[done // ROW]]
            for _ in range(ROW // lanes):
                for lane in range(lanes):
                    entries[lane] = table[np.int64(states[lane] & _U(4095))]
                for lane in range(lanes):
                    symbols[done + lane] = np.uint8(entries[lane])
                for lane in range(lanes):
                    entry = entries[lane]
                    freq = _U(entry >> _U(8)) & _U(4095)
                    states[lane] = _U(_U(freq * _U(states[lane] >> _U(12))) + _U(entry >> _U(20)))
                for lane in range(lanes):
                    x = states[lane]
                    short = x < _LOW
                    refilled = _U(x << _U(16)) | load16(buffer, at)
                    states[lane] = refilled if short else x
                    at += np.int64(short) * 2
                done += lanes
        return done, at

    return steps


_rows_of_32, _rows_of_16, _rows_of_8 = _full_steps(32), _full_steps(16), _full_steps(8)


@compiled
def decode_streams(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """Decode the listed streams into `out`; returns -1, or 8 x the number of the first bad stream + what is wrong."""
    work = np.empty((2, _LANES), np.uint32)
    for number in range(len(streams)):
        wrong = _decode_stream(buffer, streams[number], row_tables, slots, work, out)
        if wrong:
            return np.int64(8 * number + wrong)
    return np.int64(-1)


@compiled
def _decode_stream(
    buffer: NDArray[np.uint8],
    stream: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    work: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """One stream; returns what is wrong with it, or 0."""
    lanes, at, stop = stream[LANES], stream[START], stream[STOP]
    states = work[0, :lanes]
    for lane in range(lanes):
        states[lane] = load16(buffer, at) | _U(load16(buffer, at + 2) << _U(16))
        at += 4
        if states[lane] < _LOW or states[lane] >> _U(31):
            return FIRST_STATE
    symbols = out[stream[FIRST] : stream[FIRST] + stream[COUNT]]
    tables = row_tables[stream[TABLES] :]
    done = np.int64(0)
    if lanes == 32:
        done, at = _rows_of_32(buffer, (at, stop), tables, slots, work, symbols)
    elif lanes == 16:
        done, at = _rows_of_16(buffer, (at, stop), tables, slots, work, symbols)
    elif lanes == 8:
        done, at = _rows_of_8(buffer, (at, stop), tables, slots, work, symbols)
    at = _careful_steps(buffer, (at, stop), tables[done // ROW :], slots, states, symbols[done:])
    if at < 0:
        return WORDS_END
    if at != stop:
        return WORDS_LEFT
    for lane in range(lanes):
        if states[lane] != _LOW:
            return END_STATE
    return 0


@compiled
def _careful_steps(
    buffer: NDArray[np.uint8],
    span: tuple[Int, Int],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    states: NDArray[np.uint32],
    symbols: NDArray[np.uint8],
) -> Int:
    """Any number of lanes, each word checked to be there; returns where the words end, or -1 if they were too few."""
    at, stop = span
    done = np.int64(0)
    while done < symbols.size:
        table = slots[row_tables[done // ROW]]
        for lane in range(states.size):
            x = states[lane]
            entry = table[np.int64(x & _U(4095))]
            if done + lane < symbols.size:
                symbols[done + lane] = np.uint8(entry)
            x = _U(_U((_U(entry >> _U(8)) & _U(4095)) * _U(x >> _U(12))) + _U(entry >> _U(20)))
            if x < _LOW:
                if at + 2 > stop:
                    return np.int64(-1)
                x = _U(x << _U(16)) | load16(buffer, at)
                at += 2
            states[lane] = x
        done += states.size
    return at


@compiled
def coded_millibits(
    symbols: NDArray[np.uint8], row_tables: NDArray[np.uint16], millibits: NDArray[np.uint32]
) -> tuple[Int, Int]:
    """What the symbols cost in 1/1024 bit, and the largest cost of one."""
    total, largest = np.int64(0), np.uint32(0)
    for row in range(row_tables.size):
        costs = millibits[row_tables[row]]
        for place in range(row * ROW, min(row * ROW + ROW, symbols.size)):
            cost = costs[symbols[place]]
            total += np.int64(cost)
            largest = max(largest, cost)
    return total, largest


Coder = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint8]]
"""What an encoder needs of `Tables`: coding, reciprocals, likeliest."""


@compiled
def encode_streams(
    symbols: NDArray[np.uint8], firsts: NDArray[np.int64], row_tables: NDArray[np.uint16], coder: Coder, lanes: Int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All streams end to end, and the bytes of each. `firsts` says where each one's symbols begin.

    Each is written from the end of a room that would hold it even if every symbol cost a whole word; only what is used
    of that room is ever touched.
    """
    count = firsts.size - 1
    room = 6 * lanes + 2
    scratch = np.empty(2 * symbols.size + count * room, np.uint8)
    begins, ends = np.empty(count, np.int64), np.empty(count, np.int64)
    for stream in range(count):
        first, last = firsts[stream], firsts[stream + 1]
        ends[stream] = 2 * last + (stream + 1) * room
        begins[stream] = _encode_stream(
            symbols[first:last], row_tables[first // ROW :], coder, lanes, scratch, ends[stream]
        )
    sizes = ends - begins
    packed = np.empty(sizes.sum(), np.uint8)
    at = np.int64(0)
    for stream in range(count):
        packed[at : at + sizes[stream]] = scratch[begins[stream] : ends[stream]]
        at += sizes[stream]
    return packed, sizes


@compiled
def _encode_stream(
    symbols: NDArray[np.uint8],
    row_tables: NDArray[np.uint16],
    coder: Coder,
    lanes: Int,
    scratch: NDArray[np.uint8],
    at: Int,
) -> Int:
    """Write one stream so that it ends at `at`; returns where it begins."""
    coding, reciprocals, likeliest = coder
    states = np.full(lanes, _LOW, np.uint32)
    codes, inverses = np.empty(lanes, np.uint32), np.empty(lanes, np.uint32)
    steps = (symbols.size + lanes - 1) // lanes
    for step in range(steps - 1, -1, -1):
        table = row_tables[step * lanes // ROW]
        code_of, inverse_of = coding[table], reciprocals[table]
        for lane in range(lanes):
            place = step * lanes + lane
            symbol = symbols[place] if place < symbols.size else likeliest[table]
            codes[lane], inverses[lane] = code_of[symbol], inverse_of[symbol]
        for lane in range(lanes - 1, -1, -1):
            x = states[lane]
            full = x >= _U(_U(codes[lane] & _U(4095)) << _U(19))
            store16(scratch, at - 2, x)
            at -= np.int64(full) * 2
            states[lane] = _U(x >> _U(16)) if full else x
        for lane in range(lanes):
            x, code = states[lane], codes[lane]
            shift = np.uint64(code >> _U(24)) + np.uint64(31)
            share = _U((np.uint64(x) * np.uint64(inverses[lane])) >> shift)
            start = _U(code >> _U(12)) & _U(4095)
            states[lane] = _U(_U(x + start) + _U(share * _U(_U(4096) - _U(code & _U(4095)))))
    for lane in range(lanes - 1, -1, -1):
        at -= 4
        store16(scratch, at, states[lane])
        store16(scratch, at + 2, _U(states[lane] >> _U(16)))
    return at

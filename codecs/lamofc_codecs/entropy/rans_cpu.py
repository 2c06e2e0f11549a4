"""rANS on the CPU: the bytes of `rans_reference`, all streams of a block or of a whole batch in one compiled call.

Blocks of 8, 16 and 32 lanes go through the vector steps of `rans_steps`; fewer lanes, last steps and the rows near a
stream's end, where its words may run out, go symbol by symbol. uint32 arithmetic is spelled out, as numba would widen
it.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy.rans_layout import (
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
from lamofc_codecs.entropy.rans_simd import decode_step, encode_step
from lamofc_codecs.entropy.tables import SLOTS, SYMBOLS
from lamofc_codecs.runtime import Int, compiled, load16, store16

_U = np.uint32
_LOW = np.uint32(1 << 15)


def _whole_rows(lanes: int) -> Callable[..., tuple[Int, Int]]:
    """The decoder's loop for that many lanes."""
    step = decode_step(lanes)

    @compiled
    def rows(
        buffer: NDArray[np.uint8],
        span: tuple[Int, Int],
        row_tables: NDArray[np.uint16],
        slots: NDArray[np.uint32],
        states: NDArray[np.uint32],
        symbols: NDArray[np.uint8],
    ) -> tuple[Int, Int]:
        """Whole rows while their words are surely there; returns the symbols done and where the words go on."""
        done = np.int64(0)
        at, stop = span
        while done + ROW <= symbols.size and at + 2 * ROW <= stop:
            table = np.int64(row_tables[done // ROW]) * SLOTS
            for first in range(0, ROW, lanes):
                at = step(states, slots, table, symbols, done + first, buffer, at)
            done += ROW
        return done, at

    return rows


def _whole_steps(lanes: int) -> Callable[..., Int]:
    """The encoder's loop for that many lanes."""
    step = encode_step(lanes)

    @compiled
    def steps(
        symbols: NDArray[np.uint8],
        row_tables: NDArray[np.uint16],
        coding: NDArray[np.uint64],
        states: NDArray[np.uint32],
        scratch: NDArray[np.uint8],
        at: Int,
    ) -> Int:
        """All steps that are full, from the last to the first; returns where the words begin."""
        for number in range(symbols.size // lanes - 1, -1, -1):
            place = number * lanes
            at = step(states, coding, np.int64(row_tables[place // ROW]) * SYMBOLS, symbols, place, scratch, at)
        return at

    return steps


_rows_of_8, _rows_of_16, _rows_of_32 = _whole_rows(8), _whole_rows(16), _whole_rows(32)
_steps_of_8, _steps_of_16, _steps_of_32 = _whole_steps(8), _whole_steps(16), _whole_steps(32)


@compiled
def decode_streams(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """Decode the listed streams into `out`; returns -1, or 8 x the number of the first bad stream + what is wrong."""
    states = np.empty(ROW, np.uint32)
    for number in range(len(streams)):
        wrong = _decode_stream(buffer, streams[number], row_tables, slots, states, out)
        if wrong:
            return np.int64(8 * number + wrong)
    return np.int64(-1)


@compiled
def _decode_stream(
    buffer: NDArray[np.uint8],
    stream: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    lane_states: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """One stream; returns what is wrong with it, or 0."""
    lanes, at, stop = stream[LANES], stream[START], stream[STOP]
    states = lane_states[:lanes]
    for lane in range(lanes):
        states[lane] = load16(buffer, at) | _U(load16(buffer, at + 2) << _U(16))
        at += 4
        if states[lane] < _LOW or states[lane] >> _U(31):
            return FIRST_STATE
    symbols = out[stream[FIRST] : stream[FIRST] + stream[COUNT]]
    tables = row_tables[stream[TABLES] :]
    done = np.int64(0)
    if lanes == 32:
        done, at = _rows_of_32(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 16:
        done, at = _rows_of_16(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 8:
        done, at = _rows_of_8(buffer, (at, stop), tables, slots, states, symbols)
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
        table = np.int64(row_tables[done // ROW]) * SLOTS
        for lane in range(states.size):
            x = states[lane]
            entry = slots[table + np.int64(x & _U(4095))]
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


@compiled
def encode_streams(
    symbols: NDArray[np.uint8],
    firsts: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    coding: NDArray[np.uint64],
    likeliest: NDArray[np.uint8],
    lanes: Int,
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
        tables, states = row_tables[first // ROW :], np.full(lanes, _LOW, np.uint32)
        at, whole = ends[stream], (last - first) // lanes * lanes
        if first + whole < last:
            at = _short_step(
                symbols[first + whole : last], tables[whole // ROW], coding, likeliest, states, scratch, at
            )
        at = _encode_steps(symbols[first : first + whole], tables, coding, states, scratch, at)
        for lane in range(lanes - 1, -1, -1):
            at -= 4
            store16(scratch, at, states[lane])
            store16(scratch, at + 2, _U(states[lane] >> _U(16)))
        begins[stream] = at
    sizes = ends - begins
    packed = np.empty(sizes.sum(), np.uint8)
    at = np.int64(0)
    for stream in range(count):
        packed[at : at + sizes[stream]] = scratch[begins[stream] : ends[stream]]
        at += sizes[stream]
    return packed, sizes


@compiled
def _encode_steps(
    symbols: NDArray[np.uint8],
    row_tables: NDArray[np.uint16],
    coding: NDArray[np.uint64],
    states: NDArray[np.uint32],
    scratch: NDArray[np.uint8],
    at: Int,
) -> Int:
    """Full steps, however many lanes; returns where the words begin."""
    lanes = states.size
    if lanes == 32:
        return _steps_of_32(symbols, row_tables, coding, states, scratch, at)
    if lanes == 16:
        return _steps_of_16(symbols, row_tables, coding, states, scratch, at)
    if lanes == 8:
        return _steps_of_8(symbols, row_tables, coding, states, scratch, at)
    for place in range(symbols.size - 1, -1, -1):
        code = coding[np.int64(row_tables[place // ROW]) * SYMBOLS + symbols[place]]
        at = _encode_one(states, place % lanes, code, scratch, at)
    return at


@compiled
def _short_step(  # noqa: PLR0913
    symbols: NDArray[np.uint8],
    table: Int,
    coding: NDArray[np.uint64],
    likeliest: NDArray[np.uint8],
    states: NDArray[np.uint32],
    scratch: NDArray[np.uint8],
    at: Int,
) -> Int:
    """The last step of a stream, filled up with the table's likeliest symbol."""
    for lane in range(states.size - 1, -1, -1):
        symbol = symbols[lane] if lane < symbols.size else likeliest[table]
        at = _encode_one(states, lane, coding[np.int64(table) * SYMBOLS + symbol], scratch, at)
    return at


@compiled
def _encode_one(states: NDArray[np.uint32], lane: Int, code: Int, scratch: NDArray[np.uint8], at: Int) -> Int:
    """One symbol into one lane."""
    x = _U(states[lane])
    freq = _U(code >> np.uint64(32)) & _U(4095)
    if x >= _U(freq << _U(19)):
        at -= 2
        store16(scratch, at, x)
        x = _U(x >> _U(16))
    share = _U((np.uint64(x) * (code & np.uint64(0xFFFFFFFF))) >> ((code >> np.uint64(56)) + np.uint64(31)))
    start = _U(code >> np.uint64(44)) & _U(4095)
    states[lane] = _U(_U(x + start) + _U(share * _U(_U(4096) - freq)))
    return at

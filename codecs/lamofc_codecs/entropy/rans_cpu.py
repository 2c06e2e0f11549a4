"""rANS on the CPU: the bytes of `rans_reference`, all streams of a block or of a batch in one compiled call.

Rows are decoded by the code of `rans_simd`, and streams of 8, 16 and 32 lanes are encoded by it. Other steps, and the
rows near the end of a stream, where its words may run out, are coded symbol by symbol. Casts to uint32 are explicit
because numba would widen the arithmetic.
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
    WORDS_MISSING,
    WORDS_UNUSED,
    list_streams,
)
from lamofc_codecs.entropy.rans_simd import decode_row, encode_step
from lamofc_codecs.entropy.tables import SLOTS, SYMBOLS
from lamofc_codecs.runtime import Int, compiled, load16, store16

_U = np.uint32
_LOW = np.uint32(1 << 15)


def _make_row_loop(lanes: int) -> Callable[..., tuple[Int, Int]]:
    """Make the decoder's loop over rows for a number of lanes."""
    row = decode_row(lanes)

    @compiled
    def rows(
        buffer: NDArray[np.uint8],
        span: tuple[Int, Int],
        row_tables: NDArray[np.uint16],
        slots: NDArray[np.uint32],
        states: NDArray[np.uint32],
        symbols: NDArray[np.uint8],
    ) -> tuple[Int, Int]:
        """Decode rows while all words that they may need lie before `stop`; return the symbols decoded and `at`."""
        done = np.int64(0)
        at, stop = span
        while done + ROW <= symbols.size and at + 2 * ROW <= stop:
            table = np.int64(row_tables[done // ROW]) * SLOTS
            at = row(states, slots, table, symbols, done, buffer, at)
            done += ROW
        return done, at

    return rows


def _make_step_loop(lanes: int) -> Callable[..., Int]:
    """Make the encoder's loop over full steps for a number of lanes."""
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
        """Encode the full steps, from the last to the first; return the start of the words."""
        for number in range(symbols.size // lanes - 1, -1, -1):
            place = number * lanes
            at = step(states, coding, np.int64(row_tables[place // ROW]) * SYMBOLS, symbols, place, scratch, at)
        return at

    return steps


_rows_of_1, _rows_of_2, _rows_of_4 = _make_row_loop(1), _make_row_loop(2), _make_row_loop(4)
_rows_of_8, _rows_of_16, _rows_of_32 = _make_row_loop(8), _make_row_loop(16), _make_row_loop(32)
_steps_of_8, _steps_of_16, _steps_of_32 = _make_step_loop(8), _make_step_loop(16), _make_step_loop(32)


@compiled
def decode_streams(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """Decode listed streams into `out`; return -1, or 8 * number of the first damaged stream + code of its error."""
    states = np.empty(ROW, np.uint32)
    for number in range(len(streams)):
        error = _decode_stream(buffer, streams[number], row_tables, slots, states, out)
        if error:
            return np.int64(8 * number + error)
    return np.int64(-1)


@compiled
def decode_block(
    buffer: NDArray[np.uint8], row_tables: NDArray[np.uint16], slots: NDArray[np.uint32], out: NDArray[np.uint8]
) -> bool:
    """Decode the one block that a buffer holds; return whether it is without damage."""
    spans = np.zeros((1, 2), np.int64)
    spans[0, 1] = buffer.size
    streams, damaged = list_streams(buffer, spans, np.full(1, out.size))
    return bool(damaged < 0 and decode_streams(buffer, streams, row_tables, slots, out) < 0)


@compiled
def _decode_stream(
    buffer: NDArray[np.uint8],
    stream: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    lane_states: NDArray[np.uint32],
    out: NDArray[np.uint8],
) -> Int:
    """Decode one stream; return the code of its error, or 0."""
    lanes, at, stop = stream[LANES], stream[START], stream[STOP]
    states = lane_states[:lanes]
    for lane in range(lanes):
        states[lane] = load16(buffer, at) | _U(load16(buffer, at + 2) << _U(16))
        at += 4
        if states[lane] < _LOW or states[lane] >> _U(31):
            return FIRST_STATE
    symbols = out[stream[FIRST] : stream[FIRST] + stream[COUNT]]
    tables = row_tables[stream[TABLES] :]
    if lanes == 32:
        done, at = _rows_of_32(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 16:
        done, at = _rows_of_16(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 8:
        done, at = _rows_of_8(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 4:
        done, at = _rows_of_4(buffer, (at, stop), tables, slots, states, symbols)
    elif lanes == 2:
        done, at = _rows_of_2(buffer, (at, stop), tables, slots, states, symbols)
    else:
        done, at = _rows_of_1(buffer, (at, stop), tables, slots, states, symbols)
    at = _checked_steps(buffer, (at, stop), tables[done // ROW :], slots, states, symbols[done:])
    if at < 0:
        return WORDS_MISSING
    if at != stop:
        return WORDS_UNUSED
    for lane in range(lanes):
        if states[lane] != _LOW:
            return END_STATE
    return 0


@compiled
def _checked_steps(
    buffer: NDArray[np.uint8],
    span: tuple[Int, Int],
    row_tables: NDArray[np.uint16],
    slots: NDArray[np.uint32],
    states: NDArray[np.uint32],
    symbols: NDArray[np.uint8],
) -> Int:
    """Decode with any number of lanes and a check before each word; return the end of the words, or -1."""
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
    """Return the cost of all symbols in 1/1024 bit, and the largest cost of one symbol."""
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
    """Encode streams end to end; return them and the bytes of each. `firsts` are their first symbols.

    Each is written backwards from the end of a part of `scratch` that would hold it if every symbol took a word. Pages
    of `scratch` that no stream reaches are never touched.
    """
    count = firsts.size - 1
    margin = 6 * lanes + 2
    scratch = np.empty(2 * symbols.size + count * margin, np.uint8)
    begins, ends = np.empty(count, np.int64), np.empty(count, np.int64)
    for stream in range(count):
        first, last = firsts[stream], firsts[stream + 1]
        ends[stream] = 2 * last + (stream + 1) * margin
        tables, states = row_tables[first // ROW :], np.full(lanes, _LOW, np.uint32)
        at, full = ends[stream], (last - first) // lanes * lanes
        if first + full < last:
            at = _last_step(symbols[first + full : last], tables[full // ROW], coding, likeliest, states, scratch, at)
        at = _encode_steps(symbols[first : first + full], tables, coding, states, scratch, at)
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
    """Encode full steps with any number of lanes; return the start of the words."""
    lanes = states.size
    if lanes == 32:
        return _steps_of_32(symbols, row_tables, coding, states, scratch, at)
    if lanes == 16:
        return _steps_of_16(symbols, row_tables, coding, states, scratch, at)
    if lanes == 8:
        return _steps_of_8(symbols, row_tables, coding, states, scratch, at)
    for place in range(symbols.size - 1, -1, -1):
        code = coding[np.int64(row_tables[place // ROW]) * SYMBOLS + symbols[place]]
        at = _encode_symbol(states, place % lanes, code, scratch, at)
    return at


@compiled
def _last_step(  # noqa: PLR0913
    symbols: NDArray[np.uint8],
    table: Int,
    coding: NDArray[np.uint64],
    likeliest: NDArray[np.uint8],
    states: NDArray[np.uint32],
    scratch: NDArray[np.uint8],
    at: Int,
) -> Int:
    """Encode the last step, padded with the likeliest symbol of its table; return the start of the words."""
    for lane in range(states.size - 1, -1, -1):
        symbol = symbols[lane] if lane < symbols.size else likeliest[table]
        at = _encode_symbol(states, lane, coding[np.int64(table) * SYMBOLS + symbol], scratch, at)
    return at


@compiled
def _encode_symbol(states: NDArray[np.uint32], lane: Int, code: Int, scratch: NDArray[np.uint8], at: Int) -> Int:
    """Encode one symbol in one lane; return the start of the words."""
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

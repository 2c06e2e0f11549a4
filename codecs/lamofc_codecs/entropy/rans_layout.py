"""Layout of a block of rANS symbols: lanes, streams, and the checks of its index.

    count = 0            no bytes
    one stream           u8 log2(lanes), stream
    several streams      u8 log2(lanes) | 0x80, u32 streams, u32 bytes of each stream, streams
    a stream             lanes x u32 first states, then u16 words

A row is 32 symbols with one table, whatever the number of lanes. Stream s of S holds the rows from `rows * s // S` up
to, not including, `rows * (s + 1) // S`. Numbers are little-endian.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import Int, compiled

ROW = 32
SEVERAL_STREAMS = 0x80
MIN_LANE_BYTES = 256
"""Fewest coded bytes of a lane: its state of 4 bytes is then at most 1.6 % of them."""
MIN_STREAM_BYTES = 16384
"""Fewest coded bytes of each of several streams: 132 bytes of states and index are then at most 0.8 % of them."""
MIN_STREAM_ROWS = 1024
"""Fewest rows of each of several streams."""

START, STOP, LANES, FIRST, COUNT, TABLES = range(6)
"""Columns of a list of streams: first byte, byte after the last, lanes, first symbol in the output, symbols, row."""

WORDS_MISSING, WORDS_UNUSED, END_STATE, FIRST_STATE, BAD_FRAME = range(1, 6)
"""Codes of the errors that decoders find in a stream."""
STREAM_ERRORS = {
    WORDS_MISSING: "its words end before its symbols",
    WORDS_UNUSED: "words are left after its last symbol",
    END_STATE: "its lanes do not end in the state that every encoder starts from",
    FIRST_STATE: "a first state lies outside 2^15 to 2^31",
    BAD_FRAME: "its lanes, streams and lengths do not add up to its bytes",
}


def choose_layout(count: int, coded_bytes: int) -> tuple[int, int]:
    """Choose the lanes and the streams of a block of `count` symbols that take `coded_bytes`."""
    streams = max(1, min(count // (ROW * MIN_STREAM_ROWS), coded_bytes // MIN_STREAM_BYTES))
    lanes = 1
    while lanes < ROW and 2 * lanes * MIN_LANE_BYTES <= coded_bytes:
        lanes *= 2
    return lanes, streams


def first_symbols(count: int, streams: int) -> NDArray[np.int64]:
    """Return the first symbol of each stream, and `count` after them."""
    rows = -(-count // ROW)
    firsts = rows * np.arange(streams + 1, dtype=np.int64) // streams * ROW
    firsts[-1] = count
    return firsts


def frame(lanes: int, sizes: NDArray[np.int64], streams: bytes | memoryview) -> bytes:
    """Assemble a block from its streams, end to end, and their `sizes` in bytes."""
    code = lanes.bit_length() - 1
    if len(sizes) == 1:
        return b"".join((bytes((code,)), streams))
    return b"".join((bytes((code | SEVERAL_STREAMS,)), np.array([len(sizes), *sizes], "<u4").tobytes(), streams))


@compiled
def _u32(buffer: NDArray[np.uint8], at: Int) -> Int:
    value = np.int64(buffer[at]) | np.int64(buffer[at + 1]) << 8
    return value | np.int64(buffer[at + 2]) << 16 | np.int64(buffer[at + 3]) << 24


@compiled
def _count_streams(buffer: NDArray[np.uint8], start: Int, stop: Int, count: Int) -> Int:
    """Return the number of streams in a block's index, or -1 if the index is damaged."""
    if count == 0:
        return np.int64(0) if start == stop else np.int64(-1)
    if stop - start < 1 or (buffer[start] & 0x7F) > 5:
        return np.int64(-1)
    if not buffer[start] & SEVERAL_STREAMS:
        return np.int64(1)
    if stop - start < 5:
        return np.int64(-1)
    streams = _u32(buffer, start + 1)
    if streams < 2 or streams > (count + ROW - 1) // ROW or start + 5 + 4 * streams > stop:
        return np.int64(-1)
    return streams


@compiled
def list_streams(
    buffer: NDArray[np.uint8], spans: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Int]:
    """List the streams of the blocks at `spans` (n x 2); also return the first block whose index is damaged, or -1.

    The symbols of all blocks are end to end in the output, and so are the tables of their rows.
    """
    total = np.int64(0)
    for block in range(counts.size):
        streams = _count_streams(buffer, spans[block, 0], spans[block, 1], counts[block])
        if streams < 0:
            return np.empty((0, 6), np.int64), np.int64(block)
        total += streams
    listed = np.empty((total, 6), np.int64)
    number, symbols, tables = np.int64(0), np.int64(0), np.int64(0)
    for block in range(counts.size):
        start, stop = spans[block, 0], spans[block, 1]
        streams = _count_streams(buffer, start, stop, counts[block])
        rows = (counts[block] + ROW - 1) // ROW
        at = start + (5 + 4 * streams if streams > 1 else 1)
        for stream in range(streams):
            lanes = np.int64(1) << (buffer[start] & 0x7F)
            size = _u32(buffer, start + 5 + 4 * stream) if streams > 1 else stop - at
            first, last = rows * stream // streams, rows * (stream + 1) // streams
            if size < 4 * lanes or size & 1 or at + size > stop:
                return listed, np.int64(block)
            listed[number, START], listed[number, STOP], listed[number, LANES] = at, at + size, lanes
            listed[number, FIRST], listed[number, TABLES] = symbols + first * ROW, tables + first
            listed[number, COUNT] = min(counts[block], last * ROW) - first * ROW
            at += size
            number += 1
        if streams and at != stop:
            return listed, np.int64(block)
        symbols += counts[block]
        tables += rows
    return listed, np.int64(-1)

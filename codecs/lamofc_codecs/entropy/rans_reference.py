"""rANS by definition, in plain Python: what every other form must reproduce bit for bit. Read this one first.

A lane is a number x in [2^15, 2^31). To encode a symbol that owns `freq` of 4096 slots from `start` on, x grows:

    while x >= freq << 19:  push the low 16 bits of x as a word, x >>= 16         (at most once)
    x = (x // freq) << 12 | (start + x % freq)

and to decode it, the same backwards:

    slot = x & 4095                                                               (names the symbol)
    x = freq * (x >> 12) + slot - start
    if x < 2^15:  x = x << 16 | next word

What was encoded last is decoded first; so the encoder walks from the last symbol to the first, and its words are read
in the opposite order to that in which they were pushed. Symbol i belongs to lane i % lanes; all lanes share one
sequence of words, and within a step the lanes take theirs in ascending order. Every lane starts at 2^15 in the
encoder: a decoder that does not end there, with no word left over, has read damaged bytes. The last step is filled up
with the likeliest symbol of its table.
"""

from itertools import pairwise

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
    first_symbols,
    frame,
)
from lamofc_codecs.entropy.tables import BITS, SLOTS, Tables

LOW = 1 << 15
"""The least state, and the one that every lane starts from."""
WORD = 16


def encode_stream(symbols: NDArray[np.uint8], row_tables: NDArray[np.uint16], tables: Tables, lanes: int) -> bytes:
    """One stream: the states of all lanes, then the words, as a decoder reads them."""
    states, words = [LOW] * lanes, []
    steps = -(-len(symbols) // lanes)
    for place in range(steps * lanes - 1, -1, -1):
        table = row_tables[place // ROW]
        symbol = symbols[place] if place < len(symbols) else tables.likeliest[table]
        freq, start = int(tables.freqs[table, symbol]), int(tables.starts[table, symbol])
        x = states[place % lanes]
        if x >= freq << (31 - BITS):
            words.append(x & 0xFFFF)
            x >>= WORD
        states[place % lanes] = (x // freq << BITS) + x % freq + start
    return np.array(states, "<u4").tobytes() + np.array(words[::-1], "<u2").tobytes()


def decode_stream(
    data: bytes, count: int, row_tables: NDArray[np.uint16], tables: Tables, lanes: int
) -> tuple[NDArray[np.uint8], int]:
    """The symbols of one stream, and what is wrong with it, or 0."""
    states = np.frombuffer(data, "<u4", lanes).tolist()
    words = iter(np.frombuffer(data, "<u2", offset=4 * lanes).tolist())
    symbols = np.zeros(-(-count // lanes) * lanes, np.uint8)
    if not all(LOW <= state < LOW << WORD for state in states):
        return symbols[:count], FIRST_STATE
    for place in range(symbols.size):
        table, x = row_tables[place // ROW], states[place % lanes]
        slot = x & (SLOTS - 1)
        symbol = int(tables.slots[table, slot]) & 0xFF
        symbols[place] = symbol
        x = int(tables.freqs[table, symbol]) * (x >> BITS) + slot - int(tables.starts[table, symbol])
        if x < LOW:
            word = next(words, None)
            if word is None:
                return symbols[:count], WORDS_END
            x = x << WORD | word
        states[place % lanes] = x
    if next(words, None) is not None:
        return symbols[:count], WORDS_LEFT
    return symbols[:count], 0 if states == [LOW] * lanes else END_STATE


def encode_block(
    symbols: NDArray[np.uint8], row_tables: NDArray[np.uint16], tables: Tables, lanes: int, streams: int
) -> bytes:
    """A block of one or several streams."""
    firsts = first_symbols(len(symbols), streams).tolist()
    parts = [
        encode_stream(symbols[first:last], row_tables[first // ROW :], tables, lanes)
        for first, last in pairwise(firsts)
    ]
    return frame(lanes, np.array([len(part) for part in parts], np.int64), b"".join(parts))


def decode_streams(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    tables: Tables,
    out: NDArray[np.uint8],
) -> int:
    """Decode the listed streams into `out`; returns -1, or 8 x the number of the first bad stream + what is wrong."""
    for number, stream in enumerate(streams.tolist()):
        data = buffer[stream[START] : stream[STOP]].tobytes()
        rows = row_tables[stream[TABLES] :]
        symbols, wrong = decode_stream(data, stream[COUNT], rows, tables, stream[LANES])
        out[stream[FIRST] : stream[FIRST] + stream[COUNT]] = symbols
        if wrong:
            return 8 * number + wrong
    return -1

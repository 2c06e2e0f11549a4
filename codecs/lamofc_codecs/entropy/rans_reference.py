"""The definition of rANS in plain Python, which every other form reproduces bit for bit. Read this file first.

A lane is a number x in [2^15, 2^31). To encode a symbol with `freq` of 4096 slots from `start` on:

    while x >= freq << 19:  push the low 16 bits of x as a word, x >>= 16         (at most once)
    x = (x // freq) << 12 | (start + x % freq)

To decode it, the inverse:

    slot = x & 4095                                                               (determines the symbol)
    x = freq * (x >> 12) + slot - start
    if x < 2^15:  x = x << 16 | next word

The symbol encoded last is decoded first, so the encoder goes from the last symbol to the first, and the decoder reads
the words in the opposite order. Symbol i belongs to lane i % lanes. All lanes share one sequence of words; within a
step they take theirs in ascending order. Every lane starts at 2^15 in the encoder: a decoder that does not end there,
or has words left, has read damaged bytes. The last step is padded with the likeliest symbol of its table.
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
    WORDS_MISSING,
    WORDS_UNUSED,
    first_symbols,
    frame,
)
from lamofc_codecs.entropy.tables import BITS, SLOTS, Tables

MIN_STATE = 1 << 15
"""The smallest state, and the first state of every lane."""
WORD_BITS = 16


def encode_stream(symbols: NDArray[np.uint8], row_tables: NDArray[np.uint16], tables: Tables, lanes: int) -> bytes:
    """Encode one stream: the states of all lanes, then the words in the order of decoding."""
    states, words = [MIN_STATE] * lanes, []
    steps = -(-len(symbols) // lanes)
    for place in range(steps * lanes - 1, -1, -1):
        table = row_tables[place // ROW]
        symbol = symbols[place] if place < len(symbols) else tables.likeliest[table]
        freq, start = int(tables.freqs[table, symbol]), int(tables.starts[table, symbol])
        x = states[place % lanes]
        if x >= freq << (31 - BITS):
            words.append(x & 0xFFFF)
            x >>= WORD_BITS
        states[place % lanes] = (x // freq << BITS) + x % freq + start
    return np.array(states, "<u4").tobytes() + np.array(words[::-1], "<u2").tobytes()


def decode_stream(
    data: bytes, count: int, row_tables: NDArray[np.uint16], tables: Tables, lanes: int
) -> tuple[NDArray[np.uint8], int]:
    """Decode one stream; return its symbols and the code of its error, or 0."""
    states = np.frombuffer(data, "<u4", lanes).tolist()
    words = iter(np.frombuffer(data, "<u2", offset=4 * lanes).tolist())
    symbols = np.zeros(-(-count // lanes) * lanes, np.uint8)
    if not all(MIN_STATE <= state < MIN_STATE << WORD_BITS for state in states):
        return symbols[:count], FIRST_STATE
    for place in range(symbols.size):
        table, x = row_tables[place // ROW], states[place % lanes]
        slot = x & (SLOTS - 1)
        symbol = int(tables.slots[table, slot]) & 0xFF
        symbols[place] = symbol
        x = int(tables.freqs[table, symbol]) * (x >> BITS) + slot - int(tables.starts[table, symbol])
        if x < MIN_STATE:
            word = next(words, None)
            if word is None:
                return symbols[:count], WORDS_MISSING
            x = x << WORD_BITS | word
        states[place % lanes] = x
    if next(words, None) is not None:
        return symbols[:count], WORDS_UNUSED
    return symbols[:count], 0 if states == [MIN_STATE] * lanes else END_STATE


def encode_block(
    symbols: NDArray[np.uint8], row_tables: NDArray[np.uint16], tables: Tables, lanes: int, streams: int
) -> bytes:
    """Encode a block of one or several streams."""
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
    """Decode listed streams into `out`; return -1, or 8 * number of the first damaged stream + code of its error."""
    for number, stream in enumerate(streams.tolist()):
        data = buffer[stream[START] : stream[STOP]].tobytes()
        rows = row_tables[stream[TABLES] :]
        symbols, error = decode_stream(data, stream[COUNT], rows, tables, stream[LANES])
        out[stream[FIRST] : stream[FIRST] + stream[COUNT]] = symbols
        if error:
            return 8 * number + error
    return -1

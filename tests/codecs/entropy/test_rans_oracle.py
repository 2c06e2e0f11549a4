"""An outside witness: constriction, a range-ANS coder by other people in another language.

Its categorical models have 24 bits, so each of our 12-bit tables is representable there without rounding: both code
the same symbols under the same probabilities. That our blocks are as long as its own, but for the states, proves that
the tables mean what they say and that renormalisation loses nothing; that it decodes its stream to what we decode
from ours rules out that encoder and decoder here agree on a common mistake about the symbols. It does not witness our
bytes: its state is 64 bits wide and renormalised by 32, and Python cannot choose otherwise; the definition in
`rans_reference` is the witness of these.
"""

import constriction
import numpy as np
import pytest

from lamofc_codecs.entropy.rans import decode_symbols, encode_symbols
from lamofc_codecs.entropy.tables import sigma_tables

COUNT = 20_000


def drawn(table: int) -> np.ndarray:
    slots = np.random.default_rng(table).integers(0, 4096, COUNT)
    return (sigma_tables().slots[table, slots] & 0xFF).astype(np.uint8)


@pytest.mark.parametrize("table", [0, 7, 14, 20, 26, 33, 40, 47])
def test_as_short_as_constriction(table: int) -> None:
    symbols, frozen = drawn(table), sigma_tables()
    held = np.flatnonzero(frozen.freqs[table])
    places = np.searchsorted(held, symbols).astype(np.int32)
    model = constriction.stream.model.Categorical(frozen.freqs[table][held].astype(np.float64) / 4096, perfect=True)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(places, model)

    ours = encode_symbols(symbols, table, frozen)
    lanes = 1 << (ours[0] & 7)
    states = 8 * (1 + 4 * lanes)
    assert coder.num_bits() - 64 <= 8 * len(ours) <= 1.0005 * coder.num_bits() + states
    assert np.array_equal(held[coder.decode(model, COUNT)], decode_symbols(ours, COUNT, table, frozen))


def test_one_lane_is_the_textbook_coder() -> None:
    """With one lane the stream is plain rANS: a decoder written here from the formula alone gives the same symbols."""
    table, symbols = 30, drawn(30)[:300]
    frozen = sigma_tables()
    data = encode_symbols(symbols, table, frozen)
    assert data[0] == 0
    state, words = int.from_bytes(data[1:5], "little"), data[5:]
    ends = np.cumsum(frozen.freqs[table].astype(int))
    found = []
    for _ in range(len(symbols)):
        slot = state % 4096
        symbol = int(np.searchsorted(ends, slot, side="right"))
        found.append(symbol)
        freq = int(frozen.freqs[table][symbol])
        state = freq * (state // 4096) + slot - (int(ends[symbol]) - freq)
        while state < 2**15:
            state = state * 2**16 + int.from_bytes(words[:2], "little")
            words = words[2:]
    assert found == symbols.tolist()
    assert (state, words) == (2**15, b"")

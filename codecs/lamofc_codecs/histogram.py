"""From a histogram of bytes to a table: counting, rounding to 4096 slots, and the table's own few bytes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lamofc_codecs.compiled import compiled
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.tables import SLOTS, SYMBOLS

MAX_COUNT = 1 << 49
"""Of all symbols together; shares are compared by products that must fit into 63 bits."""


@compiled
def histogram(symbols: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each of 256 symbols occurs. Four counters side by side: equal neighbours would wait for each other."""
    counts = np.zeros((4, SYMBOLS), np.int64)
    whole = symbols.size & ~3
    for k in range(0, whole, 4):
        counts[0, symbols[k]] += 1
        counts[1, symbols[k + 1]] += 1
        counts[2, symbols[k + 2]] += 1
        counts[3, symbols[k + 3]] += 1
    for k in range(whole, symbols.size):
        counts[0, symbols[k]] += 1
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total


def normalise(counts: ArrayLike) -> NDArray[np.uint16]:
    """The table for a histogram of 256 counts: integers only, at least one slot for each symbol that occurs.

    Each symbol gets the floor of its share, at least 1. What is then missing is given, slot by slot, to the
    symbol whose coded size it lessens most; what is over is taken where it costs least. A lone symbol gets 4095 slots
    and the next one 1, since no frequency may be 4096. Without any count all symbols get 16.
    """
    tally = np.asarray(counts)
    if tally.shape != (SYMBOLS,) or tally.dtype.kind not in "iu" or tally.min() < 0 or tally.sum() > MAX_COUNT:
        raise UnsupportedInput(f"histogram of {tally.dtype} {tally.shape}; expected {SYMBOLS} counts, 2^49 in all")
    present = np.flatnonzero(tally)
    if present.size > 1:
        return _share_slots(tally.astype(np.int64))
    freqs = np.full(SYMBOLS, 0 if present.size else SLOTS // SYMBOLS, np.uint16)
    if present.size:
        freqs[present[0]] = SLOTS - 1
        freqs[(present[0] + 1) % SYMBOLS] = 1
    return freqs


@compiled
def _share_slots(tally: NDArray[np.int64]) -> NDArray[np.uint16]:
    """`normalise` for two symbols or more.

    A slot more saves about count / (freq + 1/2), a slot less costs about count / (freq - 1/2); fractions are compared
    by cross products, and the smallest symbol wins among equals.
    """
    total = tally.sum()
    freqs = np.zeros(SYMBOLS, np.int64)
    for symbol in range(SYMBOLS):
        if tally[symbol]:
            freqs[symbol] = max(np.int64(1), tally[symbol] * SLOTS // total)
    missing = SLOTS - freqs.sum()
    step = 1 if missing > 0 else -1
    for _ in range(abs(missing)):
        best = -1
        for symbol in range(SYMBOLS):
            if tally[symbol] == 0 or freqs[symbol] + step < 1:
                continue
            if best < 0:
                best = symbol
                continue
            ours = tally[symbol] * (2 * freqs[best] + step)
            theirs = tally[best] * (2 * freqs[symbol] + step)
            if (ours - theirs) * step > 0:
                best = symbol
        freqs[best] += step
    return freqs.astype(np.uint16)


def pack_table(freqs: NDArray[np.uint16]) -> bytes:
    """A table's own bytes: first and last symbol, then Elias gamma codes of freq + 1 between them, low bits first."""
    present = np.flatnonzero(freqs)
    first, last = int(present[0]), int(present[-1])
    bits, length = 0, 0
    for freq in freqs[first : last + 1].tolist():
        extra = (freq + 1).bit_length() - 1
        bits |= (1 << extra | (freq + 1 - (1 << extra)) << (extra + 1)) << length
        length += 2 * extra + 1
    return bytes((first, last)) + bits.to_bytes((length + 7) // 8, "little")


def unpack_table(data: bytes | memoryview, at: int = 0) -> tuple[NDArray[np.uint16], int]:
    """The table that stands at that place, and where it ends."""
    view = memoryview(data).cast("B")[at : at + 2 + (SYMBOLS * 25 + 7) // 8]
    if len(view) < 2 or view[0] > view[1]:
        raise CorruptRecord(f"table of symbols {list(view[:2])} at byte {at}; expected a first and a last symbol")
    first, last = view[0], view[1]
    bits, size = int.from_bytes(view[2:], "little"), 8 * (len(view) - 2)
    freqs = np.zeros(SYMBOLS, np.uint16)
    used, total = 0, 0
    for symbol in range(first, last + 1):
        rest = bits >> used
        extra = (rest & -rest).bit_length() - 1
        used += 2 * extra + 1
        if not 0 <= extra <= 12 or used > size:
            raise CorruptRecord(f"table at byte {at} is cut short at symbol {symbol} of {first} to {last}")
        freq = (1 << extra | rest >> (extra + 1) & ((1 << extra) - 1)) - 1
        total += freq
        if freq >= SLOTS or total > SLOTS:
            raise CorruptRecord(f"table at byte {at} reaches {total} slots at symbol {symbol}; expected {SLOTS} in all")
        freqs[symbol] = freq
    if total != SLOTS or bits >> used & ((1 << (-used % 8)) - 1):
        raise CorruptRecord(f"table at byte {at} has {total} slots, or bits after its end; expected {SLOTS} and none")
    return freqs, at + 2 + (used + 7) // 8

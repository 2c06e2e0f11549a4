"""Probability tables from histograms: counting symbols, rounding to 4096 slots, and a table's bytes in a record."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lamofc_codecs.entropy.tables import SLOTS, SYMBOLS
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.runtime import Int, as_bytes, compiled

MAX_COUNT = 1 << 49
"""Largest count of all symbols together: shares are compared by products that must fit into 63 bits."""


@compiled
def count_symbols(symbols: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count each of 256 symbols. Four histograms avoid that equal neighbours wait for each other's store."""
    counts = np.zeros((4, SYMBOLS), np.int64)
    quads = symbols.size & ~3
    for k in range(0, quads, 4):
        counts[0, symbols[k]] += 1
        counts[1, symbols[k + 1]] += 1
        counts[2, symbols[k + 2]] += 1
        counts[3, symbols[k + 3]] += 1
    for k in range(quads, symbols.size):
        counts[0, symbols[k]] += 1
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total


def normalise(counts: ArrayLike) -> NDArray[np.uint16]:
    """Round a histogram of 256 counts to a table, in integer arithmetic: each symbol that occurs gets a slot at least.

    Each symbol gets the floor of its share, at least 1. Missing slots are then added one by one where they save the
    most bits; surplus slots are removed where they cost the fewest. A lone symbol gets 4095 slots and the next one 1,
    because no frequency may be 4096. Without any count all symbols get 16.
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
    """Normalise a histogram of two symbols or more.

    A slot added saves about count / (freq + 1/2) bits, a slot removed costs about count / (freq - 1/2). The fractions
    are compared by cross products; the smallest symbol wins among equals.
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
    """Write a table: its first and last symbol, then Elias gamma codes of freq + 1 between them, low bits first."""
    present = np.flatnonzero(freqs)
    first, last = int(present[0]), int(present[-1])
    bits, length = 0, 0
    for freq in freqs[first : last + 1].tolist():
        extra = (freq + 1).bit_length() - 1
        bits |= (1 << extra | (freq + 1 - (1 << extra)) << (extra + 1)) << length
        length += 2 * extra + 1
    return bytes((first, last)) + bits.to_bytes((length + 7) // 8, "little")


def unpack_table(data: bytes | memoryview, at: int = 0) -> tuple[NDArray[np.uint16], int]:
    """Read the table at byte `at`; return it and the byte after it."""
    view = memoryview(data).cast("B")[at : at + 2 + (SYMBOLS * 25 + 7) // 8]
    if len(view) < 2 or view[0] > view[1]:
        raise CorruptRecord(f"the table at byte {at} has symbols {list(view[:2])}; expected a first and a last one")
    freqs = np.zeros(SYMBOLS, np.uint16)
    symbol, total, used = _read_freqs(as_bytes(view), freqs)
    if symbol >= 0:
        raise CorruptRecord(f"the table at byte {at} is cut short at symbol {symbol} of {view[0]} to {view[1]}")
    if total != SLOTS or freqs.max() == SLOTS or used < 0:
        raise CorruptRecord(f"the table at byte {at} has {total} slots, or bits after its end; expected {SLOTS}")
    return freqs, at + used


@compiled
def _read_freqs(data: NDArray[np.uint8], freqs: NDArray[np.uint16]) -> tuple[Int, Int, Int]:
    """Fill `freqs`; return the symbol at which the bits ended early (or -1), the sum of slots, and the bytes read.

    The bytes read are -1 if the padding of the last byte is not zero.
    """
    at, size, total = np.int64(16), np.int64(8 * data.size), np.int64(0)
    for symbol in range(np.int64(data[0]), np.int64(data[1]) + 1):
        zeros = np.int64(0)
        while at < size and not data[at >> 3] >> (at & 7) & 1:
            at += 1
            zeros += 1
        at += 1
        if zeros > 12 or at + zeros > size:
            return symbol, total, at
        value = np.int64(1) << zeros
        for bit in range(zeros):
            value |= np.int64(data[at >> 3] >> (at & 7) & 1) << bit
            at += 1
        freqs[symbol] = value - 1
        total += value - 1
    while at & 7:
        if data[at >> 3] >> (at & 7) & 1:
            return np.int64(-1), total, np.int64(-1)
        at += 1
    return np.int64(-1), total, at >> 3

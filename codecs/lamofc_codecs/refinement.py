"""A layer after the first: each number times three, and -1, 0 or 1 on top, so that the coarse quantiser is in the fine.

Which of the three it is, folded by the sign of the number so far, has a table by the run's class and by that number's
magnitude, three and more being one. Both are known once the layers before are decoded, so symbols depend on no
neighbour. They are coded sorted by table: class by class, within it by magnitude, within that run by run.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs import rans, rans_block, rans_numba
from lamofc_codecs.coefficients import LARGEST
from lamofc_codecs.compiled import compiled
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.histogram import normalise
from lamofc_codecs.runs import Numbers, Runs, rows_of
from lamofc_codecs.tables import CLASSES, SYMBOLS, Tables, sigma_tables

FACTOR = 3
_MAGNITUDES = 4
_MOST = 1 << 15
_REFINED = (LARGEST + 1) // FACTOR
"""Magnitudes up to this can be refined: what becomes of them is not above the largest."""

Places = NDArray[np.int64]


@cache
def refinement_tables() -> Tables:
    """Four tables for each frozen class, by the magnitude of the number so far: 0, 1, 2, and 3 or more.

    They follow from the frozen ones: -1, 0 and 1 on top of 3 m are as likely as 3 m - 1, 3 m and 3 m + 1 are.
    """
    frozen = sigma_tables().freqs.astype(np.int64)
    freqs = np.zeros((CLASSES * _MAGNITUDES, SYMBOLS), np.uint16)
    for number in range(len(freqs)):
        kind, magnitude = divmod(number, _MAGNITUDES)
        several = [magnitude] if magnitude < _MAGNITUDES - 1 else range(magnitude, 42)
        counts = np.zeros(SYMBOLS, np.int64)
        for digit in (-1, 0, 1):
            found = sum(int(frozen[kind, (3 * m + digit) % SYMBOLS]) for m in several)
            counts[digit % SYMBOLS] = 1 + 64 * found
        freqs[number] = normalise(counts)
    return Tables(freqs)


def coarser(numbers: Numbers) -> Numbers:
    """What a layer less says of the same numbers: a third, to nearest."""
    out: Numbers = (np.sign(numbers) * ((np.abs(numbers) + 1) // FACTOR)).astype(np.int32)
    return out


def write_refinement(numbers: Numbers, before: Numbers, runs: Runs) -> bytes:
    """Code what `numbers` say beyond `before`, which has as many columns or fewer: the others were 0."""
    symbols, rows = _symbols(numbers, before, runs)
    return rans.encode_symbols(symbols, rows, refinement_tables())


def refinement_bits(numbers: Numbers, before: Numbers, runs: Runs) -> float:
    """Bits that `write_refinement` takes, to a part in a thousand, without coding."""
    symbols, rows = _symbols(numbers, before, runs)
    cost = int(rans_numba.coded_millibits(symbols, rows, refinement_tables().millibits)[0]) / 1024
    lanes, streams = rans_block.plan(symbols.size, int(cost / 8))
    return cost + 32.0 * streams * (lanes + 1)


def read_refinement(data: memoryview, before: Numbers, runs: Runs) -> Numbers:
    """Undo `write_refinement`."""
    if runs.count > len(data) * _MOST:
        raise CorruptRecord(f"{len(data)} bytes for {runs.count} numbers to refine")
    largest = max(int(before.max(initial=0)), -int(before.min(initial=0)))
    if largest > _REFINED:
        raise CorruptRecord(f"a number of {largest} to refine; the largest is {_REFINED}")
    magnitudes, starts, rows = _places(before, runs)
    symbols = rans.decode_symbols(data, runs.count, rows, refinement_tables())
    if ((symbols + 1) & 255 > 2).any():
        raise CorruptRecord("a number is to be refined by more than one")
    numbers = np.empty((runs.columns, runs.tokens.count), np.int32)
    _put(symbols.view(np.int8), magnitudes, starts, (runs.column, runs.first, runs.length), before, numbers)
    return numbers


def _symbols(numbers: Numbers, before: Numbers, runs: Runs) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    magnitudes, starts, rows = _places(before, runs)
    symbols = np.empty(runs.count, np.uint8)
    _take(numbers, magnitudes, starts, (runs.column, runs.first, runs.length), before, symbols.view(np.int8))
    return symbols, rows


def _places(before: Numbers, runs: Runs) -> tuple[NDArray[np.uint16], Places, NDArray[np.uint16]]:
    """The class of each run, where the symbols of each table begin, and the table of each row of 32."""
    kinds = np.minimum(runs.classes, CLASSES - 1).astype(np.uint16)
    counts = np.zeros((CLASSES, _MAGNITUDES), np.int64)
    _count(before, kinds, (runs.column, runs.first, runs.length), counts)
    flat = counts.reshape(-1)
    starts = (np.cumsum(flat) - flat).reshape(counts.shape)
    used = np.flatnonzero(flat)
    return kinds, starts, rows_of(used.astype(np.uint16), flat[used])


@compiled
def _count(
    before: Numbers, kinds: NDArray[np.uint16], runs: tuple[Places, Places, Places], counts: NDArray[np.int64]
) -> None:
    column, first, length = runs
    for run in range(len(column)):
        tally = counts[kinds[run]]
        if column[run] >= before.shape[0]:
            tally[0] += length[run]
            continue
        here = before[column[run], first[run] : first[run] + length[run]]
        ones, twos, more = np.int64(0), np.int64(0), np.int64(0)
        for number in here:
            magnitude = abs(number)
            ones += magnitude == 1
            twos += magnitude == 2
            more += magnitude > 2
        tally[0] += length[run] - ones - twos - more
        tally[1] += ones
        tally[2] += twos
        tally[3] += more


@compiled
def _take(
    numbers: Numbers,
    kinds: NDArray[np.uint16],
    starts: Places,
    runs: tuple[Places, Places, Places],
    before: Numbers,
    symbols: NDArray[np.int8],
) -> None:
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor = cursors[kinds[run]]
        here = numbers[column[run], first[run] : first[run] + length[run]]
        if column[run] >= before.shape[0]:
            for i in range(len(here)):
                symbols[cursor[0] + i] = np.int8(here[i])
            cursor[0] += len(here)
            continue
        known = before[column[run], first[run] : first[run] + length[run]]
        for i in range(len(here)):
            number = known[i]
            digit = here[i] - np.int32(3) * number
            magnitude = min(abs(number), np.int32(3))
            symbols[cursor[magnitude]] = np.int8(-digit if number < 0 else digit)
            cursor[magnitude] += 1


@compiled
def _put(
    symbols: NDArray[np.int8],
    kinds: NDArray[np.uint16],
    starts: Places,
    runs: tuple[Places, Places, Places],
    before: Numbers,
    numbers: Numbers,
) -> None:
    """Undo `_take`."""
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor = cursors[kinds[run]]
        there = numbers[column[run], first[run] : first[run] + length[run]]
        if column[run] >= before.shape[0]:
            for i in range(len(there)):
                there[i] = symbols[cursor[0] + i]
            cursor[0] += len(there)
            continue
        known = before[column[run], first[run] : first[run] + length[run]]
        for i in range(len(there)):
            number = known[i]
            magnitude = min(abs(number), np.int32(3))
            digit = np.int32(symbols[cursor[magnitude]])
            cursor[magnitude] += 1
            there[i] = np.int32(3) * number + (-digit if number < 0 else digit)

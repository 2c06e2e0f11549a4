"""Compiled loops over the digits of a refinement level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES, rans_cpu
from lamofc_codecs.klt.layers.runs import Levels
from lamofc_codecs.level_coding import MAX_LEVELS_PER_BYTE, RunIndex, tables_of_rows
from lamofc_codecs.runtime import Int, compiled, inlined

TERNARY, OUTWARD, INWARD = range(3)
"""Alphabets: all three digits; whether a level moves outwards; whether one that does not moves inwards."""

MAGNITUDES = 4
"""Contexts by the magnitude so far: 0, 1, 2, and 3 or more."""

Places = NDArray[np.int64]
Zeros = tuple[NDArray[np.bool_], NDArray[np.int64]]
"""Whether all levels so far are 0, by column and group of tokens; the group of each token."""


@compiled
def _digit(level: np.int32, coarse: np.int32) -> np.int32:
    """Digit of a level over the coarse one, 1 being outwards."""
    beyond = level - np.int32(3) * coarse
    return -beyond if coarse < 0 else beyond


@inlined
def _table_class(sigma_class: Int) -> Int:
    """Class whose tables a class has: the last frozen one for those above."""
    return min(np.int64(sigma_class), np.int64(CLASSES - 1))


@compiled
def tally_digits(
    levels: Levels, coarse: Levels, classes: NDArray[np.uint8], runs: RunIndex, counts: NDArray[np.int64]
) -> None:
    """Count digits by magnitude so far, class and digit."""
    column, first, length = runs
    for run in range(len(column)):
        sigma_class = _table_class(classes[run])
        for t in range(first[run], first[run] + length[run]):
            before = coarse[column[run], t]
            counts[min(abs(before), np.int32(3)), sigma_class, _digit(levels[column[run], t], before) + 1] += 1


@compiled
def lay_out_pass(  # noqa: PLR0913 - compiled code takes arrays, not objects
    levels: Levels,
    coarse: Levels,
    zeros: Zeros,
    classes: NDArray[np.uint8],
    runs: RunIndex,
    span: tuple[Int, Int],
    alphabets: NDArray[np.uint8],
) -> tuple[Places, NDArray[np.uint16], Int]:
    """Sort the symbols of a pass by table: its first place by class and magnitude, the table of each row, the count."""
    counts = _count_symbols(levels, coarse, zeros, classes, runs, span, alphabets)
    starts = np.empty((CLASSES, MAGNITUDES), np.int64)
    tables, total = np.empty(MAGNITUDES * CLASSES, np.uint16), np.int64(0)
    for magnitude in range(MAGNITUDES):
        for sigma_class in range(CLASSES):
            place = magnitude * CLASSES + sigma_class
            tables[place] = place + MAGNITUDES * CLASSES * np.int64(alphabets[sigma_class])
            starts[sigma_class, magnitude] = total
            total += counts[magnitude, sigma_class]
    return starts, tables_of_rows(tables, counts.reshape(-1)), total


@compiled
def _count_symbols(  # noqa: PLR0913
    levels: Levels,
    coarse: Levels,
    zeros: Zeros,
    classes: NDArray[np.uint8],
    runs: RunIndex,
    span: tuple[Int, Int],
    alphabets: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Count the symbols of a pass by magnitude and class; inward classes have none for levels that moved outwards."""
    counts = np.zeros((MAGNITUDES, CLASSES), np.int64)
    (column, first, length), (empty, group_of) = runs, zeros
    for run in range(len(column)):
        sigma_class = _table_class(classes[run])
        if not span[0] <= sigma_class < span[1]:
            continue
        tally = counts[:, sigma_class]
        if empty[column[run], group_of[first[run]]] and alphabets[sigma_class] != INWARD:
            tally[0] += length[run]
            continue
        before = coarse[column[run], first[run] : first[run] + length[run]]
        now = levels[column[run], first[run] : first[run] + length[run]]
        total, ones, twos, larger = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        if alphabets[sigma_class] == INWARD:
            for i in range(len(before)):
                coded, magnitude = _digit(now[i], before[i]) != 1, abs(before[i])
                total += coded
                ones += coded & (magnitude == 1)
                twos += coded & (magnitude == 2)
                larger += coded & (magnitude > 2)
        else:
            total = length[run]
            for level in before:
                magnitude = abs(level)
                ones += magnitude == 1
                twos += magnitude == 2
                larger += magnitude > 2
        tally[0] += total - ones - twos - larger
        tally[1] += ones
        tally[2] += twos
        tally[3] += larger
    return counts


@compiled
def gather_digits(  # noqa: PLR0913 - compiled code takes arrays, not objects
    levels: Levels,
    coarse: Levels,
    classes: NDArray[np.uint8],
    runs: RunIndex,
    span: tuple[Int, Int],
    alphabets: NDArray[np.uint8],
    starts: Places,
    symbols: NDArray[np.int8],
) -> None:
    """Write the symbols of a pass, sorted by table."""
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        sigma_class = _table_class(classes[run])
        if not span[0] <= sigma_class < span[1]:
            continue
        cursor, alphabet = cursors[sigma_class], alphabets[sigma_class]
        now = levels[column[run], first[run] : first[run] + length[run]]
        before = coarse[column[run], first[run] : first[run] + length[run]]
        for i in range(len(now)):
            digit = _digit(now[i], before[i])
            magnitude = min(abs(before[i]), np.int32(3))
            if alphabet != INWARD or digit != 1:
                symbols[cursor[magnitude]] = np.int8(digit == 1 if alphabet == OUTWARD else digit)
                cursor[magnitude] += 1


@compiled
def triple(coarse: Levels, bounds: NDArray[np.int64]) -> tuple[Levels, Zeros, Int]:
    """Return three times the levels, the runs that are zeros, and the largest magnitude among the levels."""
    groups, every = len(bounds) - 1, np.int64(0)
    levels, empty = np.empty_like(coarse), np.empty((coarse.shape[0], groups), np.bool_)
    group_of = np.empty(coarse.shape[1], np.int64)
    for group in range(groups):
        group_of[bounds[group] : bounds[group + 1]] = group
    for c in range(coarse.shape[0]):
        for group in range(groups):
            largest = np.int64(0)
            for t in range(bounds[group], bounds[group + 1]):
                level = coarse[c, t]
                largest = max(largest, abs(np.int64(level)))
                levels[c, t] = np.int32(3) * level
            empty[c, group] = largest == 0
            every = max(every, largest)
    return levels, (empty, group_of), every


@compiled
def read_pass(  # noqa: PLR0913 - compiled code takes arrays, not objects
    data: NDArray[np.uint8],
    coarse: Levels,
    zeros: Zeros,
    classes: NDArray[np.uint8],
    runs: RunIndex,
    span: tuple[Int, Int],
    alphabets: NDArray[np.uint8],
    slots: NDArray[np.uint32],
    levels: Levels,
) -> bool:
    """Add the digits of a coded pass to the levels; return whether it is without damage."""
    starts, table_of_row, count = lay_out_pass(levels, coarse, zeros, classes, runs, span, alphabets)
    if count > data.size * MAX_LEVELS_PER_BYTE:
        return False
    symbols = np.empty(count, np.uint8)
    if not rans_cpu.decode_block(data, table_of_row, slots, symbols):
        return False
    apply_digits(symbols.view(np.int8), coarse, zeros, classes, runs, span, alphabets, starts, levels)
    return True


@compiled
def apply_digits(  # noqa: PLR0913 - compiled code takes arrays, not objects
    symbols: NDArray[np.int8],
    coarse: Levels,
    zeros: Zeros,
    classes: NDArray[np.uint8],
    runs: RunIndex,
    span: tuple[Int, Int],
    alphabets: NDArray[np.uint8],
    starts: Places,
    levels: Levels,
) -> None:
    """Invert `gather_digits`; most levels are 0 before, so the place of their next symbol stays in a register."""
    (column, first, length), (empty, group_of) = runs, zeros
    cursors = starts.copy()
    for run in range(len(column)):
        sigma_class = _table_class(classes[run])
        if not span[0] <= sigma_class < span[1]:
            continue
        cursor, inward = cursors[sigma_class], alphabets[sigma_class] == INWARD
        if empty[column[run], group_of[first[run]]] and not inward:
            coded = symbols[cursor[0] : cursor[0] + length[run]]
            added = levels[column[run], first[run] : first[run] + length[run]]
            for i in range(len(coded)):
                added[i] += np.int32(coded[i])
            cursor[0] += length[run]
            continue
        now = levels[column[run], first[run] : first[run] + length[run]]
        before = coarse[column[run], first[run] : first[run] + length[run]]
        of_zero = cursor[0]
        for i in range(len(now)):
            level = before[i]
            if inward and _digit(now[i], level) == 1:
                continue
            if level == 0:
                now[i] += np.int32(symbols[of_zero])
                of_zero += 1
            else:
                magnitude = min(abs(level), np.int32(3))
                digit = np.int32(symbols[cursor[magnitude]])
                cursor[magnitude] += 1
                now[i] += -digit if level < 0 else digit
        cursor[0] = of_zero

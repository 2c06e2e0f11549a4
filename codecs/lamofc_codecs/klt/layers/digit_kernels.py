"""Compiled loops over the digits of a refinement level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.layers.runs import Levels
from lamofc_codecs.level_coding import RunIndex
from lamofc_codecs.runtime import compiled

TERNARY, OUTWARD, INWARD = range(3)
"""Alphabets: all three digits; whether a level moves outwards; whether one that does not moves inwards."""

Places = NDArray[np.int64]


@compiled
def _digit(level: np.int32, coarse: np.int32) -> np.int32:
    """Digit of a level over the coarse one, 1 being outwards."""
    beyond = level - np.int32(3) * coarse
    return -beyond if coarse < 0 else beyond


@compiled
def tally_digits(
    levels: Levels, coarse: Levels, classes: NDArray[np.uint16], runs: RunIndex, counts: NDArray[np.int64]
) -> None:
    """Count digits by magnitude so far, class and digit."""
    column, first, length = runs
    for run in range(len(column)):
        sigma_class = classes[run]
        for t in range(first[run], first[run] + length[run]):
            before = coarse[column[run], t]
            counts[min(abs(before), np.int32(3)), sigma_class, _digit(levels[column[run], t], before) + 1] += 1


@compiled
def count_symbols(
    levels: Levels,
    coarse: Levels,
    classes: NDArray[np.uint16],
    runs: RunIndex,
    inward: NDArray[np.bool_],
    counts: NDArray[np.int64],
) -> None:
    """Count the symbols of a pass by magnitude and class; inward classes have none for levels that moved outwards."""
    column, first, length = runs
    for run in range(len(column)):
        tally = counts[:, classes[run]]
        before = coarse[column[run], first[run] : first[run] + length[run]]
        now = levels[column[run], first[run] : first[run] + length[run]]
        total, ones, twos, larger = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        if inward[classes[run]]:
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


@compiled
def gather_digits(  # noqa: PLR0913 - compiled code takes arrays, not objects
    levels: Levels,
    coarse: Levels,
    classes: NDArray[np.uint16],
    starts: Places,
    runs: RunIndex,
    alphabets: NDArray[np.uint8],
    symbols: NDArray[np.int8],
) -> None:
    """Write the symbols of a pass, sorted by table."""
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor, alphabet = cursors[classes[run]], alphabets[classes[run]]
        now = levels[column[run], first[run] : first[run] + length[run]]
        before = coarse[column[run], first[run] : first[run] + length[run]]
        for i in range(len(now)):
            digit = _digit(now[i], before[i])
            magnitude = min(abs(before[i]), np.int32(3))
            if alphabet != INWARD or digit != 1:
                symbols[cursor[magnitude]] = np.int8(digit == 1 if alphabet == OUTWARD else digit)
                cursor[magnitude] += 1


@compiled
def apply_digits(  # noqa: PLR0913 - compiled code takes arrays, not objects
    symbols: NDArray[np.int8],
    coarse: Levels,
    classes: NDArray[np.uint16],
    starts: Places,
    runs: RunIndex,
    alphabets: NDArray[np.uint8],
    levels: Levels,
) -> None:
    """Invert `gather_digits`.

    `symbols` is padded by one element, so that reads for levels without a symbol stay in bounds.
    """
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor, inward = cursors[classes[run]], alphabets[classes[run]] == INWARD
        now = levels[column[run], first[run] : first[run] + length[run]]
        before = coarse[column[run], first[run] : first[run] + length[run]]
        for i in range(len(now)):
            coded = not inward or _digit(now[i], before[i]) != 1
            magnitude = min(abs(before[i]), np.int32(3))
            digit = np.int32(symbols[cursor[magnitude]]) * coded
            cursor[magnitude] += coded
            now[i] += -digit if before[i] < 0 else digit

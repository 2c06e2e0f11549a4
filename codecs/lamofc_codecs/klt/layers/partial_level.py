"""Between two levels: what numbers stand for of which only some, or one half, is known so far.

A number not told of stands for what it did at the level before. One that is known not to move outwards, but not
whether it moves inwards, stands a little inwards of where it was, as far as its table makes likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES
from lamofc_codecs.klt.layers.passes import ALL, HALF
from lamofc_codecs.klt.layers.refinement import shares, widened
from lamofc_codecs.klt.layers.runs import Numbers, Runs
from lamofc_codecs.klt.quantise import PARTS
from lamofc_codecs.runtime import Doubles, Floats, Int, compiled, inlined

Inwards = NDArray[np.int32]
"""Energy classes that occur x columns x 2: parts of a step that ones, and larger numbers, are drawn inwards."""

_WHOLE = np.int32(PARTS)


def inwards_of(drawn: NDArray[np.uint8], runs: Runs, columns: int) -> Inwards:
    """How far the numbers of a level are drawn inwards; 0 for columns that it does not hold."""
    every = np.zeros((ALL_CLASSES, 2), np.int32)
    every[:CLASSES] = drawn
    found = np.zeros((len(runs.kinds), columns, 2), np.int32)
    found[:, : runs.columns] = every[runs.kinds]
    return found


@cache
def half_known() -> NDArray[np.int32]:
    """Classes x magnitudes: parts of a step that a number stands inwards which is known not to move outwards."""
    inwards, stays = shares()[..., 0].T, shares()[..., 1].T
    both = np.maximum(inwards + stays, 1)
    return np.ascontiguousarray((2 * PARTS * inwards + both) // (2 * both), np.int32)


@dataclass(frozen=True, eq=False)
class PartialLevel:
    """The level before, and how much is known of the next."""

    before: Numbers
    runs: Runs
    """Of the level before."""
    known: NDArray[np.uint8]
    """Of each class of the next level."""

    def parts(self, numbers: Numbers, runs: Runs, drawn: NDArray[np.uint8]) -> Numbers:
        """What the next level's numbers stand for, in parts of its step."""
        columns = len(numbers)
        inwards = inwards_of(drawn, runs, columns), inwards_of(drawn, self.runs, columns)
        out = np.empty_like(numbers)
        kinds = np.minimum(runs.kinds, CLASSES - 1)
        before = widened(self.before, columns)
        _parts(numbers, before, inwards, kinds, self.known, half_known(), runs.tokens.bounds, out)
        return out


def errors_of(
    columns: Floats, fine: Numbers, coarse: Numbers, runs: tuple[Runs, Runs], drawn: NDArray[np.uint8], gains: Doubles
) -> NDArray[np.float64]:
    """Squared error, in squared steps of the fine level, of each class's numbers: untold, half told, and told.

    `columns`, columns x sorted tokens, are in steps of the fine level; `gains` weigh each column.
    """
    count = len(fine)
    inwards = inwards_of(drawn, runs[0], count), inwards_of(drawn, runs[1], count)
    kinds = np.minimum(runs[0].kinds, CLASSES - 1)
    sums = np.zeros((CLASSES, 3))
    before = widened(coarse, count)
    _errors(columns, fine, before, inwards, kinds, half_known(), runs[0].tokens.bounds, gains, sums)
    return sums


@inlined
def dequantise(number: Int, of_one: Int, one: Int, more: Int) -> Int:
    """What a number is worth, drawn inwards by `one` where it is 1 or -1, by `more` where it is larger."""
    away = abs(number)
    part = of_one * away - (one if away == 1 else (more if away > 1 else np.int32(0)))
    return -part if number < 0 else part


@compiled
def _undecided(number: np.int32, offsets: NDArray[np.int32]) -> np.int32:
    away = abs(number)
    part = np.int32(48) * away - offsets[min(away, np.int32(3))]
    return np.int32(-part if number < 0 else part)


@compiled
def _parts(  # noqa: PLR0913 - compiled code takes arrays, not objects
    numbers: Numbers,
    before: Numbers,
    inwards: tuple[Inwards, Inwards],
    kinds: NDArray[np.uint8],
    known: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    bounds: NDArray[np.int64],
    out: Numbers,
) -> None:
    fine, coarse = inwards
    for group in range(len(bounds) - 1):
        for c in range(numbers.shape[0]):
            one, more = fine[group, c, 0], fine[group, c, 1]
            one_before, more_before = coarse[group, c, 0], coarse[group, c, 1]
            kind = kinds[group, c]
            for t in range(bounds[group], bounds[group + 1]):
                if known[kind] == ALL or (known[kind] == HALF and numbers[c, t] != np.int32(3) * before[c, t]):
                    out[c, t] = dequantise(numbers[c, t], _WHOLE, one, more)
                elif known[kind] == HALF:
                    out[c, t] = _undecided(before[c, t], offsets[kind])
                else:
                    out[c, t] = np.int32(3) * dequantise(before[c, t], _WHOLE, one_before, more_before)


@compiled
def _errors(  # noqa: PLR0913 - compiled code takes arrays, not objects
    columns: Floats,
    fine_numbers: Numbers,
    before: Numbers,
    inwards: tuple[Inwards, Inwards],
    kinds: NDArray[np.uint8],
    offsets: NDArray[np.int32],
    bounds: NDArray[np.int64],
    gains: Doubles,
    sums: NDArray[np.float64],
) -> None:
    fine, coarse = inwards
    part = np.float64(1 / 16)
    for group in range(len(bounds) - 1):
        for c in range(fine_numbers.shape[0]):
            one, more = fine[group, c, 0], fine[group, c, 1]
            one_before, more_before = coarse[group, c, 0], coarse[group, c, 1]
            kind, gain = kinds[group, c], gains[c]
            untold, half, told = np.float64(0), np.float64(0), np.float64(0)
            for t in range(bounds[group], bounds[group + 1]):
                value, number, known = np.float64(columns[c, t]), fine_numbers[c, t], before[c, t]
                away = value - part * np.float64(dequantise(number, _WHOLE, one, more))
                told += away * away
                outwards = number != np.int32(3) * known and (number > np.int32(3) * known) == (known >= 0)
                if not outwards:
                    away = value - part * np.float64(_undecided(known, offsets[kind]))
                half += away * away
                away = value - np.float64(3) * part * np.float64(dequantise(known, _WHOLE, one_before, more_before))
                untold += away * away
            sums[kind, 0] += gain * untold
            sums[kind, 1] += gain * half
            sums[kind, 2] += gain * told

"""Reconstruction when a refinement level has been read only in part.

A level of which nothing was read stands for what it did at the refinement level before. One that is known not to move
outwards, but not whether it moves inwards, stands a little inwards of where it was, as far as its table makes likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES
from lamofc_codecs.klt.layers.passes import COMPLETE, OUTWARD_READ
from lamofc_codecs.klt.layers.refinement import digit_frequencies, pad_columns
from lamofc_codecs.klt.layers.runs import Levels, Runs
from lamofc_codecs.klt.quantise import SIXTEENTHS
from lamofc_codecs.runtime import Doubles, Floats, Int, compiled, inlined

Offsets = NDArray[np.int32]
"""Groups of tokens x columns x 2: reconstruction offsets of magnitude 1 and of larger ones, in sixteenths of a step."""

_WHOLE = np.int32(SIXTEENTHS)


def offsets_by_group(offsets: NDArray[np.uint8], runs: Runs, columns: int) -> Offsets:
    """Reconstruction offsets of each group and column; 0 for columns beyond those of the refinement level."""
    every = np.zeros((ALL_CLASSES, 2), np.int32)
    every[:CLASSES] = offsets
    by_group = np.zeros((len(runs.group_classes), columns, 2), np.int32)
    by_group[:, : runs.columns] = every[runs.group_classes]
    return by_group


@cache
def undecided_offsets() -> NDArray[np.int32]:
    """Classes x magnitudes: reconstruction offset of a level that stays or moves inwards, in sixteenths of its step."""
    inwards, stays = digit_frequencies()[..., 0].T, digit_frequencies()[..., 1].T
    both = np.maximum(inwards + stays, 1)
    return np.ascontiguousarray((2 * SIXTEENTHS * inwards + both) // (2 * both), np.int32)


@dataclass(frozen=True, eq=False)
class PartialLevel:
    """The refinement level before the last, and how much of the last is decoded."""

    coarse: Levels
    runs: Runs
    """Runs of the refinement level before."""
    state: NDArray[np.uint8]
    """Decoded state of each class in the last refinement level."""

    def sixteenths(self, levels: Levels, runs: Runs, offsets: NDArray[np.uint8]) -> Levels:
        """Reconstruct the levels of the last refinement level, in sixteenths of its step."""
        columns = len(levels)
        by_group = offsets_by_group(offsets, runs, columns), offsets_by_group(offsets, self.runs, columns)
        out = np.empty_like(levels)
        classes = np.minimum(runs.group_classes, CLASSES - 1)
        coarse = pad_columns(self.coarse, columns)
        _reconstruct(levels, coarse, by_group, classes, self.state, undecided_offsets(), runs.tokens.bounds, out)
        return out


def errors_by_state(
    columns: Floats, fine: Levels, coarse: Levels, runs: tuple[Runs, Runs], offsets: NDArray[np.uint8], gains: Doubles
) -> NDArray[np.float64]:
    """Squared error of the levels of each class in each decoded state, in squared steps of the fine level.

    `columns`, columns x sorted tokens, are in steps of the fine level; `gains` weigh the error of each column.
    """
    count = len(fine)
    by_group = offsets_by_group(offsets, runs[0], count), offsets_by_group(offsets, runs[1], count)
    classes = np.minimum(runs[0].group_classes, CLASSES - 1)
    sums = np.zeros((CLASSES, 3))
    padded = pad_columns(coarse, count)
    _errors(columns, fine, padded, by_group, classes, undecided_offsets(), runs[0].tokens.bounds, gains, sums)
    return sums


@inlined
def dequantise(level: Int, step_scale: Int, offset_of_one: Int, offset_of_larger: Int) -> Int:
    """Value of a level, `step_scale` for each step, moved towards 0 by the offset of its magnitude."""
    magnitude = abs(level)
    value = step_scale * magnitude - (
        offset_of_one if magnitude == 1 else (offset_of_larger if magnitude > 1 else np.int32(0))
    )
    return -value if level < 0 else value


@compiled
def _undecided(coarse: np.int32, offsets: NDArray[np.int32]) -> np.int32:
    """Value, in sixteenths of the finer step, of a level that stays or moves inwards."""
    magnitude = abs(coarse)
    value = np.int32(48) * magnitude - offsets[min(magnitude, np.int32(3))]
    return np.int32(-value if coarse < 0 else value)


@compiled
def _reconstruct(  # noqa: PLR0913 - compiled code takes arrays, not objects
    levels: Levels,
    coarse: Levels,
    offsets: tuple[Offsets, Offsets],
    classes: NDArray[np.uint8],
    state: NDArray[np.uint8],
    undecided: NDArray[np.int32],
    bounds: NDArray[np.int64],
    out: Levels,
) -> None:
    fine_offsets, coarse_offsets = offsets
    for group in range(len(bounds) - 1):
        for c in range(levels.shape[0]):
            offset_of_1, offset_of_larger = fine_offsets[group, c, 0], fine_offsets[group, c, 1]
            coarse_one, coarse_larger = coarse_offsets[group, c, 0], coarse_offsets[group, c, 1]
            sigma_class = classes[group, c]
            decoded = state[sigma_class]
            for t in range(bounds[group], bounds[group + 1]):
                moved = levels[c, t] != np.int32(3) * coarse[c, t]
                if decoded == COMPLETE or (decoded == OUTWARD_READ and moved):
                    out[c, t] = dequantise(levels[c, t], _WHOLE, offset_of_1, offset_of_larger)
                elif decoded == OUTWARD_READ:
                    out[c, t] = _undecided(coarse[c, t], undecided[sigma_class])
                else:
                    out[c, t] = np.int32(3) * dequantise(coarse[c, t], _WHOLE, coarse_one, coarse_larger)


@compiled
def _errors(  # noqa: PLR0913 - compiled code takes arrays, not objects
    columns: Floats,
    fine: Levels,
    coarse: Levels,
    offsets: tuple[Offsets, Offsets],
    classes: NDArray[np.uint8],
    undecided: NDArray[np.int32],
    bounds: NDArray[np.int64],
    gains: Doubles,
    sums: NDArray[np.float64],
) -> None:
    fine_offsets, coarse_offsets = offsets
    sixteenth = np.float64(1 / 16)
    for group in range(len(bounds) - 1):
        for c in range(fine.shape[0]):
            offset_of_1, offset_of_larger = fine_offsets[group, c, 0], fine_offsets[group, c, 1]
            coarse_one, coarse_larger = coarse_offsets[group, c, 0], coarse_offsets[group, c, 1]
            sigma_class, gain = classes[group, c], gains[c]
            unread, outward_read, complete = np.float64(0), np.float64(0), np.float64(0)
            for t in range(bounds[group], bounds[group + 1]):
                value, level, before = np.float64(columns[c, t]), fine[c, t], coarse[c, t]
                error = value - sixteenth * np.float64(dequantise(level, _WHOLE, offset_of_1, offset_of_larger))
                complete += error * error
                outwards = level != np.int32(3) * before and (level > np.int32(3) * before) == (before >= 0)
                if not outwards:
                    error = value - sixteenth * np.float64(_undecided(before, undecided[sigma_class]))
                outward_read += error * error
                value_before = np.float64(dequantise(before, _WHOLE, coarse_one, coarse_larger))
                error = value - np.float64(3) * sixteenth * value_before
                unread += error * error
            sums[sigma_class, 0] += gain * unread
            sums[sigma_class, 1] += gain * outward_read
            sums[sigma_class, 2] += gain * complete

"""Predicted error and bits of a step, from some entries of each column: nothing is coded for it.

Error and rate both change steadily with the step, so a few secants find a step by them. The entries are chosen by their
positions alone, so the same tensor always gets the same step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ESCAPE, LARGEST_LEVEL, classes_of, shape_of_classes, sigma_tables
from lamofc_codecs.runtime import Floats, compiled
from lamofc_codecs.stats import Bulk

_MAX_ENTRIES = 1 << 16
"""Entries that a prediction evaluates, as long as each column keeps its share."""
_MIN_ENTRIES_PER_COLUMN = 16
_ROUND = np.float32(3 << 22)
"""Added and taken away again, it rounds a float32 below 2 ** 22 to the nearest integer, in vector instructions."""


@dataclass(frozen=True)
class EntrySample:
    """Some entries of each column of a tensor."""

    centred: Floats
    """Entries x columns: values minus their column's middle."""
    bounds: Floats
    """2 x columns: the bounds of the bulk minus the same middles."""
    scale: float
    """Entries of the tensor for each entry of the sample."""

    @classmethod
    def from_values(cls, values: Floats, middle: Floats, bulk: Bulk) -> EntrySample:
        """Take the same number of entries from each column, spread over the tokens; all of a small tensor."""
        tokens, columns = values.shape
        taken = min(tokens, max(_MIN_ENTRIES_PER_COLUMN, _MAX_ENTRIES // max(columns, 1)))
        centred = np.empty((taken, columns), np.float32)
        _take(values, middle, centred)
        with np.errstate(over="ignore"):
            bounds = np.stack([bulk.low - middle, bulk.high - middle])
        return cls(centred, bounds, tokens / max(taken, 1))


def predict_errors(entries: EntrySample, step: float, sigma: Floats, offsets: Floats) -> tuple[float, float]:
    """Predict the squared error over all entries of the tensor and over its bulk.

    `sigma` is the standard deviation of each column, `offsets` the reconstruction offset of each sigma class.
    """
    sums = np.zeros((2, len(sigma)))
    _errors(entries.centred, entries.bounds, offsets[classes_of(sigma, np.float32(step))], np.float32(step), sums)
    total, bulk = sums.sum(1) * entries.scale
    return float(total), float(bulk)


def predict_bits(entries: EntrySample, step: float, sigma: Floats) -> float:
    """Predict the bits of all symbols, escapes and low bits of the tensor."""
    shape = shape_of_classes()[:, classes_of(sigma, np.float32(step))]
    return float(_bits(entries.centred, shape, np.float32(step), sigma_tables().costs)) * entries.scale


@compiled
def _take(values: Floats, middle: Floats, centred: Floats) -> None:
    """Take entry i of each column from the i-th of equal shares of the tokens, at a place that differs by column."""
    tokens, taken = values.shape[0], centred.shape[0]
    for i in range(taken):
        first = i * tokens // taken
        room = (i + 1) * tokens // taken - first
        for c in range(values.shape[1]):
            token = first + ((i + 1) * 40503 + c * 25717 >> 4) % room
            centred[i, c] = values[token, c] - middle[c]


@compiled
def _errors(centred: Floats, bounds: Floats, offsets: Floats, step: np.float32, sums: NDArray[np.float64]) -> None:
    inverse = np.float32(1) / step
    low, high, total, bulk = bounds[0], bounds[1], sums[0], sums[1]
    for i in range(centred.shape[0]):
        row = centred[i]
        for c in range(centred.shape[1]):
            v = row[c]
            scaled = v * inverse
            # Beyond 2 ** 22 the entry is stored exactly; the comparison fails for NaN, too.
            coded = abs(scaled) <= np.float32(LARGEST_LEVEL)
            level = (scaled + _ROUND) - _ROUND
            sign = np.float32(level > 0) - np.float32(level < 0)
            error = np.float64(v - (level - sign * offsets[c]) * step if coded else np.float32(0))
            total[c] += error * error
            bulk[c] += error * error if (v >= low[c]) & (v <= high[c]) else 0.0


@compiled
def _bits(centred: Floats, shape: NDArray[np.int32], step: np.float32, costs: Floats) -> np.float64:
    total = np.float64(0)
    inverse = np.float32(1) / step
    for i in range(centred.shape[0]):
        for c in range(centred.shape[1]):
            table, shift, radius = shape[0, c], np.int64(shape[1, c]), shape[2, c]
            scaled = abs(centred[i, c] * inverse)
            level = (scaled + _ROUND) - _ROUND if scaled <= np.float32(LARGEST_LEVEL) else np.float32(0)
            high = (np.int64(level) + ((np.int64(1) << shift) >> 1)) >> shift
            total += np.float64(shift)
            if high <= radius:
                total += np.float64(costs[table, high])
            else:
                beyond = np.log2(np.float64(high - radius))
                total += np.float64(costs[table, ESCAPE]) + np.float64(2) * beyond + np.float64(2)
    return total

"""Which step meets a target, from a sample of the entries: nothing is coded for it.

Distortion and rate both change steadily with the step, so a few secants find it. The entries looked at
are chosen by their positions alone; the same tensor always gets the same step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ESCAPE, LARGEST_LEVEL, classes_of, shape_of_classes, sigma_tables
from lamofc_codecs.runtime import Floats, compiled
from lamofc_codecs.stats import Bulk

_SEEN = 1 << 16
_LEAST = 16
"""Entries of each column, even of many columns."""
_ROUND = np.float32(3 << 22)
"""Added and taken away again, it rounds a float32 below 2 ** 22 to the nearest whole number, in vector instructions."""


@dataclass(frozen=True)
class Entries:
    """Some entries of each column of a tensor."""

    away: Floats
    """Entries x columns: how far each is from the middle of its column."""
    bounds: Floats
    """2 x columns: where the bulk lies, about the same middles."""
    share: float
    """Entries of the tensor for each one here."""

    @classmethod
    def of(cls, values: Floats, middle: Floats, bulk: Bulk) -> Entries:
        """Take the same number of entries from each column, spread over the tokens; all of a small tensor."""
        tokens, columns = values.shape
        taken = min(tokens, max(_LEAST, _SEEN // max(columns, 1)))
        away = np.empty((taken, columns), np.float32)
        _take(values, middle, away)
        with np.errstate(over="ignore"):
            bounds = np.stack([bulk.low - middle, bulk.high - middle])
        return cls(away, bounds, tokens / max(taken, 1))


def errors_at(entries: Entries, step: float, sigma: Floats, drawn: Floats) -> tuple[float, float]:
    """Return the squared error over all entries and over the bulk, scaled up to the whole tensor.

    `sigma` is each column's standard deviation; `drawn` the part of a step that values of each class are drawn inwards.
    """
    sums = np.zeros((2, len(sigma)))
    _errors(entries.away, entries.bounds, drawn[classes_of(sigma, np.float32(step))], np.float32(step), sums)
    total, inside = sums.sum(1) * entries.share
    return float(total), float(inside)


def bits_at(entries: Entries, step: float, sigma: Floats) -> float:
    """Return the bits that all symbols, escapes and low bits would cost, scaled up to the whole tensor."""
    shape = shape_of_classes()[:, classes_of(sigma, np.float32(step))]
    return float(_bits(entries.away, shape, np.float32(step), sigma_tables().costs)) * entries.share


@compiled
def _take(values: Floats, middle: Floats, away: Floats) -> None:
    """Entry i of each column comes from a token in the i-th of equal shares, at a place that differs by column."""
    tokens, taken = values.shape[0], away.shape[0]
    for i in range(taken):
        first = i * tokens // taken
        room = (i + 1) * tokens // taken - first
        for c in range(values.shape[1]):
            token = first + ((i + 1) * 40503 + c * 25717 >> 4) % room
            away[i, c] = values[token, c] - middle[c]


@compiled
def _errors(away: Floats, bounds: Floats, shrink: Floats, step: np.float32, sums: NDArray[np.float64]) -> None:
    inverse = np.float32(1) / step
    low, high, total, inside = bounds[0], bounds[1], sums[0], sums[1]
    for i in range(away.shape[0]):
        row = away[i]
        for c in range(away.shape[1]):
            v = row[c]
            scaled = v * inverse
            # Beyond 2 ** 22 the entry is kept exactly; the comparison fails for NaN, too.
            known = abs(scaled) <= np.float32(LARGEST_LEVEL)
            number = (scaled + _ROUND) - _ROUND
            sign = np.float32(number > 0) - np.float32(number < 0)
            error = np.float64(v - (number - sign * shrink[c]) * step if known else np.float32(0))
            total[c] += error * error
            inside[c] += error * error if (v >= low[c]) & (v <= high[c]) else 0.0


@compiled
def _bits(away: Floats, shape: NDArray[np.int32], step: np.float32, costs: Floats) -> np.float64:
    total = np.float64(0)
    inverse = np.float32(1) / step
    for i in range(away.shape[0]):
        for c in range(away.shape[1]):
            table, shift, radius = shape[0, c], np.int64(shape[1, c]), shape[2, c]
            scaled = abs(away[i, c] * inverse)
            number = (scaled + _ROUND) - _ROUND if scaled <= np.float32(LARGEST_LEVEL) else np.float32(0)
            high = (np.int64(number) + ((np.int64(1) << shift) >> 1)) >> shift
            total += np.float64(shift)
            if high <= radius:
                total += np.float64(costs[table, high])
            else:
                beyond = np.log2(np.float64(high - radius))
                total += np.float64(costs[table, ESCAPE]) + np.float64(2) * beyond + np.float64(2)
    return total

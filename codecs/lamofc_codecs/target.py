"""Which step meets a target, from a sample of the entries: nothing is coded for it.

Distortion and rate both change steadily with the step, so a bisection on its logarithm finds it. The entries looked at
are chosen by their positions alone; the same tensor always gets the same step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.bulk import Bulk, Floats
from lamofc_codecs.coefficients import LARGEST, Columns, classes_of
from lamofc_codecs.compiled import compiled
from lamofc_codecs.quantise import shrink_of
from lamofc_codecs.tables import ESCAPE, sigma_tables

_SEEN = 1 << 16
_OCTAVES = 60
_HALVINGS = 9
"""Of the logarithm of a factor of two: the step is then known to a part in seven hundred."""


@dataclass(frozen=True)
class Entries:
    """Some entries of a tensor: how far each is from the middle of its column, its column, and whether it is bulk."""

    away: Floats
    column: NDArray[np.int64]
    bulk: NDArray[np.bool_]
    share: float
    """Entries of the tensor for each one here."""

    @classmethod
    def of(cls, values: Floats, middle: Floats, bulk: Bulk) -> Entries:
        """Take every so-many-th entry of a tensor, all of a small one."""
        size, columns = values.size, values.shape[1]
        stride = -(-size // _SEEN)
        first = np.arange(0, size, stride, dtype=np.int64)
        # A bare stride would see only some of the columns where it divides their number.
        position = np.minimum(first + (first // stride * 0x9E3779B1 >> 7) % stride, size - 1)
        column = position % columns
        taken = values.reshape(-1)[position]
        finite = np.isfinite(taken)
        taken, column = taken[finite], column[finite]
        inside = (taken >= bulk.low[column]) & (taken <= bulk.high[column])
        return cls(taken - middle[column], column, inside, size / max(len(taken), 1))


def errors_at(entries: Entries, step: float, sigma: Floats, shrink: NDArray[np.uint8]) -> tuple[float, float]:
    """Return the squared error over all entries and over the bulk, scaled up to the whole tensor.

    `sigma` is each column's standard deviation, `shrink` each frozen class's, in 64ths of a step.
    """
    columns = Columns(classes_of(sigma / np.float32(step)), 1)
    drawn = shrink_of(columns, shrink).astype(np.float32) / np.float32(64)
    total, inside = _errors(entries.away, entries.column, entries.bulk, drawn, np.float32(step))
    return float(total) * entries.share, float(inside) * entries.share


def bits_at(entries: Entries, step: float, sigma: Floats) -> float:
    """Return the bits that all symbols, escapes and low bits would cost, scaled up to the whole tensor."""
    columns = Columns(classes_of(sigma / np.float32(step)), 1)
    shape = np.stack([columns.tables.astype(np.int32), columns.shifts, columns.radii])
    return float(_bits(entries.away, entries.column, shape, np.float32(step), sigma_tables().costs)) * entries.share


def solve(rises: Callable[[float], float], start: float) -> float:
    """Return the largest step at which a rising function stays at or below 0, to a part in some hundreds."""
    low = high = start
    for _ in range(_OCTAVES):
        if rises(high) > 0:
            break
        low, high = high, high * 2
    for _ in range(_OCTAVES):
        if rises(low) <= 0:
            break
        low, high = low / 2, low
    for _ in range(_HALVINGS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return low


@compiled
def _errors(
    away: Floats, column: NDArray[np.int64], bulk: NDArray[np.bool_], shrink: Floats, step: np.float32
) -> tuple[np.float64, np.float64]:
    total, inside = np.float64(0), np.float64(0)
    inverse = np.float32(1) / step
    for i in range(len(away)):
        number = np.rint(away[i] * inverse)
        sign = np.float32(1) if number > 0 else (np.float32(-1) if number < 0 else np.float32(0))
        error = np.float64(away[i] - (number - sign * shrink[column[i]]) * step)
        total += error * error
        inside += error * error if bulk[i] else np.float64(0)
    return total, inside


@compiled
def _bits(
    away: Floats, column: NDArray[np.int64], shape: NDArray[np.int32], step: np.float32, costs: Floats
) -> np.float64:
    total = np.float64(0)
    inverse = np.float32(1) / step
    for i in range(len(away)):
        c = column[i]
        table, shift, radius = shape[0, c], np.int64(shape[1, c]), shape[2, c]
        number = min(abs(np.rint(away[i] * inverse)), np.float32(LARGEST))
        high = (np.int64(number) + ((np.int64(1) << shift) >> 1)) >> shift
        if high <= radius:
            total += np.float64(costs[table, high])
        else:
            beyond = np.log2(np.float64(high - radius))
            total += np.float64(costs[table, ESCAPE]) + np.float64(2) * beyond + np.float64(2)
        total += np.float64(shift)
    return total

"""Levels as values in sixteenths of a step, moved towards zero by their reconstruction offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.format import DecodedLevel, KltParameters
from lamofc_codecs.klt.layers import Levels, dequantise
from lamofc_codecs.klt.quantise import SIXTEENTHS, TokenGroups
from lamofc_codecs.runtime import Doubles, Int, compiled

_TOKENS_AT_ONCE = 32
"""Tokens whose values are turned from columns to rows at once."""
_MAX_ONE_BYTE, _MAX_TWO_BYTES = 127, 16000
"""Largest magnitudes, in sixteenths of a step, that one and two bytes hold."""

Scales = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32], Int]
"""Sigma classes, offsets, strides and the value of a level, as `Sixteenths` holds them."""


@dataclass(frozen=True, eq=False)
class Sixteenths:
    """Levels, with the scale and the offsets that make them values."""

    levels: Levels
    classes: NDArray[np.uint8]
    """Sigma class of each group of tokens x each column."""
    offsets: NDArray[np.uint8]
    """Reconstruction offsets of the first classes, of magnitude 1 and of larger ones; others have none."""
    stride: NDArray[np.int32]
    """Steps between the levels of each column; offsets grow with them."""
    unit: np.int32
    """Sixteenths of a step that a level is worth in a column whose stride is 1."""
    tokens: TokenGroups

    @property
    def step_scale(self) -> NDArray[np.int32]:
        """Sixteenths of a step that a level of each column is worth."""
        return self.stride * self.unit

    def two_byte_columns(self) -> int:
        """Count the columns up to the last one that takes two bytes; -1 if any takes more."""
        return int(_count_two_byte_columns(self.levels, self.stride, self.unit))

    def by_token(self) -> NDArray[np.int32]:
        """Values, tokens x columns."""
        out = np.empty(self.levels.shape[::-1], np.int32)
        _by_token(self.levels, self._scales, self.tokens.bounds, self.tokens.order, out)
        return out

    def write_bytes(self, low: NDArray[np.int8], high: NDArray[np.int8]) -> None:
        """Write the low byte of each value to tokens x columns, and the high one of those columns that `high` has."""
        _write_bytes(self.levels, self._scales, self.tokens.bounds, self.tokens.order, low, high)

    def add_weighted(self, read: NDArray[np.int64], weights: Doubles, out: Doubles) -> None:
        """Add some of the sorted tokens, each times its weight in each row, to rows x columns."""
        _add_weighted(self.levels, self._scales, self.tokens.bounds, read, weights, out)

    @property
    def _scales(self) -> Scales:
        return self.classes, self.offsets, self.stride, self.unit


def sixteenths_of(level: DecodedLevel, parameters: KltParameters) -> Sixteenths:
    """Bring the offsets and strides of a profile together with the levels of a refinement level."""
    runs, offsets, unit, values = level.runs, parameters.offsets, np.int32(SIXTEENTHS), level.levels
    if level.partial is not None:
        # The levels become sixteenths, their offsets applied.
        values, unit = level.partial.sixteenths(values, runs, offsets), np.int32(1)
        offsets = np.empty((0, 2), np.uint8)
    return Sixteenths(values, runs.group_classes, offsets, parameters.stride[: runs.columns], unit, runs.tokens)


@compiled
def _value_of_levels(scales: Scales, group: Int, column: Int) -> tuple[Int, Int, Int]:
    """Return the value of a level, and the offsets of magnitude 1 and of larger ones."""
    classes, offsets, stride, unit = scales
    sigma_class = np.int64(classes[group, column])
    if sigma_class >= len(offsets):
        return np.int32(unit * stride[column]), np.int32(0), np.int32(0)
    of_one, of_larger = np.int32(offsets[sigma_class, 0]), np.int32(offsets[sigma_class, 1])
    return np.int32(unit * stride[column]), np.int32(of_one * stride[column]), np.int32(of_larger * stride[column])


@compiled
def _count_two_byte_columns(levels: Levels, stride: NDArray[np.int32], unit: Int) -> Int:
    count = np.int64(0)
    for c in range(levels.shape[0]):
        largest = np.int32(0)
        for level in levels[c]:
            largest = max(largest, abs(level))
        value = np.int64(unit) * stride[c] * np.int64(largest)
        if value > _MAX_TWO_BYTES:
            return np.int64(-1)
        if value > _MAX_ONE_BYTE:
            count = np.int64(c + 1)
    return count


@compiled
def _by_token(
    levels: Levels, scales: Scales, bounds: NDArray[np.int64], order: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    for group in range(len(bounds) - 1):
        for c in range(levels.shape[0]):
            scale, offset_of_1, offset_of_larger = _value_of_levels(scales, group, c)
            column = levels[c]
            for t in range(bounds[group], bounds[group + 1]):
                out[order[t], c] = dequantise(column[t], scale, offset_of_1, offset_of_larger)


@compiled
def _write_bytes(
    levels: Levels,
    scales: Scales,
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    low: NDArray[np.int8],
    high: NDArray[np.int8],
) -> None:
    """Write one byte a value, or in the first columns two, the lower one from -64 to 63: 32 tokens at once."""
    columns = levels.shape[0]
    two_bytes = min(high.shape[1], columns)
    values = np.empty((columns, _TOKENS_AT_ONCE), np.int16)
    for group in range(len(bounds) - 1):
        for first in range(bounds[group], bounds[group + 1], _TOKENS_AT_ONCE):
            last = min(first + _TOKENS_AT_ONCE, bounds[group + 1])
            for c in range(columns):
                scale, offset_of_1, offset_of_larger = _value_of_levels(scales, group, c)
                column, own = levels[c, first:last], values[c]
                for t in range(column.size):
                    own[t] = np.int16(dequantise(column[t], scale, offset_of_1, offset_of_larger))
            for t in range(last - first):
                below, above = low[order[first + t]], high[order[first + t]]
                for c in range(two_bytes):
                    value = values[c, t]
                    lower = ((value + np.int16(64)) & np.int16(127)) - np.int16(64)
                    below[c] = np.int8(lower)
                    above[c] = np.int8((value - lower) >> np.int16(7))
                for c in range(two_bytes, columns):
                    below[c] = np.int8(values[c, t])


@compiled
def _add_weighted(
    levels: Levels,
    scales: Scales,
    bounds: NDArray[np.int64],
    read: NDArray[np.int64],
    weights: Doubles,
    out: Doubles,
) -> None:
    groups = np.searchsorted(bounds, read, side="right") - 1
    for c in range(levels.shape[0]):
        column = levels[c]
        for i in range(len(read)):
            level = column[read[i]]
            if level != 0:
                scale, offset_of_1, offset_of_larger = _value_of_levels(scales, groups[i], c)
                value = dequantise(level, scale, offset_of_1, offset_of_larger)
                for row in range(out.shape[0]):
                    out[row, c] += weights[i, row] * value

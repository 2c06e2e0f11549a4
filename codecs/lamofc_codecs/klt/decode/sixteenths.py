"""Levels as values in sixteenths of a step, moved towards zero by their reconstruction offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.format import DecodedLevel, KltParameters
from lamofc_codecs.klt.layers import Levels, Offsets, dequantise, offsets_by_group
from lamofc_codecs.klt.quantise import SIXTEENTHS, TokenGroups
from lamofc_codecs.runtime import compiled


@dataclass(frozen=True, eq=False)
class Sixteenths:
    """Levels, with the scale and the offsets that make them values."""

    levels: Levels
    offsets: Offsets
    step_scale: NDArray[np.int32]
    """Sixteenths that one step of each column is worth: 16 times its stride."""
    tokens: TokenGroups

    def by_token(self) -> NDArray[np.int32]:
        """Values, tokens x columns."""
        out = np.empty(self.levels.shape[::-1], np.int32)
        _by_token(self.levels, self.offsets, self.step_scale, self.tokens.bounds, self.tokens.order, out)
        return out

    def as_bytes(self, two_bytes: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Values, tokens x columns, as one byte each, and of the first `two_bytes` columns a higher one."""
        low = np.empty(self.levels.shape[::-1], np.int8)
        high = np.empty((len(low), two_bytes), np.int8)
        _as_bytes(self.levels, self.offsets, self.step_scale, self.tokens.bounds, self.tokens.order, low, high)
        return low, high


def sixteenths_of(level: DecodedLevel, parameters: KltParameters) -> Sixteenths:
    """Bring the offsets and strides of a profile together with the levels of a refinement level."""
    runs = level.runs
    offsets = offsets_by_group(parameters.offsets, runs, runs.columns)
    stride = parameters.stride[: runs.columns]
    if level.partial is not None:
        # The levels are then sixteenths already, their offsets applied.
        values = level.partial.sixteenths(level.levels, runs, parameters.offsets)
        return Sixteenths(values, 0 * offsets, stride, runs.tokens)
    return Sixteenths(level.levels, offsets * stride[:, None], SIXTEENTHS * stride, runs.tokens)


@compiled
def _by_token(
    levels: Levels,
    offsets: Offsets,
    step_scale: NDArray[np.int32],
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    for group in range(len(bounds) - 1):
        for c in range(levels.shape[0]):
            offset_of_1, offset_of_larger, scale = offsets[group, c, 0], offsets[group, c, 1], step_scale[c]
            column = levels[c]
            for t in range(bounds[group], bounds[group + 1]):
                out[order[t], c] = dequantise(column[t], scale, offset_of_1, offset_of_larger)


@compiled
def _as_bytes(  # noqa: PLR0913 - compiled code takes arrays, not objects
    levels: Levels,
    offsets: Offsets,
    step_scale: NDArray[np.int32],
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    low: NDArray[np.int8],
    high: NDArray[np.int8],
) -> None:
    """Write one byte a value, or in the first columns two, the lower one from -64 to 63."""
    two_bytes = high.shape[1]
    for group in range(len(bounds) - 1):
        for first in range(bounds[group], bounds[group + 1], 32):
            last = min(first + 32, bounds[group + 1])
            for c in range(levels.shape[0]):
                offset_of_1, offset_of_larger, scale = offsets[group, c, 0], offsets[group, c, 1], step_scale[c]
                column = levels[c]
                for t in range(first, last):
                    value = dequantise(column[t], scale, offset_of_1, offset_of_larger)
                    if c < two_bytes:
                        below = ((value + np.int32(64)) & np.int32(127)) - np.int32(64)
                        low[order[t], c] = np.int8(below)
                        high[order[t], c] = np.int8((value - below) >> np.int32(7))
                    else:
                        low[order[t], c] = np.int8(value)

"""Reconstruction offsets: how far a decoder moves non-zero levels towards zero, where most of their values lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fit_offset(
    levels: NDArray[np.generic], magnitudes: NDArray[np.float32], denominator: int, min_count: int = 1
) -> int:
    """Return the mean distance of values below the levels that they round to, in fractions of a step.

    Both are magnitudes in steps. The offset counts parts of 1 / `denominator` of a step and is at most half a step; it
    is 0 if there are fewer than `min_count` values.
    """
    if len(levels) < min_count:
        return 0
    distance: NDArray[Any] = np.subtract(levels, magnitudes)
    return int(mean_offset(distance.sum(dtype=np.float64), len(levels), denominator))


def mean_offset(distances: ArrayLike, counts: ArrayLike, denominator: int) -> NDArray[np.uint8]:
    """Return offsets from sums of distances below levels and their counts; 0 where nothing was summed."""
    mean = np.asarray(distances) / np.maximum(counts, 1)
    offsets: NDArray[np.uint8] = np.clip(np.rint(denominator * mean), 0, denominator // 2).astype(np.uint8)
    return offsets

"""Ranges of channels that are transformed separately: the zeros beside them need not be multiplied."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RangeColumns = NDArray[np.int64]
Ranges = list[tuple[slice, RangeColumns]]
"""Channels of each range, and its columns, rising."""

_MAX_RANGES = 64
"""With more ranges than this, the separate products cost more than the zeros."""
_MAX_NONZERO_SHARE = 0.7
"""Share of the matrix within ranges above which skipping the rest is not worth it."""


def ranges_of(rows: Tensor) -> Ranges:
    """Find the ranges of channels that no row of columns x channels joins; all channels in one where that is faster."""
    columns, channels = rows.shape
    nonzero = (rows != 0).to(torch.uint8)
    first = nonzero.argmax(1).numpy()
    last = channels - nonzero.flip(1).argmax(1).numpy()
    used = nonzero.amax(1).numpy() > 0 if channels else np.zeros(columns, bool)
    reach = np.zeros(channels + 1, np.int64)
    np.maximum.at(reach, first[used], last[used])
    beyond = np.maximum.accumulate(reach)[:channels]
    starts = np.concatenate([[True], beyond[:-1] <= np.arange(1, channels)])[:channels]
    bounds = [*np.flatnonzero(starts).tolist(), channels]
    ranges = [(slice(a, b), np.flatnonzero(used & (first >= a) & (first < b))) for a, b in pairwise(bounds)]
    ranges = [(where, members) for where, members in ranges if len(members)]
    products = sum((where.stop - where.start) * len(members) for where, members in ranges)
    if 1 < len(ranges) <= _MAX_RANGES and products <= _MAX_NONZERO_SHARE * columns * channels:
        return ranges
    return single_range(columns, channels)


def single_range(columns: int, channels: int) -> Ranges:
    """All channels as one range."""
    return [(slice(0, channels), np.arange(columns))]

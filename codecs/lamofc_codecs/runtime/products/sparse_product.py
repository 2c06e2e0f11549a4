"""The product of two int8 matrices of which the left one is mostly zeros: the rows of the right one, added up."""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime.arrays import Floats
from lamofc_codecs.runtime.jit import Int, compiled

_AT_ONCE = 4
"""Rows that are added in one loop over the channels."""
_CHANNELS = 1024
"""Channels whose sums stay in the processor's cache while all rows are added to them."""
_LARGEST_SUM = (1 << 24) // 128
"""Bound of the magnitudes of a row of the left matrix, added up, below which float32 holds all sums exactly."""


@compiled
def sparse_product(low: NDArray[np.int8], high: NDArray[np.int8], rows: NDArray[np.int8], out: Floats) -> bool:
    """Write low + 128 high, of which `high` may have fewer columns, times `rows`; False if a sum may be inexact."""
    taken, factors = np.empty(low.shape[1] + _AT_ONCE, np.int64), np.empty(low.shape[1] + _AT_ONCE, np.float32)
    for t in range(low.shape[0]):
        count = _list_nonzero(low[t], high[t], taken, factors)
        if count < 0:
            return False
        out[t] = 0
        for start in range(0, out.shape[1], _CHANNELS):
            stop = min(start + _CHANNELS, out.shape[1])
            for first in range(0, count, _AT_ONCE):
                _add_rows(rows, taken[first:], factors[first:], start, out[t, start:stop])
    return True


@compiled
def _list_nonzero(low: NDArray[np.int8], high: NDArray[np.int8], taken: NDArray[np.int64], factors: Floats) -> Int:
    """List the columns that are not zero and their values, then some zeros; return their count, or -1 for too much."""
    count, total = np.int64(0), np.int64(0)
    for c in range(low.size):
        value = np.int32(low[c])
        if c < high.size:
            value += np.int32(128) * np.int32(high[c])
        taken[count], factors[count] = c, np.float32(value)
        count += value != 0
        total += abs(value)
    for after in range(count, count + _AT_ONCE):
        taken[after], factors[after] = 0, np.float32(0)
    return count if total < _LARGEST_SUM else np.int64(-1)


@compiled
def _add_rows(rows: NDArray[np.int8], taken: NDArray[np.int64], factors: Floats, start: Int, out: Floats) -> None:
    stop = start + out.size
    first, second = rows[taken[0]][start:stop], rows[taken[1]][start:stop]
    third, fourth = rows[taken[2]][start:stop], rows[taken[3]][start:stop]
    a, b, c, d = factors[0], factors[1], factors[2], factors[3]
    for k in range(out.size):
        early = a * np.float32(first[k]) + b * np.float32(second[k])
        out[k] += early + (c * np.float32(third[k]) + d * np.float32(fourth[k]))

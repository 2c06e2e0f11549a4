"""k-means in one dimension, the same levels every time: a start by quantiles of the density, then Lloyd's iteration.

On sorted values with prefix sums an iteration costs 256 binary searches, whatever the number of values.
"""

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.bulk import Floats

_ROUNDS = 2000
_SETTLED = 1e-7


def place_levels(values: Floats, count: int) -> Floats:
    """Return `count` rising levels for sorted finite values, near a least squared error."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(values, dtype=np.float64))])
    levels = _start(values, count)
    last = np.inf
    for _ in range(_ROUNDS):
        bounds = np.concatenate([[0], np.searchsorted(values, (levels[1:] + levels[:-1]) / 2), [len(values)]])
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        error = float((np.diff(squares[bounds]) - sizes * means * means).sum())
        levels = np.where(sizes > 0, means, levels)
        if last - error <= _SETTLED * abs(last):
            break
        last = error
    return _rising(levels.astype(np.float32))


def _start(values: Floats, count: int) -> NDArray[np.float64]:
    """Quantiles of the density to the power of a third, which is how the best levels of many lie.

    The density is taken between neighbouring quantiles: with d values over a width w it is d / w, so the cell counts
    for w * (d / w) ** (1/3).
    """
    places = np.rint(np.linspace(0, len(values) - 1, 8 * count + 1)).astype(np.int64)
    grid = values[places].astype(np.float64)
    width = np.diff(grid)
    share = np.concatenate([[0.0], np.cumsum(np.cbrt(width * width))])
    if share[-1] <= 0:
        return np.full(count, float(values[0]))
    return np.interp((np.arange(count) + 0.5) / count * share[-1], share, grid)


def _rising(levels: Floats) -> Floats:
    """Nudge levels that are equal in float32 apart, by the least amounts that float32 can tell."""
    for number in range(1, len(levels)):
        if levels[number] <= levels[number - 1]:
            levels[number] = np.nextafter(levels[number - 1], np.float32(np.inf))
    return levels

"""k-means in one dimension, the same levels every time: the best of all on a thinned axis, then Lloyd's iteration.

On sorted values with prefix sums an iteration costs one search a level, whatever the number of values. Lloyd's alone
would stay near where it starts: a handful of massive values then has too many levels or too few for ever. So it starts
from the best partition of some thousands of cells, which dynamic programming finds exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import Doubles, Floats, Int, compiled

_ROUNDS = 2000
_SETTLED = 1e-7
_CELLS = 16
"""Cells of the thinned axis for each level."""
_ENDS = 2
"""Values at either end, for each level, that are cells of their own."""


def place_levels(values: Floats, count: int) -> Floats:
    """Return `count` rising levels for sorted finite values, near a least squared error."""
    sums, squares = _outwards(values, 1), _outwards(values, 2)
    cells = _cells(values, count)
    edges = np.unique(cells[_best(cells, sums[cells], squares[cells], min(count, len(cells) - 1))])
    edges = np.concatenate([edges, np.full(count + 1 - len(edges), len(values))])
    sizes = np.diff(edges)
    levels = np.diff(sums[edges]) / np.maximum(sizes, 1)
    levels[sizes == 0] = values[-1]  # all of them at the end
    last = np.inf
    for _ in range(_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(values, (levels[1:] + levels[:-1]) / 2), [len(values)]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        error = float((np.diff(squares[edges]) - sizes * means * means).sum())
        levels = np.where(sizes > 0, means, levels)
        if last - error <= _SETTLED * abs(last):
            break
        last = error
    return _rising(levels.astype(np.float32))


def _outwards(values: Floats, power: int) -> Doubles:
    """Sums of powers up to each place, counted from the middle one: what is massive stands at the ends, and adds to no
    sum of what is not."""
    middle = len(values) // 2
    terms = np.power(values, power, dtype=np.float64)
    sums = np.zeros(len(values) + 1)
    np.cumsum(terms[middle:], out=sums[middle + 1 :])
    sums[:middle] = -np.cumsum(terms[:middle][::-1])[::-1]
    return sums


def _cells(values: Floats, count: int) -> NDArray[np.int64]:
    """Places that cut the values into cells: even in the cube root of their density, as the best levels of many lie.

    The density is taken between neighbouring quantiles: with d values over a width w it is d / w, so the cell counts
    for w * (d / w) ** (1/3).
    """
    size = len(values)
    quantiles = np.unique(np.rint(np.linspace(0, size, 8 * count + 1)).astype(np.int64))
    grid = values[np.minimum(quantiles, size - 1)].astype(np.float64)
    share = np.concatenate([[0.0], np.cumsum(np.cbrt(np.square(np.diff(grid))))])
    even = np.interp((np.arange(_CELLS * count) + 0.5) / (_CELLS * count) * share[-1], share, grid)
    ends = np.arange(_ENDS * count + 1)
    places = [np.searchsorted(values, even.astype(np.float32)), ends, size - ends, quantiles[::2]]
    found: NDArray[np.int64] = np.unique(np.clip(np.concatenate(places), 0, size)).astype(np.int64)
    return found


def _best(cells: NDArray[np.int64], sums: Doubles, squares: Doubles, count: int) -> NDArray[np.int64]:
    """Which cells' starts cut them into `count` runs of the least squared error; the first and the last place, too."""
    places = cells.astype(np.float64)
    starts = np.zeros((count, len(cells)), np.int32)
    _fill(places, sums, squares, starts)
    cuts = np.empty(count + 1, np.int64)
    at = cuts[count] = len(cells) - 1
    for run in range(count - 1, -1, -1):
        at = cuts[run] = starts[run, at]
    return cuts


@compiled
def _cost(places: Doubles, sums: Doubles, squares: Doubles, first: Int, last: Int) -> float:
    size = places[last] - places[first]
    if size <= 0:
        return 0.0
    total = sums[last] - sums[first]
    found = squares[last] - squares[first] - total * total / size
    return found if found > 0.0 else 0.0  # type: ignore[return-value]


@compiled
def _fill(places: Doubles, sums: Doubles, squares: Doubles, starts: NDArray[np.int32]) -> None:
    """For each count of runs and each end: where the last run starts. The start never falls as the end rises, so each
    half of the ends has half of the starts to look at."""
    size, count = len(places), len(starts)
    before, now = np.empty(size), np.empty(size)
    for end in range(size):
        before[end] = _cost(places, sums, squares, 0, end)
    stack = np.empty((64, 4), np.int64)
    for run in range(1, count):
        depth = 1
        stack[0] = (0, size - 1, 0, size - 1)
        while depth:
            depth -= 1
            low, high, least, most = stack[depth]
            end = (low + high) // 2
            best, chosen = np.inf, least
            for start in range(least, min(end, most) + 1):
                found = before[start] + _cost(places, sums, squares, start, end)
                if found < best:
                    best, chosen = found, start
            now[end] = best
            starts[run, end] = chosen
            if end + 1 <= high:
                stack[depth] = (end + 1, high, chosen, most)
                depth += 1
            if low <= end - 1:
                stack[depth] = (low, end - 1, least, chosen)
                depth += 1
        before, now = now, before


def _rising(levels: Floats) -> Floats:
    """Nudge levels that are equal in float32 apart, by the least amounts that float32 can tell."""
    for number in range(1, len(levels)):
        if levels[number] <= levels[number - 1]:
            levels[number] = np.nextafter(levels[number - 1], np.float32(np.inf))
    return levels

"""Deterministic k-means in one dimension: the optimal levels on a thinned axis, then Lloyd's iteration.

On sorted values with prefix sums an iteration costs one search for each level, whatever the number of values. Lloyd's
iteration alone stays near its start, and would never correct the number of levels that a few massive values get. So it
starts from the best partition of some thousands of cells, which dynamic programming finds exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import Doubles, Floats, Int, compiled

_MAX_ITERATIONS = 2000
_MIN_RELATIVE_GAIN = 1e-7
"""Share of the squared error that an iteration must save for another one to follow."""
_CELLS_PER_LEVEL = 16
"""Cells of the thinned axis for each level."""
_SINGLE_CELLS_PER_LEVEL = 2
"""Values at either end, for each level, that are cells of their own."""


def place_levels(values: Floats, count: int) -> Floats:
    """Return `count` rising levels for sorted finite values, close to the least squared error."""
    sums, squares = _power_sums(values, 1), _power_sums(values, 2)
    cells = _cells(values, count)
    edges = np.unique(cells[_best_cuts(cells, sums[cells], squares[cells], min(count, len(cells) - 1))])
    edges = np.concatenate([edges, np.full(count + 1 - len(edges), len(values))])
    sizes = np.diff(edges)
    levels = np.diff(sums[edges]) / np.maximum(sizes, 1)
    levels[sizes == 0] = values[-1]  # all empty runs stand at the end
    last = np.inf
    for _ in range(_MAX_ITERATIONS):
        edges = np.concatenate([[0], np.searchsorted(values, (levels[1:] + levels[:-1]) / 2), [len(values)]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        error = float((np.diff(squares[edges]) - sizes * means * means).sum())
        levels = np.where(sizes > 0, means, levels)
        if last - error <= _MIN_RELATIVE_GAIN * abs(last):
            break
        last = error
    return _rising(levels.astype(np.float32))


def _power_sums(values: Floats, power: int) -> Doubles:
    """Return the sums of powers of the values up to each place, counted from the middle place.

    The massive values stand at the ends, so the sums of the other values do not lose digits to them.
    """
    middle = len(values) // 2
    terms = np.power(values, power, dtype=np.float64)
    sums = np.zeros(len(values) + 1)
    np.cumsum(terms[middle:], out=sums[middle + 1 :])
    sums[:middle] = -np.cumsum(terms[:middle][::-1])[::-1]
    return sums


def _cells(values: Floats, count: int) -> NDArray[np.int64]:
    """Return the places that cut the values into cells, spread by the cube root of the density as optimal levels are.

    The density is taken between neighbouring quantiles: with d values over a width w it is d / w, so the cell counts
    for w * (d / w) ** (1/3).
    """
    size, cells = len(values), _CELLS_PER_LEVEL * count
    quantiles = np.unique(np.rint(np.linspace(0, size, 8 * count + 1)).astype(np.int64))
    grid = values[np.minimum(quantiles, size - 1)].astype(np.float64)
    share = np.concatenate([[0.0], np.cumsum(np.cbrt(np.square(np.diff(grid))))])
    even = np.interp((np.arange(cells) + 0.5) / cells * share[-1], share, grid)
    ends = np.arange(_SINGLE_CELLS_PER_LEVEL * count + 1)
    places = [np.searchsorted(values, even.astype(np.float32)), ends, size - ends, quantiles[::2]]
    cuts: NDArray[np.int64] = np.unique(np.clip(np.concatenate(places), 0, size)).astype(np.int64)
    return cuts


def _best_cuts(cells: NDArray[np.int64], sums: Doubles, squares: Doubles, count: int) -> NDArray[np.int64]:
    """Return the cells at which `count` runs of the least squared error begin, and the end of the last run."""
    places = cells.astype(np.float64)
    starts = np.zeros((count, len(cells)), np.int32)
    _fill_starts(places, sums, squares, starts)
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
    error = squares[last] - squares[first] - total * total / size
    return error if error > 0.0 else 0.0  # type: ignore[return-value]


@compiled
def _fill_starts(places: Doubles, sums: Doubles, squares: Doubles, starts: NDArray[np.int32]) -> None:
    """Fill in, for each count of runs and each end, the start of the last run.

    The start never falls as the end rises, so each half of the ends needs only a part of the starts.
    """
    size, count = len(places), len(starts)
    before, current = np.empty(size), np.empty(size)
    for end in range(size):
        before[end] = _cost(places, sums, squares, 0, end)
    stack = np.empty((64, 4), np.int64)
    for run in range(1, count):
        depth = 1
        stack[0] = (0, size - 1, 0, size - 1)
        while depth:
            depth -= 1
            low, high, first, last = stack[depth]
            end = (low + high) // 2
            best, chosen = np.inf, first
            for start in range(first, min(end, last) + 1):
                error = before[start] + _cost(places, sums, squares, start, end)
                if error < best:
                    best, chosen = error, start
            current[end] = best
            starts[run, end] = chosen
            if end + 1 <= high:
                stack[depth] = (end + 1, high, chosen, last)
                depth += 1
            if low <= end - 1:
                stack[depth] = (low, end - 1, first, chosen)
                depth += 1
        before, current = current, before


def _rising(levels: Floats) -> Floats:
    """Raise levels that are equal in float32 to the next float32 above the one before, so that all rise."""
    for number in range(1, len(levels)):
        if levels[number] <= levels[number - 1]:
            levels[number] = np.nextafter(levels[number - 1], np.float32(np.inf))
    return levels

"""Root finding for the quantiser step that meets a target."""

from __future__ import annotations

import math
from collections.abc import Callable

_MAX_OCTAVES = 100.0
"""The search covers steps from 2 ** -100 to 2 ** 100."""
_MAX_EVALUATIONS = 40
"""Calls of the function, which may cost milliseconds each."""
_TOLERANCE = 0.004
"""Doublings of the step within which a root is accepted: the step is then known to a part in four hundred."""


def solve_step(excess: Callable[[float], float], start: float, tolerance: float = _TOLERANCE) -> float:
    """Return a step at which a function that rises by about one with each doubling of the step is 0.

    The search takes secants within a bracket. If the function jumps over 0, it returns the step before the jump.
    """
    at = min(max(math.log2(start), -_MAX_OCTAVES), _MAX_OCTAVES) if start > 0 else 0.0
    low, high = -_MAX_OCTAVES, _MAX_OCTAVES
    slope, last = 1.0, (math.nan, math.nan)
    for _ in range(_MAX_EVALUATIONS):
        value = excess(math.exp2(at))
        if abs(value) <= tolerance or high - low < _TOLERANCE:
            break
        low, high = (at, high) if value < 0 else (low, at)
        if at != last[0] and math.isfinite(last[1]):
            slope = min(max((value - last[1]) / (at - last[0]), 0.25), 4.0)
        last = (at, value)
        guess = at - max(min(value, 8.0), -8.0) / slope
        at = guess if low < guess < high else (low + high) / 2
    else:
        return math.exp2(low)
    return math.exp2(at)

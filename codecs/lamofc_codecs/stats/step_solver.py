"""Root finding for the quantiser step that meets a target."""

from __future__ import annotations

import math
from collections.abc import Callable

_OCTAVES = 100.0
_TRIALS = 40
_SETTLED = 0.004
"""Of the logarithm of a doubling: the step is then known to a part in four hundred."""


def solve(rises: Callable[[float], float], start: float, settled: float = _SETTLED) -> float:
    """Return a step at which a function that rises by about one with each doubling of the step is 0.

    Secants within a bracket; where the function jumps over 0, the step before the jump.
    """
    at = min(max(math.log2(start), -_OCTAVES), _OCTAVES) if start > 0 else 0.0
    low, high = -_OCTAVES, _OCTAVES
    slope, last = 1.0, (math.nan, math.nan)
    for _ in range(_TRIALS):
        value = rises(math.exp2(at))
        if abs(value) <= settled or high - low < _SETTLED:
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

"""Curves of loss against bits: the bits for a loss, the loss at some bits, each between two measured points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Curve = Sequence[tuple[float, float]]
"""Points of bits per element and a loss, in any order."""


def bits_at(curve: Curve, loss: float) -> float | None:
    """Return the fewest bits at which a curve comes down to a loss; None where it never crosses it."""
    return _crossing([(value, bits) for bits, value in sorted(curve)], loss)


def loss_at(curve: Curve, bits: float) -> float | None:
    """Return the loss of a curve at a number of bits; None outside of its points."""
    return _crossing(sorted(curve), bits)


def _crossing(points: Curve, wanted: float) -> float | None:
    """Return the second coordinate where the first one crosses a value, both on logarithmic axes."""
    for (before, first), (after, second) in pairwise(points):
        if min(before, after) <= wanted <= max(before, after) and min(before, after, first, second) > 0:
            if before == after:
                return min(first, second)
            share = math.log(wanted / before) / math.log(after / before)
            return math.exp(math.log(first) + share * math.log(second / first))
    return None

"""Curves of loss against bits: the bits for a loss, the loss at some bits, each between two measured points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

Curve = Sequence[tuple[float, float]]
"""Points of bits per element and a loss, in any order."""


def bits_at(curve: Curve, loss: float) -> float | None:
    """Return the bits from which on all of a curve keeps a loss; None where its finest point does not, or all do.

    Between two points the logarithm of the loss falls evenly with the bits, as squared error does.
    """
    falling = sorted(curve, reverse=True)
    found = last_crossing([value for _, value in falling], loss)
    if found is None:
        return None
    place, share = found
    (finer, _), (coarser, _) = falling[place : place + 2]
    return coarser + share * (finer - coarser)


def last_crossing(losses: Sequence[float], wanted: float) -> tuple[int, float] | None:
    """Return where losses, given by falling bits, first exceed one: beyond a place, and how near to it.

    Where a curve crosses several times, this is its last crossing, as all finer rates keep the loss. The share is 1 at
    the place and 0 at the next one, by the logarithm of losses. It is None where the losses are all above or all below
    the wanted one, or where the one before is not positive.
    """
    for place, (below, above) in enumerate(pairwise(losses)):
        if below > wanted:
            break
        if above > wanted:
            return (place, math.log(above / wanted) / math.log(above / below)) if below > 0 else None
    return None


def loss_at(curve: Curve, bits: float) -> float | None:
    """Return the loss of a curve at a number of bits; None outside of its points."""
    for (before, first), (after, second) in pairwise(sorted(curve)):
        if before <= bits <= after and min(first, second) > 0:
            if before == after:
                return min(first, second)
            share = (bits - before) / (after - before)
            return first * math.pow(second / first, share)
    return None

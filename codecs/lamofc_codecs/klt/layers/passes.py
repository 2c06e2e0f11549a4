"""Passes of a refinement level, each of them a layer, so that a reader may stop in between.

A refinement level tells for each level whether it moves outwards, stays, or moves inwards by a third of the coarser
step. In wide classes this may take two passes: the first tells which levels move outwards, the second which of the
others move inwards. The first takes about half of the bits and takes off much more than half of the error, so a record
that ends there is hardly worse than one made for its rate. Each of the two may be split once more, wide classes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES

MIN_TWO_PASS_CLASS = 17
"""Lowest sigma class that two passes tell, where a refinement level has an outward pass at all."""
UNREAD, OUTWARD_READ, COMPLETE = range(3)
"""State of a class within a refinement level: nothing read; the outward pass read; all read."""
_WIDE_CLASS = 24
"""Lowest class that counts as wide: with a third of the bits in wide classes, an outward pass pays."""
_MAX_PASSES = 4


@dataclass(frozen=True)
class Pass:
    """A range of sigma classes, and the part of their refinement that is coded."""

    low: int
    high: int
    """Classes from `low` up to, not including, `high`."""
    outward: bool
    """Whether the pass tells which levels move outwards."""
    after_outward: bool
    """Whether an outward pass came before, of classes from `MIN_TWO_PASS_CLASS` on."""

    @property
    def span(self) -> tuple[int, int]:
        """The range of classes, as compiled code takes it."""
        return self.low, self.high

    @property
    def ternary(self) -> NDArray[np.bool_]:
        """For each class, whether the pass tells all three moves at once."""
        return np.arange(CLASSES) < (MIN_TWO_PASS_CLASS if self.outward or self.after_outward else CLASSES)


@dataclass(frozen=True)
class LayerSplit:
    """The classes at which a refinement level is split into passes."""

    outward: int = 0
    """0 without an outward pass; else the class at which it is split, `MIN_TWO_PASS_CLASS` for one that is not."""
    remaining: int = 0
    """Class at which the rest is split; 0 for one that is not."""

    @property
    def valid(self) -> bool:
        """Whether both classes are within their ranges."""
        return (self.outward == 0 or MIN_TWO_PASS_CLASS <= self.outward < CLASSES) and 0 <= self.remaining < CLASSES

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes in the order of the layers."""
        return _passes(self.outward, self.remaining)


@lru_cache(4096)
def _passes(outward: int, remaining: int) -> tuple[Pass, ...]:
    two = outward > 0
    passes = [Pass(outward, CLASSES, True, False)] if two else []
    if outward > MIN_TWO_PASS_CLASS:
        passes.append(Pass(MIN_TWO_PASS_CLASS, outward, True, False))
    if remaining:
        passes.append(Pass(remaining, CLASSES, False, two))
    return (*passes, Pass(0, remaining or CLASSES, False, two))


def state_after(passes: Sequence[Pass]) -> NDArray[np.uint8]:
    """State of each class once these passes are read."""
    state = np.full(CLASSES, UNREAD, np.uint8)
    for coding_pass in passes:
        state[coding_pass.low : coding_pass.high] = OUTWARD_READ if coding_pass.outward else COMPLETE
    return state


def choose_split(pass_bits: NDArray[np.float64], layer_bytes: int) -> LayerSplit:
    """Split a refinement level into layers of `layer_bytes` or more.

    `pass_bits` are the bits of each class, in an outward pass and in the rest.
    """
    bits = pass_bits.sum(1)
    count = int(min(bits.sum() / (8 * layer_bytes), _MAX_PASSES))
    if count < 2:
        return LayerSplit()
    if 3 * bits[_WIDE_CLASS:].sum() < bits.sum():
        return LayerSplit(0, _median_class(bits))
    outward, remaining = pass_bits[MIN_TWO_PASS_CLASS:, 0], bits.copy()
    remaining[MIN_TWO_PASS_CLASS:] -= outward
    split = MIN_TWO_PASS_CLASS + _median_class(outward) if count > 3 else MIN_TWO_PASS_CLASS
    return LayerSplit(split, _median_class(remaining) if count > 2 else 0)


def _median_class(bits: NDArray[np.float64]) -> int:
    """Class above which half of the bits lie, as nearly as can be; neither side is empty."""
    above = np.cumsum(bits[::-1])[::-1]
    return 1 + int(np.abs(above[1:] - bits.sum() / 2).argmin())

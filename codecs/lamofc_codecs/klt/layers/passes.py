"""What stands between two levels of a record: stages, each of them a layer, so that a reader may stop in between.

A level refines each number to a third of the step: it moves outwards, stays, or moves inwards. Where that is worth
much, in wide classes, it is told in two halves: first which numbers move outwards, then which of the others move
inwards. The first takes about half of the bits and much more than half off the error, so what lies between is hardly
worse than a record of that rate. Each half may be cut once more, the wide classes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES

HALVED = 17
"""Classes from this one on are told in halves, where a level is."""
NONE, HALF, ALL = range(3)
"""How much is known of a number's third."""


@dataclass(frozen=True)
class Pass:
    """Some classes, and which half of what a level says of them."""

    low: int
    high: int
    """Classes from `low` up to `high`."""
    outwards: bool
    """Whether this tells which numbers move outwards."""
    rest: bool
    """Whether that was told before, of classes from `HALVED` on."""

    @property
    def ternary(self) -> NDArray[np.bool_]:
        """Whether it tells all at once, for each class."""
        return np.arange(CLASSES) < (HALVED if self.outwards or self.rest else CLASSES)


@dataclass(frozen=True)
class LayerSplit:
    """Where a level is cut into stages."""

    halves: int = 0
    """0 for a level told at once; else `HALVED`, or a class above: the first half is cut there, too."""
    rest: int = 0
    """The class where what is then left is cut; 0 for nowhere."""

    @property
    def sane(self) -> bool:
        """Whether there can be such a cut."""
        return (self.halves == 0 or HALVED <= self.halves < CLASSES) and 0 <= self.rest < CLASSES

    @property
    def stages(self) -> tuple[Pass, ...]:
        """In the order of the layers."""
        halved = self.halves > 0
        found = [Pass(self.halves, CLASSES, True, False)] if halved else []
        if self.halves > HALVED:
            found.append(Pass(HALVED, self.halves, True, False))
        if self.rest:
            found.append(Pass(self.rest, CLASSES, False, halved))
        return (*found, Pass(0, self.rest or CLASSES, False, halved))


def state_after(stages: Sequence[Pass]) -> NDArray[np.uint8]:
    """How much is known of the numbers of each class once those stages are read."""
    known = np.full(CLASSES, NONE, np.uint8)
    for stage in stages:
        known[stage.low : stage.high] = HALF if stage.outwards else ALL
    return known


_WIDE = 24
"""A level is halved if classes from this one on take a third of its bits."""


def choose_cut(halves: NDArray[np.float64], least: int) -> LayerSplit:
    """Cut a level by its bits, first half and rest of each class, into layers of `least` bytes or more."""
    bits = halves.sum(1)
    wanted = int(min(bits.sum() / (8 * least), 4))
    if wanted < 2:
        return LayerSplit()
    if 3 * bits[_WIDE:].sum() < bits.sum():
        return LayerSplit(0, _middle(bits))
    first, rest = halves[HALVED:, 0], bits.copy()
    rest[HALVED:] -= first
    outer = HALVED + _middle(first) if wanted > 3 else HALVED
    return LayerSplit(outer, _middle(rest) if wanted > 2 else 0)


def _middle(bits: NDArray[np.float64]) -> int:
    """The class from which on half of the bits are, as nearly as can be; never none, nor all."""
    above = np.cumsum(bits[::-1])[::-1]
    return 1 + int(np.abs(above[1:] - bits.sum() / 2).argmin())

"""One sample coded with one step: what it takes, and what is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.format import Head
from lamofc_codecs.klt.layers import Numbers, Runs, choose_cut, digits_of, first_bits, halves_of, refinement_bits
from lamofc_codecs.klt.quantise import Tokens
from lamofc_codecs.runtime import lazy
from lamofc_codecs.stats import Distortion


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sample coded with one step."""

    head: Head
    tokens: Tokens
    numbers: tuple[Numbers, ...]
    """Of each level, coarse first."""
    runs: tuple[Runs, ...]
    """Of each level."""
    exact: tuple[NDArray[np.int64], ...]
    """Of each part: positions of the entries that are stored as they are, rising."""
    lost: tuple[Distortion, ...]
    """Of each part."""
    error: float
    """What is lost, as the quality counts it."""
    side_bits: float
    least: int
    """Bytes that a layer within a level takes, or more."""

    @property
    def step(self) -> float:
        """Of the finest level."""
        return self.head.step

    @lazy
    def cut(self) -> Head:
        """The head of a record whose levels are cut into layers."""
        levels = zip(pairwise(self.numbers), self.runs[1:], strict=True)
        halves = (halves_of(digits_of(fine, coarse, runs)) for (coarse, fine), runs in levels)
        return replace(self.head, cuts=tuple(choose_cut(some, self.least) for some in halves))

    @lazy
    def bits(self) -> float:
        """Bits of all layers, to a part in a thousand."""
        total = self.side_bits + first_bits(self.numbers[0], self.runs[0])
        for (coarse, fine), runs, cut in zip(pairwise(self.numbers), self.runs[1:], self.cut.cuts, strict=True):
            total += refinement_bits(fine, coarse, runs, cut.stages)
        return total

"""What ideal coding of columns of known variance would do: where a search for a step begins, and what a fit goes by.

Ideal coding leaves the same squared error in each column, a twelfth of a squared step, or all of its variance where
that is less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lamofc_codecs.runtime import Doubles, lazy

_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class WaterFilling:
    """What variance columns have, and how many tokens there are of them."""

    variance: Doubles
    """Bands x columns."""
    tokens: Doubles
    """Of each band."""
    rest: float = 0.0
    """Squared error, over all tokens, that no step takes away."""

    def bits(self, step: float) -> float:
        """Bits over all tokens."""
        level = step * step / 12
        return float(self.tokens @ (0.5 * np.log2(np.maximum(self.variance / level, 1))).sum(1))

    def error(self, step: float) -> float:
        """Squared error over all tokens."""
        return float(self.tokens @ np.minimum(self.variance, step * step / 12).sum(1)) + self.rest

    def columns(self, step: float) -> int:
        """The first so many columns hold all that is more than the error of a step, in whatever band."""
        heard = (self.variance[self.tokens > 0] > step * step / 12).any(0)
        return int(np.flatnonzero(heard).max(initial=-1)) + 1

    @lazy
    def _falling(self) -> tuple[Doubles, Doubles]:
        """All variances, falling, and the tokens of each."""
        every = self.variance.reshape(-1)
        order = np.argsort(-every, kind="stable")
        return every[order], np.repeat(self.tokens, self.variance.shape[1])[order]

    def step_for_error(self, allowed: float) -> float:
        """The step that leaves that squared error over all tokens."""
        variance, tokens = self._falling
        wanted = max(allowed - self.rest, 1e-6 * allowed)
        tails = tokens @ variance - np.cumsum(tokens * variance)
        return self._step((wanted - tails) / np.maximum(np.cumsum(tokens), _LEAST))

    def step_for_bits(self, allowed: float) -> float:
        """The step that takes so many bits over all tokens."""
        variance, tokens = self._falling
        logs = np.cumsum(tokens * np.log2(np.maximum(variance, _LEAST)))
        return self._step(np.exp2((logs - 2 * allowed) / np.maximum(np.cumsum(tokens), _LEAST)))

    def _step(self, levels: Doubles) -> float:
        """From the level that each count of variances would give: that of the most of them which lie above it."""
        variance, _ = self._falling
        fits = np.flatnonzero((levels > 0) & (levels <= variance))
        if not fits.size:
            return math.sqrt(12 * max(float(variance[:1].sum()), _LEAST))
        return math.sqrt(12 * max(float(levels[fits[-1]]), _LEAST))


def of_columns(variance: Doubles, tokens: int = 1, rest: float = 0.0) -> WaterFilling:
    """Columns of so many tokens that are all of one band."""
    return WaterFilling(variance[None], np.array([float(tokens)]), rest)

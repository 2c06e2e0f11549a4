"""What ideal coding of columns of known variance would do: where a search for a step begins, and what a fit goes by.

Ideal coding leaves the same squared error in each column, a twelfth of a squared step, or all of its variance where
that is less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lamofc_codecs.bulk import Doubles

_LEAST = 1e-300


@dataclass(frozen=True)
class Theory:
    """Columns of falling variance, and how many tokens there are of them."""

    variance: Doubles
    tokens: int
    rest: float = 0.0
    """Squared error, over all tokens, that no step takes away."""

    def error(self, step: float) -> float:
        """Squared error over all tokens."""
        return self.tokens * float(np.minimum(self.variance, step * step / 12).sum()) + self.rest

    def bits(self, step: float) -> float:
        """Bits over all tokens."""
        level = step * step / 12
        return self.tokens * float(0.5 * np.log2(np.maximum(self.variance / level, 1)).sum())

    def columns(self, step: float) -> int:
        """How many columns hold more than the error of a step."""
        return int(np.searchsorted(-self.variance, -step * step / 12))

    def step_for_error(self, allowed: float) -> float:
        """The step that leaves that squared error over all tokens."""
        wanted = max(allowed - self.rest, 1e-6 * allowed) / max(self.tokens, 1)
        tails = self.variance.sum() - np.cumsum(self.variance)
        levels = (wanted - tails) / np.arange(1, len(self.variance) + 1)
        return self._step(levels)

    def step_for_bits(self, allowed: float) -> float:
        """The step that takes so many bits over all tokens."""
        logs = np.cumsum(np.log2(np.maximum(self.variance, _LEAST)))
        counts = np.arange(1, len(self.variance) + 1)
        levels = np.exp2((logs - 2 * allowed / max(self.tokens, 1)) / counts)
        return self._step(levels)

    def _step(self, levels: Doubles) -> float:
        """From the level that each count of columns would give: that of the most columns which lie above it."""
        fits = np.flatnonzero((levels > 0) & (levels <= self.variance))
        if not fits.size:
            return math.sqrt(12 * max(float(self.variance[:1].sum()), _LEAST))
        return math.sqrt(12 * max(float(levels[fits[-1]]), _LEAST))

"""Reverse water-filling: the division of an error among columns of known variance that costs the fewest bits.

Ideal coding leaves the same squared error in each column, a twelfth of a squared step, or all of the column's variance
where that is less. Rate control starts from it, and a fit compares transforms by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lamofc_codecs.runtime import Doubles, lazy

_MIN_VARIANCE = 1e-300
"""Value that replaces a variance or a count of 0 in a logarithm or as a divisor."""
_MIN_BUDGET_SHARE = 1e-6
"""Least share of an error budget that is left to the columns, however large the irreducible error is."""


@dataclass(frozen=True, eq=False)
class WaterFilling:
    """Variances of columns in each band of tokens, and the number of tokens of each band."""

    variance: Doubles
    """Bands x columns."""
    tokens: Doubles
    """Tokens of each band."""
    irreducible: float = 0.0
    """Squared error, over all tokens, that remains however fine the step is."""

    def bits(self, step: float) -> float:
        """Return the bits over all tokens for a step."""
        level = step * step / 12
        return float(self.tokens @ (0.5 * np.log2(np.maximum(self.variance / level, 1))).sum(1))

    def error(self, step: float) -> float:
        """Return the squared error over all tokens for a step."""
        return float(self.tokens @ np.minimum(self.variance, step * step / 12).sum(1)) + self.irreducible

    def columns(self, step: float) -> int:
        """Count the leading columns up to the last one whose variance exceeds the error of a step in some band."""
        exceeds = (self.variance[self.tokens > 0] > step * step / 12).any(0)
        return int(np.flatnonzero(exceeds).max(initial=-1)) + 1

    @lazy
    def _falling(self) -> tuple[Doubles, Doubles]:
        """Sort all variances, falling, each with its number of tokens."""
        variance = self.variance.reshape(-1)
        order = np.argsort(-variance, kind="stable")
        return variance[order], np.repeat(self.tokens, self.variance.shape[1])[order]

    def step_for_error(self, budget: float) -> float:
        """Return the step that leaves this squared error over all tokens."""
        variance, tokens = self._falling
        reducible = max(budget - self.irreducible, _MIN_BUDGET_SHARE * budget)
        tails = tokens @ variance - np.cumsum(tokens * variance)
        with np.errstate(over="ignore"):  # columns of no token have an infinite level, which fits none
            return self._step((reducible - tails) / np.maximum(np.cumsum(tokens), _MIN_VARIANCE))

    def step_for_bits(self, budget: float) -> float:
        """Return the step that takes this many bits over all tokens."""
        variance, tokens = self._falling
        logs = np.cumsum(tokens * np.log2(np.maximum(variance, _MIN_VARIANCE)))
        return self._step(np.exp2((logs - 2 * budget) / np.maximum(np.cumsum(tokens), _MIN_VARIANCE)))

    def _step(self, levels: Doubles) -> float:
        """Return the step of the water level, given the level that each number of active columns would lead to.

        The solution is the largest number of columns whose variances all lie above their level.
        """
        variance, _ = self._falling
        fits = np.flatnonzero((levels > 0) & (levels <= variance))
        if not fits.size:
            return math.sqrt(12 * max(float(variance[:1].sum()), _MIN_VARIANCE))
        return math.sqrt(12 * max(float(levels[fits[-1]]), _MIN_VARIANCE))


def single_band(variance: Doubles, tokens: int = 1, irreducible: float = 0.0) -> WaterFilling:
    """Return the water-filling over columns whose tokens are all of one band."""
    return WaterFilling(variance[None], np.array([float(tokens)]), irreducible)

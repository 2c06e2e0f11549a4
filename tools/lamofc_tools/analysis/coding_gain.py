"""What a transform of channels promises: bits of Gaussian values of the same covariance, with and without it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_TOKENS = 32_768
"""Tokens that the covariance is taken from, at most."""


@dataclass(frozen=True)
class Gain:
    """Bits an element at one signal to noise, by reverse water-filling; NaN where there are too few tokens."""

    plain_bits: float
    """Each channel by itself."""
    klt_bits: float
    """Along principal directions."""
    rank: float
    """Principal directions that hold all but a thousandth of the energy."""


class Spread:
    """The covariance of channels, from tokens as they come."""

    def __init__(self) -> None:
        self._tokens = 0
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, plane: Tensor) -> None:
        """Take in tokens x channels, as long as more are wanted."""
        some = plane[: max(0, _TOKENS - self._tokens)]
        if not len(some) or (self._sum is not None and self._sum.shape != plane.shape[1:]):
            return
        wide = some.to(torch.float64)
        sums, products = wide.sum(0), wide.T @ wide
        self._sum = sums if self._sum is None else self._sum + sums
        self._products = products if self._products is None else self._products + products
        self._tokens += len(some)

    def gain(self, snr_db: float) -> Gain:
        """At a ratio of all variance to squared error."""
        if self._sum is None or self._products is None or self._tokens < 2:
            return Gain(math.nan, math.nan, math.nan)
        mean = self._sum / self._tokens
        covariance = self._products / self._tokens - torch.outer(mean, mean)
        alone = covariance.diagonal().clamp_min(0)
        along = torch.linalg.eigvalsh(covariance).clamp_min(0).flip(0)
        whole = float(alone.sum())
        if not whole > 0:
            return Gain(0.0, 0.0, 0.0)
        held = along.cumsum(0) < 0.999 * along.sum()
        error = whole / 10 ** (snr_db / 10)
        return Gain(_bits(alone, error), _bits(along, error), float(held.sum()) + 1)


def _bits(variances: Tensor, error: float) -> float:
    """Of an element, where all columns together may err by so much."""
    low, high = 0.0, float(variances.max())
    for _ in range(200):
        level = (low + high) / 2
        if float(variances.clamp_max(level).sum()) > error:
            high = level
        else:
            low = level
    level = max(high, 1e-300)
    return float((0.5 * (variances / level).log2().clamp_min(0)).sum()) / len(variances)

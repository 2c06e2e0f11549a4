"""The gain that a transform of the channels promises: bits of Gaussian values with the same covariance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs.stats import single_band

_MAX_TOKENS = 32_768
"""Most tokens from which the covariance is estimated."""
_RANK_ENERGY = 0.999
"""Share of the energy that the principal directions of the rank hold."""


@dataclass(frozen=True)
class CodingGain:
    """Bits per element at one signal-to-noise ratio, by reverse water-filling; NaN where there are too few tokens."""

    plain_bits: float
    """Each channel by itself."""
    klt_bits: float
    """Along the principal directions."""
    rank: float
    """Number of principal directions that hold all but a thousandth of the energy."""


class ChannelCovariance:
    """The covariance of the channels, accumulated over planes."""

    def __init__(self) -> None:
        self._tokens = 0
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, plane: Tensor) -> None:
        """Add a plane, tokens x channels, until there are enough tokens."""
        tokens = plane[: max(0, _MAX_TOKENS - self._tokens)]
        if not len(tokens) or (self._sum is not None and self._sum.shape != plane.shape[1:]):
            return
        doubles = tokens.to(torch.float64)
        sums, products = doubles.sum(0), doubles.T @ doubles
        self._sum = sums if self._sum is None else self._sum + sums
        self._products = products if self._products is None else self._products + products
        self._tokens += len(tokens)

    def gain(self, snr_db: float) -> CodingGain:
        """Compute the gain at a ratio of total variance to squared error."""
        if self._sum is None or self._products is None or self._tokens < 2:
            return CodingGain(math.nan, math.nan, math.nan)
        mean = self._sum / self._tokens
        covariance = self._products / self._tokens - torch.outer(mean, mean)
        channels = covariance.diagonal().clamp_min(0)
        directions = torch.linalg.eigvalsh(covariance).clamp_min(0).flip(0)
        total = float(channels.sum())
        if not total > 0:
            return CodingGain(0.0, 0.0, 0.0)
        rank = float((directions.cumsum(0) < _RANK_ENERGY * directions.sum()).sum()) + 1
        error = total / 10 ** (snr_db / 10)
        return CodingGain(_bits_per_element(channels, error), _bits_per_element(directions, error), rank)


def _bits_per_element(variances: Tensor, error: float) -> float:
    """Compute the bits per element at a squared error, summed over all columns."""
    water_filling = single_band(variances.numpy())
    return water_filling.bits(water_filling.step_for_error(error)) / len(variances)

"""Depths from the outputs of a decoder: a mean of bins, or one value."""

from dataclasses import dataclass

import torch
from torch import Tensor

_LEAST_WEIGHT = 0.1
"""Weight of a bin before the weights are normalised, so that none is zero (AdaBins, Bhat et al., 2021)."""


@dataclass(frozen=True)
class DepthBins:
    """Depths of evenly spaced bins, in metres."""

    least: float
    most: float

    def depths(self, outputs: Tensor) -> Tensor:
        """Return samples x 1 x rows x columns: the mean of the bins by their weights; one output is a depth itself."""
        weights = torch.relu(outputs)
        bins = outputs.shape[1]
        if bins == 1:
            return weights + self.least
        weights = weights + _LEAST_WEIGHT
        centres = torch.linspace(self.least, self.most, bins, device=outputs.device)
        return torch.einsum("bkhw,k->bhw", weights / weights.sum(dim=1, keepdim=True), centres)[:, None]

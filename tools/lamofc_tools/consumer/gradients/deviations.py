"""Standard deviations of the channels of an answer, over all items and positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Deviations:
    """Running sums over answers, each items x ... with its channels on one axis."""

    axis: int = -1
    """The axis of the channels."""
    values: int = 0
    """Number of values of all answers."""
    _count: int = 0
    _sum: Tensor | float = 0.0
    _squares: Tensor | float = 0.0

    def add(self, answer: Tensor) -> None:
        """Count one more batch of answers."""
        rows = answer.detach().double().movedim(self.axis, -1).flatten(0, -2).cpu()
        self.values += rows.numel()
        self._count += len(rows)
        self._sum = self._sum + rows.sum(0)
        self._squares = self._squares + rows.square().sum(0)

    def scale(self, answer: Tensor) -> Tensor:
        """Return what makes all channels deviate alike, in a shape that multiplies an answer; 0 for constant ones."""
        mean = torch.as_tensor(self._sum) / self._count
        variance = (torch.as_tensor(self._squares) / self._count - mean.square()).clamp_min(0)
        constant = variance <= 1e-12 * (mean.square() + variance.mean())
        inverse = torch.where(constant, 0.0, variance.rsqrt())
        return inverse.reshape(-1, *[1] * (-self.axis - 1)).to(answer)

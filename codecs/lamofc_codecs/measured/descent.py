"""Descent: move what is quantised along a consumer's gradient, so that errors fall where its answers do not feel them.

A sample has far more values than a consumer's answers have directions. Rounding that knows the answers leaves errors as
large as any other, yet nearly all of them in directions that cost nothing. A decoder needs to know nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

_RATE = 0.1
"""Length of a token's step over that of its errors."""
_MEMORY = 0.5
"""Weight of the former directions in that of a step."""
_NORM_MEMORY = 0.7
"""Weight of the former gradients' squares in the length by which a token's gradient is divided."""


@dataclass
class Descent:
    """The shift of a sample's weighted values, improved step by step.

    Each token moves by the same share of its own errors: gradients of tokens differ by orders of magnitude, and so do
    their curvatures, and a token with a gain has smaller errors. No token is shifted by more than its errors were.
    """

    limits: Tensor
    """Length of each token's errors, the largest of its shift."""
    shift: Tensor
    _direction: Tensor = field(init=False)
    _norms: Tensor = field(init=False)
    """Squared length of each token's gradient, averaged over steps."""
    _steps: int = 0

    def __post_init__(self) -> None:
        self._direction = torch.zeros_like(self.shift)
        self._norms = torch.zeros(len(self.shift), 1, dtype=torch.float64)

    @classmethod
    def against(cls, errors: Tensor) -> Descent:
        """Begin without a shift, at these errors of weighted values."""
        return cls(errors.norm(dim=1, keepdim=True), torch.zeros_like(errors))

    def step(self, gradient: Tensor, rate: float = 1.0) -> None:
        """Move against a gradient by weighted values."""
        self._steps += 1
        squares = gradient.double().square().sum(1, keepdim=True)
        self._norms = _NORM_MEMORY * self._norms + (1 - _NORM_MEMORY) * squares
        lengths = (self._norms / (1 - _NORM_MEMORY**self._steps)).sqrt()
        unit = torch.where(lengths > 0, gradient / lengths, 0.0).float()
        self._direction = _MEMORY * self._direction + (1 - _MEMORY) * unit
        self.shift = self._within(self.shift - _RATE * rate * self.limits * self._direction)

    def _within(self, shift: Tensor) -> Tensor:
        """Cut the shift of each token to its largest length."""
        lengths: Tensor = shift.norm(dim=1, keepdim=True)
        return shift * (self.limits / lengths.clamp_min(1e-30)).clamp_max(1.0)

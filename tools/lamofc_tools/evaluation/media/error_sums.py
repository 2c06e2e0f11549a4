"""Squared errors of states, of answers and of pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass
class ErrorSums:
    """Sums of squared values and of their squared errors."""

    squares: float = 0.0
    errors: float = 0.0
    values: int = 0

    def compare(self, wanted: Tensor, found: Tensor) -> None:
        """Add some values."""
        self.squares += float(wanted.double().square().sum())
        self.errors += float((found.double() - wanted.double()).square().sum())
        self.values += wanted.numel()

    @property
    def relative(self) -> float:
        """Squared error relative to the squared values."""
        return self.errors / self.squares if self.squares else float(self.errors > 0)

    @property
    def psnr(self) -> float:
        """Ratio of the largest value, 1, to the error over all values, in dB; infinite without an error."""
        return 10 * math.log10(self.values / self.errors) if self.errors else math.inf

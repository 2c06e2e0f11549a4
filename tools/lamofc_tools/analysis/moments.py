"""Range, moments and outliers of values that come plane by plane."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lamofc_store.errors import SourceError

_FAR = 32.0
"""Median absolute deviations from its channel's median beyond which an entry is out of the bulk."""
_PIECE = 1 << 22


@dataclass(frozen=True)
class Shape:
    """How values are spread."""

    least: float
    most: float
    mean: float
    deviation: float
    skewness: float
    kurtosis: float
    """3 for a Gaussian."""
    outliers: float
    """Share of entries 32 median absolute deviations or more from the median of their channel in their plane."""


@dataclass
class Moments:
    """Sums of powers about a point near the mean: the mean of the first plane."""

    planes: int = 0
    count: int = 0
    _about: float = 0.0
    _powers: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    _least: float = math.inf
    _most: float = -math.inf
    _far: int = 0

    def add(self, plane: Tensor) -> None:
        """Take in a plane, tokens x channels, float32."""
        self.planes += 1
        if not plane.numel():
            return
        if not bool(torch.isfinite(plane).all()):
            raise SourceError("a plane holds values that are not finite", "leave its sample out, or mend its source")
        if not self.count:
            self._about = float(plane.mean(dtype=torch.float64))
        self.count += plane.numel()
        self._least, self._most = min(self._least, float(plane.min())), max(self._most, float(plane.max()))
        for piece in torch.split(plane.reshape(-1), _PIECE):
            away = piece.to(torch.float64) - self._about
            square = away.square()
            self._powers += torch.stack([away.sum(), square.sum(), (square * away).sum(), square.square().sum()])
        self._far += _outliers(plane)

    def shape(self) -> Shape:
        """Of all so far."""
        if not self.count:
            return Shape(*[math.nan] * 7)
        shift, second, third, fourth = (self._powers / self.count).tolist()
        variance = max(second - shift**2, 0.0)
        cubes = third - 3 * shift * second + 2 * shift**3
        fourths = fourth - 4 * shift * third + 6 * shift**2 * second - 3 * shift**4
        return Shape(
            self._least,
            self._most,
            self._about + shift,
            math.sqrt(variance),
            cubes / variance**1.5 if variance else math.nan,
            fourths / variance**2 if variance else math.nan,
            self._far / self.count,
        )


def _outliers(plane: Tensor) -> int:
    middle = plane.median(0).values
    away = (plane - middle).abs_()
    width = away.median(0).values
    return int((away > _FAR * width)[:, width > 0].sum())

"""Range, moments and outliers of values that arrive plane by plane."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lamofc_codecs.stats import BOUND_DEVIATIONS
from lamofc_store.errors import SourceError

_PIECE_ELEMENTS = 1 << 22
"""Elements that are converted to float64 at once."""


@dataclass(frozen=True)
class Shape:
    """The distribution of some values."""

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
    """Sums of powers about an origin near the mean: the mean of the first plane."""

    planes: int = 0
    count: int = 0
    _origin: float = 0.0
    _powers: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    _least: float = math.inf
    _most: float = -math.inf
    _outliers: int = 0

    def add(self, plane: Tensor) -> None:
        """Add a plane, tokens x channels, float32."""
        self.planes += 1
        if not plane.numel():
            return
        if not bool(torch.isfinite(plane).all()):
            raise SourceError("a plane has values that are not finite", "leave its sample out, or correct its source")
        if not self.count:
            self._origin = float(plane.mean(dtype=torch.float64))
        self.count += plane.numel()
        self._least, self._most = min(self._least, float(plane.min())), max(self._most, float(plane.max()))
        for piece in torch.split(plane.reshape(-1), _PIECE_ELEMENTS):
            centred = piece.to(torch.float64) - self._origin
            square = centred.square()
            self._powers += torch.stack([centred.sum(), square.sum(), (square * centred).sum(), square.square().sum()])
        self._outliers += _count_outliers(plane)

    def shape(self) -> Shape:
        """Compute the figures of all values so far; NaN where there are none."""
        if not self.count:
            return Shape(*[math.nan] * 7)
        shift, second, third, fourth = (self._powers / self.count).tolist()
        variance = max(second - shift**2, 0.0)
        cubes = third - 3 * shift * second + 2 * shift**3
        fourths = fourth - 4 * shift * third + 6 * shift**2 * second - 3 * shift**4
        return Shape(
            self._least,
            self._most,
            self._origin + shift,
            math.sqrt(variance),
            cubes / variance**1.5 if variance else math.nan,
            fourths / variance**2 if variance else math.nan,
            self._outliers / self.count,
        )


def _count_outliers(plane: Tensor) -> int:
    distance = (plane - plane.median(0).values).abs_()
    deviation = distance.median(0).values
    return int((distance > BOUND_DEVIATIONS * deviation)[:, deviation > 0].sum())

"""Signal and noise as our records count them: over the bulk, the same entries for every coder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs import Quality, fit


@dataclass(frozen=True)
class Bulk:
    """Means and bounds of channels, fitted on samples."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, train: Sequence[Tensor]) -> Bulk:
        """By the rule of all our codecs."""
        tensors = fit("uniform", train, Quality(step=1.0)).tensors
        return cls(*(tensors[name].numpy().astype(np.float64) for name in ("bulk_mean", "bulk_low", "bulk_high")))

    def signal(self, values: NDArray[np.float64]) -> float:
        """Squared distance from the means, over the bulk."""
        return float(np.square(values - self.mean)[self._inside(values)].sum())

    def noise(self, values: NDArray[np.float64], decoded: NDArray[np.float64]) -> float:
        """Squared error, over the bulk."""
        return float(np.square(values - decoded)[self._inside(values)].sum())

    def _inside(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        return (values >= self.low) & (values <= self.high)

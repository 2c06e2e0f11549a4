"""Intensity variance and gradient magnitude of a plane in ten bits, as LaMoFC's supplement measures redundancy.

The smallest value of a plane becomes 0 and the largest 1023. The supplement does not print the scale of its gradients;
here they are those of Sobel's weights 1, 2, 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HIGHEST_LEVEL = 1023
_BLOCK_ELEMENTS = 1 << 20
"""Elements that are processed at once."""


@dataclass(frozen=True)
class Texture:
    """Figures of one plane; NaN where a figure is not defined, as the gradient is for fewer than three rows."""

    intensity_variance: float
    """Variance of the levels."""
    gradient_magnitude: float
    """Mean length of the gradient of the levels by Sobel's operator, over places with eight neighbours."""


def measure_texture(plane: Tensor) -> Texture:
    """Measure a plane, rows x columns, of finite values; a constant one has neither variance nor gradient."""
    low, high = float(plane.min()), float(plane.max())
    scale = _HIGHEST_LEVEL / (high - low) if high > low else 0.0
    step = max(1, _BLOCK_ELEMENTS // plane.shape[1])
    total = squares = lengths = 0.0
    for first in range(0, len(plane), step):
        levels = ((plane[first : first + step + 2].to(torch.float64) - low) * scale).round_()
        lengths += _gradient_lengths(levels)
        own = levels[:step]
        total, squares = total + float(own.sum()), squares + float(own.square().sum())
    mean, places = total / plane.numel(), max(len(plane) - 2, 0) * max(plane.shape[1] - 2, 0)
    return Texture(max(squares / plane.numel() - mean**2, 0.0), lengths / places if places else math.nan)


def _gradient_lengths(levels: Tensor) -> float:
    """Sum the lengths of the gradients at the inner places of some rows."""
    if min(levels.shape) < 3:
        return 0.0
    smooth_columns = levels[:, :-2] + 2 * levels[:, 1:-1] + levels[:, 2:]
    smooth_rows = levels[:-2] + 2 * levels[1:-1] + levels[2:]
    down = smooth_columns[2:] - smooth_columns[:-2]
    across = smooth_rows[:, 2:] - smooth_rows[:, :-2]
    return float(torch.hypot(down, across).sum())

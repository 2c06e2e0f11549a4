"""Errors of depth maps as benchmarks on NYUv2 report them: computed per image, then averaged over images."""

import torch
from torch import Tensor

from lamofc_tools.metrics.meter import Meter

EIGEN_CROP = (45, 471, 41, 601)
"""Rows and columns of a 480 x 640 image that count. The crop is scaled to images of other sizes."""


class Depth(Meter):
    """Root mean square error, mean absolute relative error, and the share of ratios below 1.25 (`delta1`).

    Pixels whose true depth is out of range are left out. Each `_aligned` metric is computed after a scale and a shift
    of the prediction are fitted to the image by least squares.
    """

    main = "rmse"
    more_is_better = False

    def __init__(self, least: float = 1e-3, most: float = 10.0, *, eigen_crop: bool = False) -> None:
        self._range = (least, most)
        self._eigen_crop = eigen_crop
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add predicted and true depths, samples x height x width each."""
        for predicted_map, target_map in zip(outputs.detach().cpu().double(), targets.cpu().double(), strict=True):
            valid = (target_map > self._range[0]) & (target_map < self._range[1])
            if self._eigen_crop:
                valid &= _eigen_mask(target_map)
            if not bool(valid.any()):
                continue
            predicted, target = predicted_map[valid], target_map[valid]
            errors = self._errors(predicted, target, "")
            errors |= self._errors(_aligned(predicted, target), target, "_aligned")
            for name, value in errors.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._count += 1

    def _errors(self, predicted: Tensor, target: Tensor, suffix: str) -> dict[str, float]:
        predicted = predicted.clamp(*self._range)
        ratio = torch.maximum(predicted / target, target / predicted)
        return {
            f"rmse{suffix}": float((predicted - target).square().mean().sqrt()),
            f"abs_rel{suffix}": float(((predicted - target).abs() / target).mean()),
            f"delta1{suffix}": float((ratio < 1.25).double().mean()),
        }

    def values(self) -> dict[str, float]:
        """Return the means over all images that have a depth in range."""
        return {name: value / self._count for name, value in self._sums.items()}


def _eigen_mask(depths: Tensor) -> Tensor:
    """Mask the pixels inside the crop, scaled to the size of the image."""
    height, width = depths.shape
    top, bottom, left, right = EIGEN_CROP
    inside = torch.zeros_like(depths, dtype=torch.bool)
    inside[height * top // 480 : height * bottom // 480, width * left // 640 : width * right // 640] = True
    return inside


def _aligned(predicted: Tensor, target: Tensor) -> Tensor:
    """Return `scale * predicted + shift` with the smallest squared error."""
    centred, mean = predicted - predicted.mean(), target.mean()
    power = centred.square().sum()
    scale = (centred * (target - mean)).sum() / power if power > 0 else torch.zeros(())
    return scale * centred + mean

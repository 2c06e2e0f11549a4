"""Depth: the errors that NYUv2 is judged by, per image and then averaged, with and without alignment."""

import torch
from torch import Tensor

from lamofc_tools.metrics.meter import Meter

EIGEN_CROP = (45, 471, 41, 601)
"""Rows and columns of a 480 x 640 image that count; of other sizes the same share."""


class Depth(Meter):
    """RMSE, absolute relative error and the share within a quarter; depths out of range count for nothing.

    `aligned` ones are of predictions to which a scale and a shift are fitted by least squares, image by image.
    """

    main = "rmse"
    more_is_better = False

    def __init__(self, least: float = 1e-3, most: float = 10.0, *, eigen_crop: bool = False) -> None:
        self._range = (least, most)
        self._eigen_crop = eigen_crop
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Depths, samples x height x width each."""
        for found, told in zip(outputs.detach().cpu().double(), targets.cpu().double(), strict=True):
            counts = (told > self._range[0]) & (told < self._range[1])
            if self._eigen_crop:
                counts &= _cropped(told)
            if not bool(counts.any()):
                continue
            one, other = found[counts], told[counts]
            numbers = self._errors(one, other, "")
            numbers |= self._errors(_aligned(one, other), other, "_aligned")
            for name, value in numbers.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._count += 1

    def _errors(self, found: Tensor, told: Tensor, suffix: str) -> dict[str, float]:
        found = found.clamp(*self._range)
        ratio = torch.maximum(found / told, told / found)
        return {
            f"rmse{suffix}": float((found - told).square().mean().sqrt()),
            f"abs_rel{suffix}": float(((found - told).abs() / told).mean()),
            f"delta1{suffix}": float((ratio < 1.25).double().mean()),
        }

    def values(self) -> dict[str, float]:
        """Means over the images that have any depth in range."""
        return {name: value / self._count for name, value in self._sums.items()}


def _cropped(told: Tensor) -> Tensor:
    """Where the crop lies, scaled to the image."""
    height, width = told.shape
    top, bottom, left, right = EIGEN_CROP
    inside = torch.zeros_like(told, dtype=torch.bool)
    inside[height * top // 480 : height * bottom // 480, width * left // 640 : width * right // 640] = True
    return inside


def _aligned(found: Tensor, told: Tensor) -> Tensor:
    """`scale * found + shift`, nearest to what is told."""
    middle, mean = found - found.mean(), told.mean()
    power = middle.square().sum()
    scale = (middle * (told - mean)).sum() / power if power > 0 else torch.zeros(())
    return scale * middle + mean

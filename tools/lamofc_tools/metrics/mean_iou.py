"""Mean intersection over union, pooled over all images as the papers' scripts do."""

import torch
from torch import Tensor

from lamofc_tools.metrics.meter import Meter

IGNORED = 255
"""A label that counts for nothing."""


class MeanIoU(Meter):
    """Intersections and unions are added up over all images, and only then divided."""

    main = "miou"

    def __init__(self, classes: int, *, reduce_zero: bool = False) -> None:
        self._classes = classes
        self._reduce_zero = reduce_zero
        self._confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Scores, samples x classes x height x width, and maps of labels; of `reduce_zero` 0 is none, 1 is class 0."""
        found, told = outputs.argmax(1).flatten().cpu(), targets.flatten().cpu().long()
        if self._reduce_zero:
            told = torch.where(told == 0, IGNORED, told - 1)
        known = (told >= 0) & (told < self._classes)
        pairs = told[known] * self._classes + found[known]
        counts = torch.bincount(pairs, minlength=self._classes**2)
        self._confusion += counts.reshape(self._classes, self._classes)

    def values(self) -> dict[str, float]:
        """`miou` over the classes that occur, in truth or in what was found, and `pixel_accuracy`."""
        both = self._confusion.diagonal().double()
        either = self._confusion.sum(0) + self._confusion.sum(1) - self._confusion.diagonal()
        occurs = either > 0
        mean = (both[occurs] / either[occurs]).mean() if bool(occurs.any()) else torch.tensor(0.0)
        return {"miou": float(mean), "pixel_accuracy": float(both.sum() / self._confusion.sum().clamp_min(1))}

"""Mean intersection over union, pooled over all images, as the papers' scripts compute it."""

import torch
from torch import Tensor

from lamofc_tools.metrics.meter import Meter

IGNORED = 255
"""Label of pixels that do not count."""


class MeanIoU(Meter):
    """Mean over classes of intersection over union, each summed over all images before the division."""

    main = "miou"

    def __init__(self, classes: int, *, reduce_zero: bool = False) -> None:
        self._classes = classes
        self._reduce_zero = reduce_zero
        self._confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add scores, samples x classes x height x width, and maps of labels.

        With `reduce_zero` the label 0 is ignored and the label 1 is class 0.
        """
        predicted, labels = outputs.argmax(1).flatten().cpu(), targets.flatten().cpu().long()
        if self._reduce_zero:
            labels = torch.where(labels == 0, IGNORED, labels - 1)
        valid = (labels >= 0) & (labels < self._classes)
        pairs = labels[valid] * self._classes + predicted[valid]
        counts = torch.bincount(pairs, minlength=self._classes**2)
        self._confusion += counts.reshape(self._classes, self._classes)

    def values(self) -> dict[str, float]:
        """Return `miou` over the classes that occur in labels or predictions, and `pixel_accuracy`."""
        both = self._confusion.diagonal().double()
        either = self._confusion.sum(0) + self._confusion.sum(1) - self._confusion.diagonal()
        occurs = either > 0
        mean = (both[occurs] / either[occurs]).mean() if bool(occurs.any()) else torch.tensor(0.0)
        return {"miou": float(mean), "pixel_accuracy": float(both.sum() / self._confusion.sum().clamp_min(1))}

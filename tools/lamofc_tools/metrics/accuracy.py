"""Accuracy of classes."""

from torch import Tensor

from lamofc_tools.metrics.meter import Meter

_TOP_SCORES = 5
"""Number of highest scores that count for `accuracy_of_5`."""


class Accuracy(Meter):
    """Share of samples whose class has the highest score, or one of the five highest scores."""

    main = "accuracy"

    def __init__(self) -> None:
        self._first = self._in_top = self._count = 0
        self._classes = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add scores, samples x classes, and the classes of the samples."""
        ranked = outputs.topk(min(_TOP_SCORES, outputs.shape[1]), dim=1).indices
        hit = ranked == targets[:, None]
        self._first += int(hit[:, 0].sum())
        self._in_top += int(hit.any(1).sum())
        self._count += len(targets)
        self._classes = outputs.shape[1]

    def values(self) -> dict[str, float]:
        """Return `accuracy`; with more than five classes also `accuracy_of_5`."""
        values = {"accuracy": self._first / max(self._count, 1)}
        return values | ({"accuracy_of_5": self._in_top / max(self._count, 1)} if self._classes > _TOP_SCORES else {})

"""Accuracy of classes."""

from torch import Tensor

from lamofc_tools.metrics.meter import Meter

_TOP = 5
"""Highest scores among which a class counts for `accuracy_of_5`."""


class Accuracy(Meter):
    """Share of samples whose class has the highest score, or is among the five highest."""

    main = "accuracy"

    def __init__(self) -> None:
        self._first = self._in_top = self._count = 0
        self._classes = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add scores, samples x classes, and the classes of the samples."""
        ranked = outputs.topk(min(_TOP, outputs.shape[1]), dim=1).indices
        hit = ranked == targets[:, None]
        self._first += int(hit[:, 0].sum())
        self._in_top += int(hit.any(1).sum())
        self._count += len(targets)
        self._classes = outputs.shape[1]

    def values(self) -> dict[str, float]:
        """Return `accuracy`, and `accuracy_of_5` where there are more classes."""
        values = {"accuracy": self._first / max(self._count, 1)}
        return values | ({"accuracy_of_5": self._in_top / max(self._count, 1)} if self._classes > _TOP else {})

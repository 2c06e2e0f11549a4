"""Accuracy of classes."""

from torch import Tensor

from lamofc_tools.metrics.meter import Meter

_FEW = 5


class Accuracy(Meter):
    """Share of samples whose class has the highest score, or is among the five highest."""

    main = "accuracy"

    def __init__(self) -> None:
        self._first = self._few = self._count = 0
        self._classes = 0

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Scores, samples x classes, and the classes."""
        ranked = outputs.topk(min(_FEW, outputs.shape[1]), dim=1).indices
        hit = ranked == targets[:, None]
        self._first += int(hit[:, 0].sum())
        self._few += int(hit.any(1).sum())
        self._count += len(targets)
        self._classes = outputs.shape[1]

    def values(self) -> dict[str, float]:
        """`accuracy`, and `accuracy_of_5` where there are more classes."""
        found = {"accuracy": self._first / max(self._count, 1)}
        return found | ({"accuracy_of_5": self._few / max(self._count, 1)} if self._classes > _FEW else {})

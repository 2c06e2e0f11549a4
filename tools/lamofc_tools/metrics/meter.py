"""The interface of metrics."""

from abc import ABC, abstractmethod

from torch import Tensor


class Meter(ABC):
    """Accumulates outputs and targets batch by batch, and computes metrics over all batches."""

    main: str
    """Name of the metric that a rate curve shows."""
    more_is_better: bool = True

    @abstractmethod
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add one batch."""

    @abstractmethod
    def values(self) -> dict[str, float]:
        """Return the metrics of all batches so far."""

"""The interface of the metrics of a head."""

from abc import ABC, abstractmethod

from torch import Tensor


class Meter(ABC):
    """An accumulator of a head's outputs and their targets, batch by batch; its metrics are over all of them."""

    main: str
    """Name of the metric that a rate curve shows."""
    more_is_better: bool = True

    @abstractmethod
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add one batch."""

    @abstractmethod
    def values(self) -> dict[str, float]:
        """Return the metrics of all batches so far."""

"""What the metrics of a head have in common."""

from abc import ABC, abstractmethod

from torch import Tensor


class Meter(ABC):
    """Takes a head's outputs and their targets batch by batch; the numbers are over all of them."""

    main: str
    """Which of the numbers a curve shows."""
    more_is_better: bool = True

    @abstractmethod
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """One batch."""

    @abstractmethod
    def values(self) -> dict[str, float]:
        """The numbers so far."""

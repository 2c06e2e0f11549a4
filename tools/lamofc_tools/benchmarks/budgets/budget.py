"""One budget: a claim, the benchmark that measures it, the figure of its document, and the bound."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Document = Mapping[str, Any]
_COPIED_BYTES, _WRITTEN_BYTES = 1 << 28, 1 << 28
_ROUNDS = 5


@dataclass(frozen=True)
class Limits:
    """Speeds of this machine that nothing exceeds, in GB/s."""

    memory: float
    """Reading and writing of a copy within memory, on one core."""
    disk: float
    """Writing a file that is synchronised."""

    @classmethod
    def measure(cls, folder: Path) -> Limits:
        """Copy an array, and write a file in the folder."""
        source = np.ones(_COPIED_BYTES, np.uint8)
        target = np.zeros_like(source)
        copying = min(_seconds(lambda: np.copyto(target, source)) for _ in range(_ROUNDS))
        writing = _seconds(lambda: _write(folder / "written", source))
        return cls(_COPIED_BYTES / copying / 1e9, _WRITTEN_BYTES / writing / 1e9)


def _write(path: Path, data: np.ndarray[Any, Any]) -> None:
    with path.open("wb") as file:
        file.write(data.data)
        file.flush()
        os.fsync(file.fileno())


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True)
class Budget:
    """A bound of one figure."""

    claim: str
    benchmark: str
    """Name of the benchmark, as `tools/bench` takes it."""
    figure: Callable[[Document], float]
    """Returns the figure of the benchmark's document."""
    bound: float
    unit: str
    at_most: bool = False
    """Whether the figure must not exceed the bound; it must not fall below it otherwise."""
    limit: Literal["memory", "disk"] | None = None
    """The speed of the machine that a figure in GB/s is compared with."""

    def outcome(self, document: Document, limits: Limits) -> Outcome:
        """Compare the figure of a document with the bound."""
        value = float(self.figure(document))
        met = value <= self.bound if self.at_most else value >= self.bound
        of_limit = None if self.limit is None else value / getattr(limits, self.limit)
        return Outcome(self, value, "shown" if met else "missed", of_limit)

    @property
    def words(self) -> str:
        """The bound in words."""
        return f"{'<=' if self.at_most else '>='} {self.bound:g} {self.unit}"


@dataclass(frozen=True)
class Outcome:
    """A budget with what was measured."""

    budget: Budget
    value: float | None
    """The figure; None where the benchmark did not run."""
    status: str
    """`shown`, `missed`, or why there is no figure."""
    of_limit: float | None = None
    """The figure over the speed of the machine that bounds it."""

    def row(self) -> dict[str, Any]:
        """Return a row of the table and of the document."""
        budget = self.budget
        return {
            "claim": budget.claim,
            "budget": budget.words,
            "at_most": budget.at_most,
            "value": self.value,
            "unit": budget.unit,
            "of_limit": self.of_limit,
            "status": self.status,
            "benchmark": budget.benchmark,
        }

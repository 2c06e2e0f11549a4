"""Figures of a feature over some samples, seen one plane at a time."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from lamofc_tools.analysis.coding_gain import Spread
from lamofc_tools.analysis.moments import Moments
from lamofc_tools.analysis.redundancy import Redundancy, redundancy


@dataclass(frozen=True)
class Figures:
    """Of a feature: means over samples of what is said of a plane, and what is said of all its values."""

    feature: str
    samples: int
    elements: int
    values: dict[str, float]
    """By name; NaN where nothing can be said."""

    def to_json(self) -> dict[str, Any]:
        """As --json prints it; None for NaN."""
        told = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        return {"feature": self.feature, "samples": self.samples, "elements": self.elements, **told}


@dataclass
class Gathered:
    """A feature's planes, tokens x channels, as they come; values that are not finite are refused."""

    feature: str
    snr_db: float = 10.0
    """At which bits are compared."""
    moments: Moments = field(default_factory=Moments)
    spread: Spread = field(default_factory=Spread)
    planes: list[Redundancy] = field(default_factory=list)

    def add(self, plane: Tensor) -> None:
        """Take in one."""
        values = plane.to(torch.float32)
        self.moments.add(values)
        self.spread.add(values)
        if values.numel():
            self.planes.append(redundancy(values))

    def figures(self) -> Figures:
        """Of all so far."""
        found = {one.name: _mean([getattr(plane, one.name) for plane in self.planes]) for one in fields(Redundancy)}
        values = {**asdict(self.moments.shape()), **found, **asdict(self.spread.gain(self.snr_db))}
        return Figures(self.feature, self.moments.planes, self.moments.count, values)


def _mean(values: list[float]) -> float:
    there = [value for value in values if not math.isnan(value)]
    return sum(there) / len(there) if there else math.nan

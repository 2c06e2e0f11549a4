"""Figures of a feature over several samples, accumulated one plane at a time."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.analysis.coding_gain import ChannelCovariance
from lamofc_tools.analysis.feature_planes import Planes
from lamofc_tools.analysis.moments import Moments
from lamofc_tools.analysis.plots import subsample
from lamofc_tools.analysis.redundancy import Redundancy, measure_redundancy
from lamofc_tools.analysis.texture import Texture, measure_texture


@dataclass(frozen=True)
class FeatureReport:
    """Figures of one feature: means over samples of the figures of a plane, and figures of all values."""

    feature: str
    samples: int
    elements: int
    values: dict[str, float]
    """By name; NaN where a figure is not defined."""

    def to_json(self) -> dict[str, Any]:
        """Convert to the document that --json prints; NaN becomes None."""
        values = {name: None if math.isnan(value) else value for name, value in self.values.items()}
        return {"feature": self.feature, "samples": self.samples, "elements": self.elements, **values}


@dataclass
class FeatureAnalysis:
    """Accumulates the planes of one feature, tokens x channels; refuses values that are not finite."""

    feature: str
    snr_db: float = 10.0
    """Signal-to-noise ratio at which bits are compared."""
    moments: Moments = field(default_factory=Moments)
    covariance: ChannelCovariance = field(default_factory=ChannelCovariance)
    planes: list[tuple[Redundancy, Texture]] = field(default_factory=list)

    def add(self, plane: Tensor) -> None:
        """Add a plane."""
        values = plane.to(torch.float32)
        self.moments.add(values)
        self.covariance.add(values)
        if values.numel():
            self.planes.append((measure_redundancy(values), measure_texture(values)))

    def report(self) -> FeatureReport:
        """Compute the figures of all planes so far."""
        of_planes = [{**asdict(redundancy), **asdict(texture)} for redundancy, texture in self.planes]
        names = [metric.name for kind in (Redundancy, Texture) for metric in fields(kind)]
        means = {name: _mean([figures[name] for figures in of_planes]) for name in names}
        values = {**asdict(self.moments.shape()), **means, **asdict(self.covariance.gain(self.snr_db))}
        return FeatureReport(self.feature, self.moments.planes, self.moments.count, values)


@dataclass
class SourceAnalysis:
    """Reports of all features of some samples, and values of each sample where they are kept for a plot."""

    reports: list[FeatureReport]
    values: dict[str, dict[str, Tensor]]
    """Subsampled values by feature and sample; empty unless they were kept."""


def analyse_planes(
    samples: Iterable[tuple[str, Planes]],
    snr_db: float,
    *,
    keep_values: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> SourceAnalysis:
    """Analyse every feature of the samples, which arrive as an id and planes."""
    features: dict[str, FeatureAnalysis] = {}
    values: dict[str, dict[str, Tensor]] = {}
    for number, (sample, planes) in enumerate(samples, 1):
        for feature, plane in planes.items():
            features.setdefault(feature, FeatureAnalysis(feature, snr_db)).add(plane)
            if keep_values:
                values.setdefault(feature, {})[sample] = subsample(plane)
        progress(number)
    if not features:
        raise BadArgument("there is no feature of real numbers", "name other features with --feature")
    return SourceAnalysis([features[name].report() for name in sorted(features)], values)


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan

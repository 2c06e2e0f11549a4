"""Parts that measure the values of features: redundancy and distribution before coding, distribution after it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lamofc_store.sample import Sample, layout, published_packing
from lamofc_tools.analysis import (
    Moments,
    analyse_planes,
    decoded_values,
    draw_distributions,
    labelled_curves,
    source_planes,
    store_planes,
    subsample,
)
from lamofc_tools.reproduction.parts.coding import CodedPart
from lamofc_tools.reproduction.parts.inputs import FeatureSet, Inputs, Missing
from lamofc_tools.reproduction.parts.plan import Figures

_SNR_DB = 10.0
"""Ratio at which the analysis compares bits, which no table of the papers shows."""
_DRAWN_SAMPLES = 4
"""Samples of a set whose values are drawn."""


@dataclass(frozen=True)
class AnalysedPart:
    """Figures of each feature of a data set, plane by plane as a paper packs them: `layer.9 rho_h` and so on."""

    features: FeatureSet
    as_published: str

    @property
    def name(self) -> str:
        """The data set and the word analysis."""
        return f"{self.features.path} analysis"

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List the features."""
        return self.features.missing(inputs)

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the features and the packing."""
        return {**self.features.config(inputs), "as_published": self.as_published, "measured": "analysis"}

    def measure(self, inputs: Inputs) -> Figures:
        """Analyse all samples."""
        found = analyse_planes(_planes(self.features.source(inputs), self.as_published), _SNR_DB)
        named = {f"{report.feature} {name}": value for report in found.reports for name, value in report.values.items()}
        return {name: value for name, value in named.items() if math.isfinite(value)}


@dataclass(frozen=True)
class DistributionPart:
    """Moments of each feature before and after coding: `layer.9 deviation` and `layer.9 decoded deviation`."""

    coded: CodedPart

    @property
    def name(self) -> str:
        """The coding and the word distribution."""
        return f"{self.coded.name} distribution"

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List all that the coding needs."""
        return self.coded.missing(inputs)

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the config of the coding and the word distribution."""
        return {**self.coded.config(inputs), "measured": "distribution"}

    def measure(self, inputs: Inputs) -> Figures:
        """Read all samples from their source and from the store of the coding."""
        before: dict[str, Moments] = {}
        after: dict[str, Moments] = {}
        with self.coded.store(inputs) as store:
            for sample, planes in source_planes(self.coded.features.source(inputs), {}):
                ((_, decoded),) = store_planes(store, [sample], list(planes), {})
                for name in planes:
                    before.setdefault(name, Moments()).add(planes[name].to(torch.float32))
                    after.setdefault(name, Moments()).add(decoded[name].to(torch.float32))
        return {**_shapes(before), **_shapes(after, "decoded ")}

    def draw(self, inputs: Inputs, file: Path) -> None:
        """Draw densities and distribution functions of some samples, before and after coding."""
        values: dict[str, dict[str, Tensor]] = {}
        with self.coded.store(inputs) as store:
            for sample, planes in source_planes(self.coded.features.source(inputs), {}, _DRAWN_SAMPLES):
                for feature, plane in planes.items():
                    values.setdefault(feature, {})[sample] = subsample(plane)
            decoded = decoded_values(values, store, {})
        draw_distributions(labelled_curves(values, decoded, self.coded.coder.row), file)


def _planes(source: Iterable[Sample], as_published: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the planes of all samples; of features that are several planes, one after another."""
    packing = published_packing(as_published)
    for sample in source:
        planes: dict[str, tuple[Tensor, ...]] = {}
        for name, tensor in sorted(sample.features.items()):
            shape = tuple(tensor.shape)
            pattern = packing.pattern_of(name, shape, {}, sample.patterns)
            planes[name] = layout.to_tokens(tensor, pattern).chunk(layout.planes_of(shape, pattern))
        for number in range(max(map(len, planes.values()), default=0)):
            yield sample.id, {name: own[number] for name, own in planes.items() if number < len(own)}


def _shapes(moments: Mapping[str, Moments], prefix: str = "") -> dict[str, float]:
    """Return the figures of each feature's moments that are defined."""
    named = {
        f"{feature} {prefix}{figure}": value
        for feature, collected in moments.items()
        for figure, value in asdict(collected.shape()).items()
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}

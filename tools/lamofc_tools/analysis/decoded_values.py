"""The same values before and after coding: divergence of their distributions, and how much of them is explained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_store import Store
from lamofc_store.errors import NotFound
from lamofc_tools.analysis.feature_planes import Patterns, store_planes
from lamofc_tools.analysis.plots import Curves, subsample

_BINS = 256
_MAX_NAMES = 8
"""Most features that an error names."""


@dataclass(frozen=True)
class Fidelity:
    """Decoded values of a feature against the original ones."""

    kl: float
    """Kullback-Leibler divergence of the distribution of the original values from that of the decoded ones, in nats."""
    r2: float
    """Coefficient of determination: 1 less the squared error over the squared distance from the mean."""


def decoded_values(values: Curves, store: Store, patterns: Patterns) -> dict[str, dict[str, Tensor]]:
    """Return what a store gives back of the same samples, by feature and sample, at the same places."""
    ids = sorted({sample for samples in values.values() for sample in samples})
    planes = dict(store_planes(store, ids, sorted(values), patterns))
    decoded = {
        feature: {sample: subsample(planes[sample][feature]) for sample in samples if feature in planes[sample]}
        for feature, samples in values.items()
    }
    if not any(decoded.values()):
        names = ", ".join(sorted(values)[:_MAX_NAMES])
        raise NotFound(f"{store.url} has no {names}", "give --against a store of the same features")
    return decoded


def compare_values(original: Mapping[str, Tensor], decoded: Mapping[str, Tensor]) -> Fidelity:
    """Compare the values of the samples that both have; NaN where there are none, or of other shapes."""
    samples = [sample for sample in original if sample in decoded]
    if not samples or any(original[sample].shape != decoded[sample].shape for sample in samples):
        return Fidelity(math.nan, math.nan)
    x, y = (torch.cat([values[sample] for sample in samples]).to(torch.float64) for values in (original, decoded))
    spread = float((x - x.mean()).square().sum())
    return Fidelity(divergence(x, y), 1 - float((x - y).square().sum()) / spread if spread else math.nan)


def divergence(original: Tensor, decoded: Tensor) -> float:
    """Compute the divergence of two histograms of 256 bins of equal width between the least and the largest value.

    Half a count is added to each bin, so that a value which decoding never gives has a finite divergence.
    """
    low = min(float(original.min()), float(decoded.min()))
    high = max(float(original.max()), float(decoded.max()))
    shares = []
    for values in (original, decoded):
        places = ((values - low) * (_BINS / (high - low))).long().clamp_(max=_BINS - 1) if high > low else None
        counts = torch.bincount(places, minlength=_BINS) if places is not None else torch.full((_BINS,), len(values))
        smoothed = counts.to(torch.float64) + 0.5
        shares.append(smoothed / smoothed.sum())
    p, q = shares
    return float((p * (p / q).log()).sum())

"""Plots of distributions, before and after coding: density and distribution function, a row for each feature."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.plots import pyplot, save_figure

Curves = Mapping[str, Mapping[str, Tensor]]
"""Values by feature, and by sample or by label of the curve."""
MAX_VALUES = 1 << 18
"""Most values of a plane that are drawn."""
SOURCE_LABEL = "as given"
_BINS = 200
_HISTOGRAM_QUANTILES = (0.0005, 0.9995)
"""Quantiles between which a histogram is drawn; values beyond are in the distribution function alone."""


def subsample(plane: Tensor) -> Tensor:
    """Take values at regular places of a plane."""
    flat = plane.reshape(-1)
    return flat[:: max(1, -(-len(flat) // MAX_VALUES))].to(torch.float32)


def labelled_curves(values: Curves, decoded: Curves, label: str) -> Curves:
    """Label the values of source samples, and beside them those that a store gives back, where there are any."""
    curves = {}
    for feature, samples in values.items():
        curves[feature] = {SOURCE_LABEL: torch.cat(list(samples.values()))}
        if decoded.get(feature):
            curves[feature][label] = torch.cat(list(decoded[feature].values()))
    return curves


def draw_distributions(curves: Curves, path: Path) -> None:
    """Write a PNG."""
    curves = {feature: lines for feature, lines in curves.items() if all(len(values) for values in lines.values())}
    if not curves or path.suffix.lower() != ".png":
        raise BadArgument(f"{path} of {len(curves)} features with values", "--png FILE.png, of features with values")
    plot = pyplot()
    figure, axes = plot.subplots(len(curves), 2, figsize=(11, 3.2 * len(curves)), squeeze=False)
    for (feature, lines), (left, right) in zip(curves.items(), axes, strict=True):
        every = np.concatenate([values.numpy() for values in lines.values()])
        low, high = np.quantile(every, _HISTOGRAM_QUANTILES)
        bins = np.linspace(low, max(high, low + 1e-12), _BINS)
        for label, values in lines.items():
            left.hist(values.numpy(), bins, density=True, histtype="step", label=label)
            right.plot(*_distribution(values), label=label)
        left.set(title=f"{feature}: density", yscale="log")
        right.set(title=f"{feature}: share of values below", xscale="symlog", ylim=(0, 1))
        for axis in (left, right):
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    save_figure(figure, path)


def _distribution(values: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shares = np.linspace(0, 1, 1001)
    return np.quantile(values.numpy().astype(np.float64), shares), shares

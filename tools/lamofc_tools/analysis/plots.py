"""How values are spread, before and after coding: histograms and distribution functions, a row for each feature."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.plots import pyplot

Curves = Mapping[str, Mapping[str, Tensor]]
"""By feature, by what they are of: values."""
MOST = 1 << 18
"""Values of a plane that are looked at."""
_BINS = 200
_WITHIN = (0.0005, 0.9995)
"""Quantiles between which a histogram is drawn; the rest is in the distribution function."""


def some(plane: Tensor) -> Tensor:
    """Values from all over a plane, always the same places."""
    flat = plane.reshape(-1)
    return flat[:: max(1, -(-len(flat) // MOST))].to(torch.float32)


def draw(curves: Curves, path: Path) -> None:
    """Write a PNG."""
    curves = {feature: kinds for feature, kinds in curves.items() if all(len(values) for values in kinds.values())}
    if not curves or path.suffix.lower() != ".png":
        raise BadArgument(f"{path} of {len(curves)} features with values", "--png FILE.png, of features that have some")
    plot = pyplot()
    figure, axes = plot.subplots(len(curves), 2, figsize=(11, 3.2 * len(curves)), squeeze=False)
    for (feature, kinds), (left, right) in zip(curves.items(), axes, strict=True):
        every = np.concatenate([values.numpy() for values in kinds.values()])
        low, high = np.quantile(every, _WITHIN)
        bins = np.linspace(low, max(high, low + 1e-12), _BINS)
        for kind, values in kinds.items():
            left.hist(values.numpy(), bins, density=True, histtype="step", label=kind)
            right.plot(*_distribution(values), label=kind)
        left.set(title=f"{feature}: density", yscale="log")
        right.set(title=f"{feature}: share of values below", xscale="symlog", ylim=(0, 1))
        for axis in (left, right):
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plot.close(figure)


def _distribution(values: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shares = np.linspace(0, 1, 1001)
    return np.quantile(values.numpy().astype(np.float64), shares), shares

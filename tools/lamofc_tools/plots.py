"""Rate against signal to noise as a picture, a panel for each feature."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc_store.errors import StoreError


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a PNG of bits per element, everything counted, against decibels."""
    plot = pyplot()
    features = list(dict.fromkeys(row["feature"] for row in rows))
    across = min(3, len(features))
    down = -(-len(features) // across)
    figure, axes = plot.subplots(down, across, figsize=(5.2 * across, 4 * down), squeeze=False)
    for axis, feature in zip(axes.flat, features, strict=False):
        for coder in dict.fromkeys(row["coder"] for row in rows if row["feature"] == feature):
            points = sorted(
                (row["snr_db"], row["total"]) for row in rows if (row["feature"], row["coder"]) == (feature, coder)
            )
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=coder)
        axis.set(title=feature, xlabel="signal to noise, dB", ylabel="bits per element", yscale="log")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    for axis in list(axes.flat)[len(features) :]:
        axis.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plot.close(figure)


def draw_curves(rows: Sequence[dict[str, Any]], metrics: Mapping[str, str], path: Path) -> None:
    """Write a PNG of metrics, keys of rows and what they are called, against `bpfp`; a panel each, a line a `curve`."""
    plot = pyplot()
    figure, axes = plot.subplots(1, len(metrics), figsize=(7 * len(metrics), 4.6), squeeze=False)
    for axis, (metric, name) in zip(axes.flat, metrics.items(), strict=True):
        for curve in dict.fromkeys(row["curve"] for row in rows):
            points = sorted((row["bpfp"], row[metric]) for row in rows if row["curve"] == curve)
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=curve)
        axis.set(xlabel="bits per element", ylabel=name, xscale="log")
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plot.close(figure)


def pyplot() -> Any:
    """Matplotlib without a screen; it is told how to get it where it is not there."""
    try:
        import matplotlib
    except ImportError as error:
        raise StoreError(f"a picture needs matplotlib: {error}", "pip install 'lamofc-store[report]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot

"""Plots of rate against distortion and of metrics against rate."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc_store.errors import StoreError

_MAX_COLUMNS = 3
_DOTS_PER_INCH = 110
_MOST_NAMES_IN_A_PANEL = 6
"""Curves that a panel names beside its lines; the names of more would hide them."""


def draw_rates(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write a PNG of `total` bits per element against `snr_db`: a panel for each feature, a line for each coder.

    Points that are not `in_curve` are left out.
    """
    plot = pyplot()
    features = list(dict.fromkeys(row["feature"] for row in rows))
    across = min(_MAX_COLUMNS, len(features))
    down = -(-len(features) // across)
    figure, axes = plot.subplots(down, across, figsize=(5.2 * across, 4 * down), squeeze=False)
    for axis, feature in zip(axes.flat, features, strict=False):
        own = [row for row in rows if row["feature"] == feature and row.get("in_curve", True)]
        for coder in dict.fromkeys(row["coder"] for row in own):
            points = sorted((row["snr_db"], row["total"]) for row in own if row["coder"] == coder)
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=coder)
        axis.set(title=feature, xlabel="signal-to-noise ratio, dB", ylabel="bits per element", yscale="log")
        axis.grid(alpha=0.3, which="both")
        _label_few_ticks(axis.yaxis)
        if own:
            axis.legend(fontsize=8)
    for axis in list(axes.flat)[len(features) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def draw_metrics(rows: Sequence[dict[str, Any]], metrics: Mapping[str, str], path: Path) -> None:
    """Write a PNG of metrics (titles by key of the rows) against `bpfp`: a panel a metric, a line a `curve`."""
    plot = pyplot()
    figure, axes = plot.subplots(1, len(metrics), figsize=(7 * len(metrics), 4.6), squeeze=False)
    for axis, (metric, title) in zip(axes.flat, metrics.items(), strict=True):
        for curve in dict.fromkeys(row["curve"] for row in rows):
            points = sorted((row["bpfp"], row[metric]) for row in rows if row["curve"] == curve)
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=curve)
        axis.set(xlabel="bits per element", ylabel=title, xscale="log")
        axis.grid(alpha=0.3, which="both")
        _label_few_ticks(axis.xaxis)
        if rows:
            axis.legend(fontsize=8)
    save_figure(figure, path)


def draw_curves(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], labels: tuple[str, str], path: Path
) -> None:
    """Write a PNG with a panel for each title, of points by curve; curves that end with `printed` are dashed."""
    plot = pyplot()
    across = min(_MAX_COLUMNS, len(panels))
    down = -(-len(panels) // across)
    figure, axes = plot.subplots(down, across, figsize=(5.2 * across, 4 * down), squeeze=False)
    for axis, (title, curves) in zip(axes.flat, panels.items(), strict=False):
        for name, points in curves.items():
            style = {"marker": "o", "markersize": 4, "linestyle": "--" if name.endswith("printed") else "-"}
            axis.plot(*zip(*sorted(points), strict=True), label=name, **style)
        axis.set(title=title, xlabel=labels[0], ylabel=labels[1], xscale="log")
        axis.grid(alpha=0.3, which="both")
        _label_few_ticks(axis.xaxis)
        axis.legend(fontsize=8)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    save_figure(figure, path)


def draw_losses(panels: Mapping[str, Sequence[tuple[str, float, float]]], path: Path) -> None:
    """Write a PNG of losses against bits, both on logarithmic axes: a panel a loss, a line a curve.

    A panel goes by the label of its loss, and holds points: the name of the curve, bits per element, a loss above 0. A
    curve has one colour in all panels; many share one legend below these.
    """
    plot = pyplot()
    figure, axes = plot.subplots(1, len(panels), figsize=(6 * len(panels), 5), squeeze=False)
    names = list(dict.fromkeys(name for points in panels.values() for name, _, _ in points))
    colours = {name: plot.get_cmap("tab10" if len(names) <= 10 else "tab20")(place) for place, name in enumerate(names)}
    lines: dict[str, Any] = {}
    for axis, (label, points) in zip(axes.flat, panels.items(), strict=True):
        for curve in dict.fromkeys(name for name, _, _ in points):
            line = sorted((bits, loss) for name, bits, loss in points if name == curve)
            style = {"marker": "o", "markersize": 4, "label": curve, "color": colours[curve]}
            (lines[curve],) = axis.plot(*zip(*line, strict=True), **style)
        axis.set(xlabel="bits per element", ylabel=label, xscale="log", yscale="log")
        axis.grid(alpha=0.3, which="both")
        for scale in (axis.xaxis, axis.yaxis):
            _label_few_ticks(scale)
        if points and len(names) <= _MOST_NAMES_IN_A_PANEL:
            axis.legend(fontsize=8)
    if len(names) > _MOST_NAMES_IN_A_PANEL:
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": min(len(names), 3 * len(panels))}
        figure.legend(handles=list(lines.values()), fontsize=9, **below)
    save_figure(figure, path)


def _label_few_ticks(scale: Any) -> None:
    """Label 1, 2 and 5 of each decade of a logarithmic axis, as plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
    scale.set_major_formatter(StrMethodFormatter("{x:g}"))
    scale.set_minor_formatter(NullFormatter())


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG and close it."""
    figure.tight_layout()
    figure.savefig(path, dpi=_DOTS_PER_INCH, bbox_inches="tight")
    pyplot().close(figure)


def pyplot() -> Any:
    """Import Matplotlib without a display; where it is missing, the error says how to install it."""
    try:
        import matplotlib
    except ImportError as error:
        raise StoreError(f"a plot needs matplotlib: {error}", "pip install 'lamofc-store[report]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot

"""`lamofc analyze`: measure features before anything is coded."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.sources import FeatureFilter
from lamofc_tools.cli.console import Output, ReadOptions, RunStore, SourceOptions, flatten_options
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_tools.analysis import Curves, SourceAnalysis

Features = Annotated[str, typer.Argument(metavar="SOURCE|STORE", help="Features as for ingest, or a store.")]


@dataclass(frozen=True)
class AnalyzeOptions:
    """The number of samples to analyse, and the plot to draw."""

    samples: Annotated[
        int,
        typer.Option("--samples", metavar="N", min=1, max=1 << 31, help="Analyse so many samples, spread evenly."),
    ] = 8
    snr: Annotated[
        float,
        typer.Option(
            "--snr",
            metavar="DB",
            min=-100,
            max=200,
            help="Compute bits with and without a transform at this signal-to-noise ratio in dB.",
        ),
    ] = 10.0
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="STORE", help="Draw also what this store gives back of the same samples."),
    ] = None
    png: Annotated[
        str | None, typer.Option("--png", metavar="FILE", help="Draw densities and distribution functions.")
    ] = None
    run_in: RunStore = None

    def check(self) -> None:
        """Refuse options that need another one."""
        if self.against is not None and self.png is None:
            raise BadArgument(f"--against {self.against} without --png", "--png FILE, in which both are drawn")


@flatten_options
def analyze(
    features: Features,
    analyze_options: AnalyzeOptions,
    source_options: SourceOptions,
    read_options: ReadOptions,
    out: Output,
) -> None:
    """Measure redundancy and distribution of every feature; nothing is coded.

    rho_h, rho_v (correlation of neighbours in rows and columns), gini and centroid (of the cosine transform) are those
    of LaMoFCBench's appendix, of tokens x channels. klt_bits and plain_bits are the bits per element that Gaussian
    values of the same covariance need at --snr, with and without a transform of the channels.
    """
    from lamofc_tools.analysis import analyse_planes

    analyze_options.check()
    with out.bar("analyze") as bar:
        planes = read_planes(features, analyze_options, source_options, read_options)
        source_analysis = analyse_planes(
            planes,
            analyze_options.snr,
            keep_values=analyze_options.png is not None,
            progress=lambda done: bar.update(done, analyze_options.samples),
        )
    draw(source_analysis, analyze_options, read_options)
    rows = [report.to_json() for report in source_analysis.reports]
    log_run(rows, features, analyze_options)
    out.show({"what": features, "features": rows}, analysis.features)


def read_planes(
    features: str, analyze_options: AnalyzeOptions, source_options: SourceOptions, read_options: ReadOptions
) -> "Iterator[tuple[str, dict[str, Tensor]]]":
    """Read samples of a store, or of a source where there is no store, as planes: tokens x channels."""
    from lamofc_tools.analysis import source_planes, spread_samples, store_planes

    patterns = source_options.options()["patterns"]
    try:
        opened = read_options.open(features)
    except NotFound:
        if "://" in features:
            raise
        yield from source_planes(source_options.source(features), patterns, analyze_options.samples)
        return
    with opened as store:
        names = list(FeatureFilter(tuple(source_options.feature or ())).pick(dict.fromkeys(store.features), features))
        yield from store_planes(store, spread_samples(store, names, analyze_options.samples), names, patterns)


def draw(source_analysis: "SourceAnalysis", analyze_options: AnalyzeOptions, read_options: ReadOptions) -> None:
    """Draw the distributions, with those of another store if one is named."""
    import torch

    from lamofc_tools.analysis import SOURCE_LABEL, draw_distributions, with_decoded

    if analyze_options.png is None:
        return
    curves: Curves
    if analyze_options.against is None:
        curves = {
            feature: {SOURCE_LABEL: torch.cat(list(values.values()))}
            for feature, values in source_analysis.values.items()
        }
    else:
        with read_options.open(analyze_options.against) as store:
            curves = with_decoded(source_analysis.values, store, Path(analyze_options.against).name)
    draw_distributions(curves, Path(analyze_options.png))


def log_run(rows: list[dict[str, Any]], features: str, analyze_options: AnalyzeOptions) -> None:
    """Record the figures as a run, if a store is named for it."""
    if analyze_options.run_in is None:
        return
    metrics = [
        lamofc.Metric(name, value, feature=row["feature"])
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float)
    ]
    config = {"what": features, "samples": analyze_options.samples, "snr_db": analyze_options.snr}
    with lamofc.open(analyze_options.run_in, "r+") as store:
        lamofc.add_run(store, "analyze", Path(features).name, config, metrics)

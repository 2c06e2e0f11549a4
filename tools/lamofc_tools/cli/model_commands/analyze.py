"""`lamofc analyze`: measure features before anything is coded."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import NotFound
from lamofc_store.sources import FeatureFilter
from lamofc_tools.cli.console import (
    Output,
    ReadOptions,
    RunStore,
    SourceOptions,
    file_to_write,
    flatten_options,
)
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_tools.analysis import SourceAnalysis

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
        typer.Option("--against", metavar="STORE", help="Compare with what this store gives back of the same samples."),
    ] = None
    png: Annotated[
        str | None,
        typer.Option(
            "--png", metavar="FILE", callback=file_to_write, help="Draw densities and distribution functions."
        ),
    ] = None
    run_in: RunStore = None

    @property
    def needs_values(self) -> bool:
        """Whether values are kept, to draw or to compare them."""
        return self.png is not None or self.against is not None


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
    of LaMoFCBench's appendix, of tokens x channels. IV and GM are variance and gradient of planes in ten bits, as in
    LaMoFC's supplement. kl and r2 compare the values with those of --against. klt_bits and plain_bits are the bits per
    element that Gaussian values of the same covariance need at --snr, with and without a transform of the channels.
    """
    from lamofc_tools.analysis import analyse_planes

    with out.bar("analyze") as bar:
        planes = read_planes(features, analyze_options, source_options, read_options)
        source_analysis = analyse_planes(
            planes,
            analyze_options.snr,
            keep_values=analyze_options.needs_values,
            progress=lambda done: bar.update(done, analyze_options.samples),
        )
    decoded = read_decoded(source_analysis, analyze_options, source_options, read_options)
    draw(source_analysis, decoded, analyze_options)
    rows = report_rows(source_analysis, decoded)
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


def read_decoded(
    source_analysis: "SourceAnalysis",
    analyze_options: AnalyzeOptions,
    source_options: SourceOptions,
    read_options: ReadOptions,
) -> "dict[str, dict[str, Tensor]]":
    """Read what another store gives back of the samples, by feature and sample; nothing if none is named."""
    from lamofc_tools.analysis import decoded_values

    if analyze_options.against is None:
        return {}
    with read_options.open(analyze_options.against) as store:
        return decoded_values(source_analysis.values, store, source_options.options()["patterns"])


def report_rows(source_analysis: "SourceAnalysis", decoded: "dict[str, dict[str, Tensor]]") -> list[dict[str, Any]]:
    """List the figures of each feature, with those of its decoded values where they were read."""
    from lamofc_tools.analysis import compare_values

    rows = [report.to_json() for report in source_analysis.reports]
    for row in rows if decoded else ():
        fidelity = asdict(compare_values(source_analysis.values[row["feature"]], decoded[row["feature"]]))
        row |= {name: None if math.isnan(value) else value for name, value in fidelity.items()}
    return rows


def draw(
    source_analysis: "SourceAnalysis", decoded: "dict[str, dict[str, Tensor]]", analyze_options: AnalyzeOptions
) -> None:
    """Draw the distributions, with those of another store if one is named."""
    from lamofc_tools.analysis import draw_distributions, labelled_curves

    if analyze_options.png is not None:
        label = Path(analyze_options.against or "").name
        draw_distributions(labelled_curves(source_analysis.values, decoded, label), Path(analyze_options.png))


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

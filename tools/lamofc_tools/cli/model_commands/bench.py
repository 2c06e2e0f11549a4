"""`lamofc bench`: compare codecs and external coders on one's own features; `lamofc correlate`: check the papers'."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    AsPublished,
    FeatureGlobs,
    Output,
    Patterns,
    SourcePath,
    file_to_write,
    flatten_options,
    parse_patterns,
)
from lamofc_tools.cli.render import codec_text

if TYPE_CHECKING:
    from lamofc_tools.comparison import Choice, Measurement, Point

DEFAULT_CODECS = ("klt", "uniform")
DEFAULT_QUALITIES = ("snr_db=5", "snr_db=10", "snr_db=20", "qp=22", "qp=32", "qp=42")
Codecs = Annotated[
    list[str] | None,
    typer.Option(
        "--codec",
        metavar="NAME[:K=V,...]",
        help="Measure a codec, with options of its fit; klt and uniform by default. Repeatable.",
    ),
]


@dataclass(frozen=True)
class PointOptions:
    """The coders and their settings."""

    codec: Codecs = None
    quality: Annotated[
        list[str] | None,
        typer.Option(
            "--quality", metavar="TARGET=VALUE", help="Measure at a quality, such as snr_db=10 or qp=32. Repeatable."
        ),
    ] = None
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="NAME[:K=V,...]",
            help="Measure also the bits of this codec at the error of each point.",
        ),
    ] = None
    peer: Annotated[
        list[str] | None,
        typer.Option("--peer", metavar="NAME", help="Measure an external coder, or all of them. Repeatable."),
    ] = None

    as_published: AsPublished = None

    def points(self) -> "list[Point]":
        """List all points."""
        from lamofc_tools.comparison import list_points, published_qualities

        codecs = self.codec or ([] if self.peer else DEFAULT_CODECS)
        printed = published_qualities(self.as_published) if self.as_published else []
        usual = [quality for quality in DEFAULT_QUALITIES if not (printed and quality.startswith("qp="))]
        return list_points(codecs, self.quality or [*usual, *printed], self.peer or [], self.as_published)

    def reference(self) -> "Point | None":
        """Return the point whose bits are measured beside each other point."""
        from lamofc_tools.comparison import list_points

        return list_points([self.against], [], [])[0] if self.against else None


@dataclass(frozen=True)
class SampleOptions:
    """The features and samples that are measured."""

    format: Annotated[str, typer.Option("--format", help="Read the source in this format, as ingest does.")] = "auto"
    feature: FeatureGlobs = None
    pattern: Patterns = None
    held_out_by: Annotated[
        str | None,
        typer.Option("--held-out-by", metavar="COLUMN", help="Measure samples with a quarter of this column's values."),
    ] = None
    fit_samples: Annotated[int, typer.Option("--fit-samples", metavar="N", help="Fit on at most so many samples.")] = (
        160
    )
    test_samples: Annotated[
        int, typer.Option("--test-samples", metavar="N", help="Measure at most so many samples.")
    ] = 40

    def choice(self, as_published: str | None) -> "Choice":
        """Return the choice of features and samples."""
        from lamofc_tools.comparison import Choice

        if self.fit_samples < 1 or self.test_samples < 1:
            raise BadArgument(
                f"--fit-samples {self.fit_samples} --test-samples {self.test_samples}", "give 1 or more of both"
            )
        return Choice(
            format=self.format,
            features=tuple(self.feature or ()),
            patterns=parse_patterns(self.pattern),
            as_published=as_published,
            held_out_by=self.held_out_by,
            fit_samples=self.fit_samples,
            test_samples=self.test_samples,
        )


@dataclass(frozen=True)
class ResultOptions:
    """The places to keep results in, and the figures to show beside them."""

    store: Annotated[
        str | None,
        typer.Option(
            "--store", metavar="STORE", help="Record each point as a run in this store, and measure none twice."
        ),
    ] = None
    png: Annotated[
        str | None,
        typer.Option("--png", metavar="FILE", callback=file_to_write, help="Draw rate against distortion."),
    ] = None
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Measure also the peak memory of this project's codecs, and on a GPU."),
    ] = False
    paper: Annotated[
        list[str] | None,
        typer.Option(
            "--paper", metavar="TABLE", help="Print a paper's table below, such as lamofcbench-7. Repeatable."
        ),
    ] = None

    def paper_tables(self) -> list[dict[str, Any]]:
        """Return the tables that are named."""
        from lamofc_tools.comparison import paper_table

        return [paper_table(name) for name in self.paper or ()]

    def draw(self, measurements: "Sequence[Measurement]") -> None:
        """Draw the plot, if a file is named."""
        from lamofc_tools import plots

        if self.png:
            rows = [{**measurement.to_json(), "total": measurement.total} for measurement in measurements]
            plots.draw_rates(rows, Path(self.png))


@flatten_options
def bench(
    source: SourcePath, pointing: PointOptions, sampling: SampleOptions, results: ResultOptions, out: Output
) -> None:
    """Compare codecs on a source by rate, distortion and time.

    Samples that are measured are never among those that were fitted on. Each figure comes from whole records as bytes,
    headers included, and from the tensors decoded from them. bpfp is bits per feature point (element); ebpfp is the
    same as if the source had 32 bits per element. Figures are means over samples; whole samples are all features of a
    sample together.
    """
    from lamofc_tools.comparison import compare, split_source, whole_samples

    points, papers, reference = pointing.points(), results.paper_tables(), pointing.reference()
    options: dict[str, Any] = {"reference": reference, "memory": results.memory, "store": results.store}
    with out.bar("bench") as bar:
        splits = split_source(source, sampling.choice(pointing.as_published))
        measurements = compare(splits, points, source=source, progress=bar.update, **options)
    whole = whole_samples(measurements)
    results.draw([*measurements, *whole])
    points_and_whole = {"points": measurements, "whole_samples": whole}
    out.show({**describe(source, points_and_whole), "memory": results.memory, "papers": papers}, codec_text.comparison)


def describe(source: str, measured: "dict[str, list[Measurement]]") -> dict[str, Any]:
    """Make the document of a comparison; `gpu` is None where there is none."""
    from lamofc_tools.machine import gpu, machine

    rows = {name: [measurement.to_json() for measurement in measurements] for name, measurements in measured.items()}
    return {"machine": machine(), "gpu": gpu(), "source": source, **rows}


PaperTables = Annotated[
    list[str] | None,
    typer.Argument(metavar="TABLE", help="Check these tables, such as lamofcbench-9; all by default."),
]


@flatten_options
def correlate(out: Output, table: PaperTables = None) -> None:
    """Recompute the correlations of MSE and performance that the papers print.

    rho is Pearson's coefficient over the rates of a codec, r2 its square, each from the printed figures of a table.
    rounding is how far the rounding of these figures can move it.
    """
    from lamofc_tools.comparison import paper_correlations

    rows = [correlation.to_json() for correlation in paper_correlations(table or ())]
    out.show({"correlations": rows}, codec_text.correlations)

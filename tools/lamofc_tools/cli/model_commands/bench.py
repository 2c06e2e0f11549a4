"""`lamofc bench`: codecs, and coders of others, on one's own features."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import FeatureGlobs, Output, SourcePath, flat, pairs
from lamofc_tools.cli.render import codec_text

if TYPE_CHECKING:
    from lamofc_tools.comparison import Choice, Found, Point

QUALITIES = ("snr_db=5", "snr_db=10", "snr_db=20", "qp=22", "qp=32", "qp=42")
Codecs = Annotated[
    list[str] | None,
    typer.Option("--codec", metavar="NAME[:K=V,...]", help="A codec, with options of its fit; repeatable."),
]


@dataclass(frozen=True)
class Points:
    """What is compared."""

    codec: Codecs = None
    quality: Annotated[
        list[str] | None,
        typer.Option("--quality", metavar="TARGET=VALUE", help="snr_db=10, qp=32; repeatable."),
    ] = None
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="NAME[:K=V,...]", help="Also what this codec takes at each point's error."),
    ] = None
    peer: Annotated[
        list[str] | None, typer.Option("--peer", metavar="NAME", help="A coder of others, or all of them. Repeatable.")
    ] = None

    def grid(self) -> "list[Point]":
        """All points."""
        from lamofc_tools.comparison import grid

        codecs = self.codec or ([] if self.peer else ["klt", "uniform"])
        return grid(codecs, self.quality or QUALITIES, self.peer or [])

    def reference(self) -> "Point | None":
        """What stands beside each of them."""
        from lamofc_tools.comparison import grid

        return grid([self.against], [], [])[0] if self.against else None


@dataclass(frozen=True)
class Measured:
    """On what it is compared."""

    format: Annotated[str, typer.Option("--format", help="auto, or as for ingest.")] = "auto"
    feature: FeatureGlobs = None
    pattern: Annotated[
        list[str] | None,
        typer.Option("--pattern", metavar="GLOB=PATTERN", help="einops pattern to tokens x channels; repeatable."),
    ] = None
    held_out_by: Annotated[
        str | None,
        typer.Option("--held-out-by", metavar="COLUMN", help="Measure a quarter of this column's values."),
    ] = None
    fit_samples: Annotated[int, typer.Option("--fit-samples", metavar="N", help="At most so many to fit on.")] = 160
    test_samples: Annotated[int, typer.Option("--test-samples", metavar="N", help="At most so many to measure.")] = 40

    def choice(self) -> "Choice":
        """As the comparison takes it."""
        from lamofc_tools.comparison import Choice

        if self.fit_samples < 1 or self.test_samples < 1:
            raise BadArgument(f"--fit-samples {self.fit_samples} --test-samples {self.test_samples}", "give 1 or more")
        return Choice(
            format=self.format,
            features=tuple(self.feature or ()),
            patterns=pairs(self.pattern, "--pattern"),
            held_out_by=self.held_out_by,
            fit_samples=self.fit_samples,
            test_samples=self.test_samples,
        )


@dataclass(frozen=True)
class Telling:
    """Where it is told."""

    store: Annotated[
        str | None,
        typer.Option("--store", metavar="STORE", help="Keep each point as a run; none is measured twice."),
    ] = None
    png: Annotated[str | None, typer.Option("--png", metavar="FILE", help="A picture of rate and distortion.")] = None
    memory: Annotated[bool, typer.Option("--memory", help="Measure what our codecs take of memory, too.")] = False
    paper: Annotated[
        list[str] | None,
        typer.Option("--paper", metavar="TABLE", help="Print a paper's table below: lamofcbench-7. Repeatable."),
    ] = None

    def papers(self) -> list[dict[str, Any]]:
        """The papers' tables that are asked for."""
        from lamofc_tools.comparison import paper_table

        return [paper_table(name) for name in self.paper or ()]

    def draw(self, found: "Sequence[Found]") -> None:
        """The picture, if one is asked for."""
        from lamofc_tools import plots

        if self.png:
            plots.draw([{**one.to_json(), "total": one.total} for one in found], Path(self.png))


@flat
def bench(source: SourcePath, points: Points, measured: Measured, telling: Telling, out: Output) -> None:
    """Compare codecs on a source: rate, distortion, time.

    Samples that are measured are never among those that were fitted on. Each figure comes from whole records as bytes,
    headers counted, and from the tensors decoded from them.
    """
    from lamofc_tools.comparison import compare, splits

    wanted, papers = points.grid(), telling.papers()
    told: dict[str, Any] = {"reference": points.reference(), "memory": telling.memory, "store": telling.store}
    with out.bar("bench") as bar:
        found = compare(splits(source, measured.choice()), wanted, source=source, tell=bar.tell, **told)
    telling.draw(found)
    out.show(documented(source, found, papers), codec_text.comparison)


def documented(source: str, found: "Sequence[Found]", papers: list[dict[str, Any]]) -> dict[str, Any]:
    """What --json prints."""
    from lamofc_tools.machine import machine

    points = [one.to_json() for one in found]
    return {"machine": machine(), "source": source, "points": points, "papers": papers}

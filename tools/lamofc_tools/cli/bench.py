"""`lamofc bench`: codecs, and coders of others, on one's own features."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli import text
from lamofc_tools.cli.options import FeatureGlobs, SourcePath, flat, pairs
from lamofc_tools.cli.output import Output

if TYPE_CHECKING:
    from lamofc_tools.comparison.splits import Choice

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
        from lamofc_tools.comparison.splits import Choice

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


@flat
def bench(source: SourcePath, points: Points, measured: Measured, telling: Telling, out: Output) -> None:
    """Compare codecs on a source: rate, distortion, time.

    Samples that are measured are never among those that were fitted on. Each figure comes from whole records as bytes,
    headers counted, and from the tensors decoded from them.
    """
    from lamofc_tools.comparison import Found, against, found_before, grid, kept, measure, splits
    from lamofc_tools.machine import machine
    from lamofc_tools.paper_tables import paper_table

    tables = [paper_table(name) for name in telling.paper or ()]
    wanted = grid(points.codec or ([] if points.peer else ["klt", "uniform"]), _qualities(points), points.peer or [])
    reference = grid([points.against], [], [])[0] if points.against else None
    parts = splits(source, measured.choice())
    found: list[Found] = []
    with ExitStack() as opened, out.bar("bench") as bar:
        store = opened.enter_context(lamofc.open(telling.store, "a")) if telling.store else None
        for number, (split, point) in enumerate((split, point) for split in parts for point in wanted):
            config = {
                "source": source,
                "feature": split.feature,
                "coder": point.coder,
                "setting": point.setting,
                "point": point.to_json(),
                "fitted": len(split.train),
                "measured": len(split.test),
                "held_out_by": measured.held_out_by,
                "against": points.against,
                "memory": telling.memory,
                "machine": machine(),
            }
            before = found_before(store, config) if store is not None else None
            one = before or measure(point, split, memory=telling.memory)
            if reference is not None and before is None:
                one = against(reference, one, split)
            found.append(one)
            if store is not None and before is None:
                kept(store, found[-1], config)
            bar.tell(number + 1, len(parts) * len(wanted), f"{point.coder} {point.setting}")
    if telling.png:
        from lamofc_tools import rate_picture

        rate_picture.draw([{**one.to_json(), "total": one.total} for one in found], Path(telling.png))
    document = {"machine": machine(), "source": source, "points": [one.to_json() for one in found], "papers": tables}
    out.show(document, text.comparison)


def _qualities(points: Points) -> Sequence[str]:
    return points.quality or ("snr_db=5", "snr_db=10", "snr_db=20", "qp=22", "qp=32", "qp=42")

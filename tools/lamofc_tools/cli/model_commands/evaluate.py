"""`lamofc eval`: what a head is worth on stores, at several rates on read."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import Output, Reading, Where, device_of, flat
from lamofc_tools.cli.model_commands.head_options import RunIn
from lamofc_tools.cli.render import heads

if TYPE_CHECKING:
    from lamofc_store import Quality
    from lamofc_tools.heads import HeadEvaluation, Protocol, RatePoint

HeadFile = Annotated[str, typer.Argument(metavar="HEAD", help="A file that `lamofc train` wrote.")]
Stores = Annotated[list[str], typer.Argument(metavar="STORE...", help="Where it is judged; the first is the measure.")]


@dataclass(frozen=True)
class Rates:
    """At which rates stores are read, besides whole."""

    snr: Annotated[
        list[float] | None, typer.Option("--snr", metavar="DB", help="Read also as much as this needs. Repeatable.")
    ] = None
    bpfp: Annotated[
        list[float] | None, typer.Option("--bpfp", help="Read also at most so many bits an element. Repeatable.")
    ] = None

    def qualities(self) -> "list[Quality]":
        """As the library takes them."""
        return [
            *(lamofc.Quality(snr_db=db) for db in self.snr or ()),
            *(lamofc.Quality(bpfp=rate) for rate in self.bpfp or ()),
        ]


@dataclass(frozen=True)
class Judged:
    """On what, and how."""

    where: Where = None
    trained_on: Annotated[
        str,
        typer.Option(
            "--trained-on", help="original: as it is; decoded: anew on each store's samples; or both of these."
        ),
    ] = "original"
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="What the cheapest rate may cost: of 1, or of an error.")
    ] = 0.01
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Samples at once.")] = 64
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    run_in: RunIn = None
    png: Annotated[str | None, typer.Option("--png", metavar="FILE", help="A picture of rate and metric.")] = None

    def protocols(self) -> "list[Protocol]":
        """One of them, or both."""
        known: dict[str, list[Protocol]] = {
            "original": ["original"],
            "decoded": ["decoded"],
            "both": ["original", "decoded"],
        }
        if self.trained_on not in known:
            raise BadArgument(f"--trained-on {self.trained_on}", f"one of {', '.join(known)}")
        return known[self.trained_on]

    def judging(self, file: str) -> "HeadEvaluation":
        """The head, and on what it is judged."""
        from lamofc_tools.heads import HeadEvaluation, TrainingConfig, load

        head, provenance = load(Path(file))
        config = replace(
            TrainingConfig.from_json(provenance["course"]), batch=self.batch, device=device_of(self.device)
        )
        return HeadEvaluation(head, provenance, self.where, config)


@flat
def judge(head: HeadFile, stores: Stores, judged: Judged, rates: Rates, reading: Reading, out: Output) -> None:
    """Judge a head on stores, whole and at several rates: what each bit buys.

    The first store, read whole, is what the others are compared with: best the originals, as `--codec raw` keeps them.
    """
    from lamofc_tools.heads import cheapest_points, evaluate_at_rates

    judging = judged.judging(head)
    with ExitStack() as opened, out.bar("eval") as bar:
        known = {name: opened.enter_context(reading.open(name)) for name in stores}
        points = evaluate_at_rates(judging, known, rates.qualities(), judged.protocols(), bar.tell)
    found, main = list(cheapest_points(points, judging.head, judged.tolerance)), judging.head.task.meter().main
    told(judged.run_in, judging, points)
    if judged.png:
        draw(points, main, Path(judged.png))
    document = {"head": head, "metric": main, "points": [point.to_json() for point in points], "cheapest": found}
    out.show(document, heads.judged)


def told(run_in: str | None, judging: "HeadEvaluation", points: "Sequence[RatePoint]") -> None:
    """A run for each point, if a store is named for that."""
    if run_in is None:
        return
    with lamofc.open(run_in, "r+") as target:
        for point in points:
            metrics = [lamofc.Metric(name, value) for name, value in (*point.values.items(), ("bpfp", point.bpfp))]
            config: dict[str, Any] = {**judging.provenance, **point.to_json(), "judged_where": judging.where}
            config.pop("values")
            lamofc.add_run(target, "eval", judging.head.kind, config, metrics)


def draw(points: "Sequence[RatePoint]", metric: str, file: Path) -> None:
    """The picture."""
    from lamofc_tools.plots import draw_curves

    rows = [
        {
            "curve": f"{Path(point.store).name}, trained on {point.trained_on}",
            "bpfp": point.bpfp,
            metric: point.values[metric],
        }
        for point in points
        if metric in point.values
    ]
    draw_curves(rows, {metric: metric}, file)

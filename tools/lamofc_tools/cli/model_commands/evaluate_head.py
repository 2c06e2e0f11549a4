"""`lamofc eval head`: evaluate a head on stores, at several rates on read."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    Device,
    Output,
    RateOptions,
    ReadOptions,
    RunStore,
    Where,
    file_to_write,
    flatten_options,
    resolve_device,
)
from lamofc_tools.cli.model_commands.head_options import PublishedHeadOptions
from lamofc_tools.cli.render import heads

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import HeadEvaluation, Protocol, RatePoint

HeadFile = Annotated[
    str, typer.Argument(metavar="HEAD", help="A file of `lamofc train`, or a published head: a folder or a file.")
]
Stores = Annotated[
    list[str], typer.Argument(metavar="STORE...", help="Stores to evaluate on; the others are compared with the first.")
]
PROTOCOLS: "dict[str, list[Protocol]]" = {
    "original": ["original"],
    "decoded": ["decoded"],
    "both": ["original", "decoded"],
}


@dataclass(frozen=True)
class EvaluationOptions(PublishedHeadOptions):
    """The samples and the protocol of an evaluation, and where it is recorded."""

    where: Where = None
    trained_on: Annotated[
        str,
        typer.Option(
            "--trained-on",
            help="Evaluate the head as it is (original), trained again on each store (decoded), or both.",
        ),
    ] = "original"
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            help="Report the cheapest rate that loses at most so much: of 1 for scores, relative for errors.",
        ),
    ] = 0.01
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Evaluate so many samples at once.")] = 64
    device: Device = "auto"
    run_in: RunStore = None
    png: Annotated[
        str | None,
        typer.Option("--png", metavar="FILE", callback=file_to_write, help="Draw the metric against the rate."),
    ] = None

    def protocols(self) -> "list[Protocol]":
        """Return one protocol, or both."""
        if self.trained_on not in PROTOCOLS:
            raise BadArgument(f"--trained-on {self.trained_on}", f"one of {', '.join(PROTOCOLS)}")
        return PROTOCOLS[self.trained_on]

    def evaluation(self, path: str, first: "Store") -> "HeadEvaluation":
        """Open the head, for the features of the first store, and the conditions of its evaluation."""
        from lamofc_tools.heads import HeadEvaluation, TrainingConfig

        head, provenance = self.open_head(path, first)
        config = TrainingConfig.from_json(provenance["course"])
        config = replace(config, batch=self.batch, device=resolve_device(self.device))
        return HeadEvaluation(head, provenance, self.where, config)


@flatten_options
def evaluate_head(
    head: HeadFile,
    stores: Stores,
    evaluating: EvaluationOptions,
    rates: RateOptions,
    read_options: ReadOptions,
    out: Output,
) -> None:
    """Evaluate a head on stores, at full rate and at several rates on read.

    All results are compared with those of the first store at full rate, which should hold the original features, as
    `--codec raw` stores them. A published head is a folder of transformers, or a file of weights of DINOv2 or DINOv3.
    """
    from lamofc_tools.heads import cheapest_points, evaluate_at_rates

    with ExitStack() as stack, out.bar("eval") as bar:
        opened = {name: stack.enter_context(read_options.open(name)) for name in stores}
        evaluation = evaluating.evaluation(head, opened[stores[0]])
        points = evaluate_at_rates(evaluation, opened, rates.qualities(), evaluating.protocols(), bar.update)
    metric = evaluation.head.task.meter().main
    log_runs(evaluating.run_in, evaluation, points)
    rates.note_repeated([(point.store, point.rate) for point in points], out)
    draw(points, metric, evaluating.png)
    best = list(cheapest_points(points, evaluation.head, evaluating.tolerance))
    document = {"head": head, "metric": metric, "points": [point.to_json() for point in points], "cheapest": best}
    out.show(document, heads.evaluation)


def log_runs(run_in: str | None, evaluation: "HeadEvaluation", points: "Sequence[RatePoint]") -> None:
    """Record a run for each point, if a store is named for it."""
    if run_in is None:
        return
    with lamofc.open(run_in, "r+") as target:
        for point in points:
            metrics = [lamofc.Metric(name, value) for name, value in (*point.values.items(), ("bpfp", point.bpfp))]
            config: dict[str, Any] = {**evaluation.provenance, **point.to_json(), "judged_where": evaluation.where}
            config.pop("values")
            lamofc.add_run(target, "eval", evaluation.head.kind, config, metrics)


def draw(points: "Sequence[RatePoint]", metric: str, file: str | None) -> None:
    """Draw the metric against the rate, if a file is named."""
    from lamofc_tools.plots import draw_metrics

    if file is None:
        return
    rows = [
        {
            "curve": f"{Path(point.store).name}, trained on {point.trained_on}",
            "bpfp": point.bpfp,
            metric: point.values[metric],
        }
        for point in points
        if metric in point.values and point.in_curve
    ]
    draw_metrics(rows, {metric: metric}, Path(file))

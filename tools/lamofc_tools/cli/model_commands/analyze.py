"""`lamofc analyze`: what features are like, before anything is coded and after."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.sources import FeatureFilter
from lamofc_tools.cli.console import Bar, Output, Reading, Taking, flat
from lamofc_tools.cli.model_commands.head_options import RunIn
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
    from torch import Tensor

    Planes = Iterator[tuple[str, dict[str, Tensor]]]

What = Annotated[str, typer.Argument(metavar="SOURCE|STORE", help="Features as ingest takes them, or a store.")]


@dataclass(frozen=True)
class Looking:
    """How much is looked at, and beside what."""

    samples: Annotated[
        int, typer.Option("--samples", metavar="N", min=1, max=1 << 31, help="Looked at, from all over.")
    ] = 8
    snr: Annotated[
        float,
        typer.Option(
            "--snr", metavar="DB", min=-100, max=200, help="At which bits with and without a transform are compared."
        ),
    ] = 10.0
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="STORE", help="Draw what this store gives back of the same samples, too."),
    ] = None
    png: Annotated[str | None, typer.Option("--png", metavar="FILE", help="Densities and distributions.")] = None
    run_in: RunIn = None


@flat
def analyze(what: What, looking: Looking, taking: Taking, reading: Reading, out: Output) -> None:
    """Measure redundancy and spread of every feature; nothing is coded.

    Correlation of neighbours, Gini coefficient and centroid of the cosine transform are those of LaMoFCBench's
    appendix, of tokens x channels; klt_bits and plain_bits are of Gaussian values of the same covariance.
    """
    if looking.against is not None and looking.png is None:
        raise BadArgument(f"--against {looking.against} without --png", "--png FILE: it is drawn beside the source")
    with out.bar("analyze") as bar:
        rows, curves = measured(planes(what, looking, taking, reading), looking, bar)
    if looking.png is not None:
        drawn(curves, looking, reading)
    told(rows, what, looking)
    out.show({"what": what, "features": rows}, analysis.figures)


def planes(what: str, looking: Looking, taking: Taking, reading: Reading) -> "Planes":
    """Samples as planes, tokens x channels."""
    from lamofc_tools.analysis import from_all_over, of_source, of_store

    patterns = taking.options()["patterns"]
    try:
        opened = reading.open(what)
    except NotFound:
        if "://" in what:
            raise
        yield from of_source(taking.source(what), patterns, looking.samples)
        return
    with opened as store:
        wanted = list(FeatureFilter(tuple(taking.feature or ())).pick(dict.fromkeys(store.features), what))
        yield from of_store(store, from_all_over(store, wanted, looking.samples), wanted, patterns)


def measured(
    found: "Planes", looking: Looking, bar: Bar
) -> tuple[list[dict[str, Any]], dict[str, dict[str, "Tensor"]]]:
    """Figures of each feature; by feature, values of each sample for a picture."""
    from lamofc_tools.analysis import Gathered, some

    gathered: dict[str, Any] = {}
    curves: dict[str, dict[str, Tensor]] = {}
    for number, (sample, several) in enumerate(found, 1):
        for feature, plane in several.items():
            gathered.setdefault(feature, Gathered(feature, looking.snr)).add(plane)
            if looking.png is not None:
                curves.setdefault(feature, {})[sample] = some(plane)
        bar.tell(number, looking.samples)
    if not gathered:
        raise BadArgument("there is no feature of real numbers", "name others with --feature")
    return [gathered[feature].figures().to_json() for feature in sorted(gathered)], curves


def drawn(curves: dict[str, dict[str, "Tensor"]], looking: Looking, reading: Reading) -> None:
    """The picture, with what another store gives back of the same samples."""
    import torch

    from lamofc_tools.analysis import draw, of_store, some

    kinds = {feature: {"as given": torch.cat(list(held.values()))} for feature, held in curves.items()}
    if looking.against is not None:
        ids = sorted({sample for held in curves.values() for sample in held})
        with reading.open(looking.against) as store:
            again = dict(of_store(store, ids, sorted(curves), {}))
        for feature, held in curves.items():
            parts = [some(again[sample][feature]) for sample in held if feature in again[sample]]
            if parts:
                kinds[feature][Path(looking.against).name] = torch.cat(parts)
        if all(len(several) == 1 for several in kinds.values()):
            raise NotFound(f"{looking.against} has no {', '.join(sorted(kinds)[:8])}", "a store of the same features")
    draw(kinds, Path(str(looking.png)))


def told(rows: list[dict[str, Any]], what: str, looking: Looking) -> None:
    """A run, if a store is named for that."""
    if looking.run_in is None:
        return
    metrics = [
        lamofc.Metric(name, value, feature=row["feature"])
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float)
    ]
    config = {"what": what, "samples": looking.samples, "snr_db": looking.snr}
    with lamofc.open(looking.run_in, "r+") as store:
        lamofc.add_run(store, "analyze", Path(what).name, config, metrics)

"""`lamofc ingest`: take a source into a store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import (
    Bar,
    Coding,
    DryRun,
    OnError,
    Output,
    SourcePath,
    StorePlace,
    Taking,
    Writing,
    flat,
    profile,
)
from lamofc_tools.cli.render import store_text, text

if TYPE_CHECKING:
    from lamofc_store.sources import Source


@dataclass(frozen=True)
class Entering(Writing):
    """What comes with the features, and what happens to those that cannot come in."""

    profile: Annotated[
        str | None, typer.Option("--profile", metavar="FILE", help="Use this profile for every feature.")
    ] = None
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="FILE", help="Parquet or CSV of sample columns, by its column sample."),
    ] = None
    block: Annotated[
        int | None,
        typer.Option("--block", metavar="N", help="Most samples whose small features share a record; 64 if not told."),
    ] = None
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    on_error: OnError = "stop"
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there with other content.")] = False

    dry_run: DryRun = False

    def options(self) -> dict[str, Any]:
        """As the store takes them."""
        kept = {"table": self.table, "device": self.device, "on_error": self.on_error, "overwrite": self.overwrite}
        block = {} if self.block is None else {"block": self.block}
        return {**kept, **block, "profile": profile(self.profile)}


@flat
def ingest(
    source: SourcePath,
    store: StorePlace,
    taking: Taking,
    coding: Coding,
    entering: Entering,
    out: Output,
) -> None:
    """Take a source into a store.

    The store is made if there is none. What is there already is passed over, so the same command again goes on where it
    stopped. --dry-run prints the patterns that would be used.
    """
    options = {**taking.options(), **coding.options(), **entering.options()}
    samples = taking.source(source)
    if entering.dry_run:
        out.show(planned(samples, options), store_text.plan)
        return
    if entering.on_error == "stop":
        lamofc.plan(samples, **options)  # what cannot be taken in is refused before a store is made
    with entering.open(store, "a") as opened, out.bar("ingest") as bar:
        report = opened.ingest(samples, progress=watched(bar), **options)
    out.show(documented(report), store_text.report)
    for warning in report.warnings:
        out.note(f"warning: {warning}")


def planned(source: "Source", options: Mapping[str, Any]) -> dict[str, Any]:
    """What an ingest would do."""
    features = [feature.to_json() for feature in lamofc.plan(source, **options)]
    quality = options["quality"] or lamofc.usual_quality(options["codec"], options["profile"], options["codec_options"])
    return {
        "source": source.describe(),
        "codec": options["codec"],
        "quality": None if quality is None else str(quality),
        "features": features,
    }


def watched(bar: Bar) -> Any:
    """Tells a bar of an ingest's progress."""
    return lambda at: bar.tell(at.samples, at.total, f"{text.size(at.raw_bytes)} -> {text.size(at.stored_bytes)}")


def documented(report: "lamofc.Report") -> dict[str, Any]:
    """A report with the ratios that people ask for."""
    ratio = report.raw_bytes / report.stored_bytes if report.stored_bytes else None
    speed = report.raw_bytes / report.seconds / 1e9 if report.seconds else 0.0
    return {**report.to_json(), "ratio": ratio, "gb_per_second": speed}

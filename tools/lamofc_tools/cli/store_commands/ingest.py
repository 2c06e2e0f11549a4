"""`lamofc ingest`: encode a source into a store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import (
    AsPublished,
    Bar,
    CodingOptions,
    Device,
    DryRun,
    Findings,
    OnError,
    Output,
    ReplayOptions,
    SourceConsumerOptions,
    SourceOptions,
    SourcePath,
    StoreUrl,
    WriteOptions,
    flatten_options,
    load_profile,
    resolve_device,
)
from lamofc_tools.cli.render import store_text, text

if TYPE_CHECKING:
    from lamofc_store import Progress, Store
    from lamofc_store.sources import Source


@dataclass(frozen=True)
class IngestOptions(ReplayOptions, SourceConsumerOptions, WriteOptions):
    """The coding of the samples, the models that read them, and their commits."""

    profile: Annotated[
        str | None, typer.Option("--profile", metavar="FILE", help="Code every feature with the profile in this file.")
    ] = None
    table: Annotated[
        str | None,
        typer.Option(
            "--table", metavar="FILE", help="Add columns from this Parquet or CSV file, joined by its column sample."
        ),
    ] = None
    block: Annotated[
        int | None,
        typer.Option(
            "--block", metavar="N", help="Let small features of at most so many samples share a record. Default: 64."
        ),
    ] = None
    device: Device = "auto"
    on_error: OnError = "stop"
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace samples in the store whose content differs.")
    ] = False
    as_published: AsPublished = None
    dry_run: DryRun = False

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `Store.ingest`."""
        block = {} if self.block is None else {"block": self.block}
        return {
            "table": self.table,
            "device": resolve_device(self.device) if self.device != "auto" else "auto",
            "on_error": self.on_error,
            "overwrite": self.overwrite,
            "profile": load_profile(self.profile),
            "as_published": self.as_published,
            **block,
        }


@flatten_options
def ingest(
    source: SourcePath,
    store: StoreUrl,
    source_options: SourceOptions,
    coding_options: CodingOptions,
    ingesting: IngestOptions,
    out: Output,
) -> None:
    """Encode a source into a store.

    The store is created if there is none. Samples that it has are skipped, so the same command again continues where
    it stopped. --dry-run prints the patterns that would be used.
    """
    options = {**source_options.options(), **coding_options.options(), **ingesting.options()}
    samples = source_options.source(source)
    options = ingesting.applied(options, samples, source_options.whole_source(source), out)
    if ingesting.dry_run:
        out.show(describe_plan(samples, options), store_text.plan)
        return
    if ingesting.on_error == "stop":
        lamofc.plan(samples, **options)  # refuses features that cannot be coded before a store is created
    findings = Findings()
    with ingesting.open(store, "a") as opened, out.bar("ingest") as bar:
        report = opened.ingest(samples, progress=show_progress(bar), found=findings, **options)
        document = describe_report(report, opened)
    out.show(document, store_text.ingest)
    findings.tell(out.note)
    out.warn(report.warnings)


def describe_plan(source: "Source", options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what an ingest would do."""
    features = [feature.to_json() for feature in lamofc.plan(source, **options)]
    quality = options["quality"] or lamofc.usual_quality(options["codec"], options["profile"], options["codec_options"])
    return {
        "source": source.describe(),
        "codec": options["codec"],
        "quality": None if quality is None else str(quality),
        "features": features,
    }


def show_progress(bar: Bar) -> "Callable[[Progress], None]":
    """Make the function that updates a bar with an ingest's progress: samples, or percent of a fit."""

    def show(now: "Progress") -> None:
        if now.fit is not None:
            bar.update(round(100 * now.fit.share), 100, "%", f"fit {now.fit.name[:40]}")
        else:
            bar.update(now.samples, now.total, f"{text.size(now.raw_bytes)} -> {text.size(now.stored_bytes)}")

    return show


def describe_report(report: "lamofc.Report", store: "Store") -> dict[str, Any]:
    """Describe an ingest: its own records, and the size of the whole store."""
    ratio = report.raw_bytes / report.stored_bytes if report.stored_bytes else None
    speed = report.raw_bytes / report.seconds / 1e9 if report.seconds else 0.0
    return {**report.to_json(), "ratio": ratio, "gb_per_second": speed, "store": measure_store(store)}


def measure_store(store: "Store") -> dict[str, Any]:
    """Add up the bytes that a store's newest snapshot needs, and those of its features before coding."""
    snapshot = store.snapshot
    ((raw,),) = store.sql("SELECT CAST(coalesce(sum(raw_bytes), 0) AS BIGINT) FROM features").fetchall()
    ((profiles,),) = store.sql("SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM profiles").fetchall()
    records = sum(entry.bytes for entry in snapshot.segments.values())
    tables = {*snapshot.runs, *snapshot.tail}
    rows = sum(entry.bytes for table in tables for entry in snapshot.rows(table))
    total = records + profiles + rows
    return {
        "raw_bytes": raw,
        "record_bytes": records,
        "profile_bytes": profiles,
        "row_bytes": rows,
        "bytes": total,
        "ratio": raw / total if total else None,
    }

"""`lamofc extract`: run a model, and store its features."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    Bar,
    CodingOptions,
    Device,
    Groups,
    OnError,
    Output,
    WriteOptions,
    flatten_options,
    resolve_device,
)
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.models import ModelSource

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder that transformers wrote, or an id on a hub.")]
Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder of images, sounds or texts for the model.")]
Target = Annotated[str, typer.Argument(metavar="OUT", help="A store, or with --files a folder.")]


@dataclass(frozen=True)
class ExtractOptions:
    """The blocks whose output is extracted, and how the model runs."""

    block: Annotated[
        list[int] | None,
        typer.Option(
            "--block",
            metavar="N",
            help="Extract the output of block N, counted from 0; the last by default. Repeatable.",
        ),
    ] = None
    layer: Annotated[
        list[int] | None,
        typer.Option(
            "--layer",
            metavar="N",
            help="Extract the output of layer N, counted from 1: layer 10 is block 9. Repeatable.",
        ),
    ] = None
    caches: Annotated[
        bool,
        typer.Option(
            "--caches/--no-caches", help="Extract keys and values, or states, of all blocks of a text model as well."
        ),
    ] = True
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Run so many items at once; texts of equal length only.")
    ] = 8
    device: Device = "auto"
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Run in float32, bfloat16 or float16; by default in that of the weights."),
    ] = None
    steps: Annotated[
        int, typer.Option("--steps", metavar="N", min=1, help="Take so many denoising steps of Stable Diffusion 3.")
    ] = 28
    files: Annotated[
        str | None,
        typer.Option(
            "--files", metavar="FORMAT", help="Write files in this format of `lamofc export` instead of a store."
        ),
    ] = None
    group: Groups = None
    on_error: OnError = "stop"
    segment_mb: Annotated[
        float,
        typer.Option(
            "--segment-mb", metavar="MB", max=1e6, help="Commit after so many MiB are coded, or after a minute."
        ),
    ] = 256.0

    def extraction(self, model: str, data: str) -> "ModelSource":
        """Load the model and list the items."""
        from lamofc_tools.models import DiffusionSource, Extraction, find_inputs, is_pipeline, open_model, open_pipeline

        if is_pipeline(model):
            items = find_inputs(data, "texts")
            return DiffusionSource(
                items, model, open_pipeline(model, resolve_device(self.device), self.dtype), self.steps
            )
        opened = open_model(model, resolve_device(self.device), self.dtype)
        numbers = [*(self.block or ()), *(number - 1 for number in self.layer or ())] or [len(opened.blocks) - 1]
        blocks = tuple(sorted({opened.block(number) for number in numbers}))
        if len(blocks) > 1 and opened.kind.reads and self.caches:
            raise BadArgument(f"blocks {', '.join(map(str, blocks))} with caches", "one block, or --no-caches")
        items = find_inputs(data, opened.kind.takes)
        return Extraction(items, opened, blocks, self.caches and opened.kind.reads, self.batch)


@dataclass(frozen=True)
class StoreOptions(CodingOptions, WriteOptions):
    """How features are coded and stored."""


@flatten_options
def extract(
    model: Model, data: Data, target: Target, extracting: ExtractOptions, storing: StoreOptions, out: Output
) -> None:
    """Extract the outputs of some blocks of a frozen model.

    Items whose features exist are skipped, so the same command again continues where it stopped. Blocks behind the last
    requested one are not run.
    """
    started, extraction = time.monotonic(), extracting.extraction(model, data)
    with out.bar("extract") as bar:
        if extracting.files is not None:
            report = write_files(extraction, Path(target), extracting, bar)
        else:
            with storing.open(target, "a") as store:
                report = ingest_missing(extraction, store, extracting, storing, bar)
    seconds = time.monotonic() - started
    document = {"model": model, "out": target, "features": extraction.features, **report, "seconds": seconds}
    out.show(document, analysis.extraction)


def ingest_missing(
    extraction: "ModelSource", store: "Store", extracting: ExtractOptions, coding: CodingOptions, bar: Bar
) -> dict[str, Any]:
    """Extract and ingest the items that the store lacks."""
    from lamofc_tools.models import done_in, record

    record(store, extraction)
    options = coding.options()
    quality = options["quality"] or lamofc.usual_quality(options["codec"], None, options["codec_options"])
    missing = extraction.without(done_in(store, extraction.features, "" if quality is None else str(quality)))
    if not len(missing):
        return describe_counts(extraction, missing, lamofc.Report())
    report = store.ingest(
        missing,
        **options,
        groups=tuple(extracting.group or ()),
        device=extracting.device,
        on_error=extracting.on_error,
        segment_bytes=max(1, int(extracting.segment_mb * (1 << 20))),
        progress=lambda now: bar.update(now.samples, len(missing)),
    )
    return describe_counts(extraction, missing, report)


def describe_counts(extraction: "ModelSource", missing: "ModelSource", report: "lamofc.Report") -> dict[str, Any]:
    """Make the counts of the document."""
    return {
        "samples": report.samples,
        "already": len(extraction) - len(missing),
        "skipped": report.skipped,
        "raw_bytes": report.raw_bytes,
        "stored_bytes": report.stored_bytes,
    }


def write_files(extraction: "ModelSource", folder: Path, extracting: ExtractOptions, bar: Bar) -> dict[str, Any]:
    """Write the items that the folder lacks as complete files, with the marker and the index of an export."""
    from lamofc_store.exporting import claim, files_of, format_named, whole, write_index
    from lamofc_store.sources import Unreadable

    form, skip = format_named(str(extracting.files)), extracting.on_error != "stop"
    files = dict(files_of((one.id for one in extraction.items), form.suffix))
    claim(folder, {"format": extracting.files, "extract": extraction.told()})
    missing = extraction.without({sample for sample, file in files.items() if (folder / file).is_file()})
    report = lamofc.Report()
    for number, sample in enumerate(missing.attempts() if skip else missing, 1):
        if isinstance(sample, Unreadable):
            report.skipped += 1
            del files[sample.id]
            continue
        with whole(folder / files[sample.id]) as file:
            form.write(file, sample.features, sample.structure)
        report.samples += 1
        report.stored_bytes += (folder / files[sample.id]).stat().st_size
        report.raw_bytes += sum(tensor.nbytes for tensor in sample.features.values())
        bar.update(number, len(missing))
    write_index(folder, files, {one.id: extraction.attributes(one) for one in extraction.items})
    return describe_counts(extraction, missing, report)

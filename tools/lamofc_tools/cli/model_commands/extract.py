"""`lamofc extract`: features of a model, straight into a store or into files."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import Bar, Coding, Groups, OnError, Output, Writing, device_of, flat
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.models import ModelSource

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder that transformers wrote, or an id on a hub.")]
Shown = Annotated[str, typer.Argument(metavar="DATA", help="A folder of images, sounds or texts, as the model takes.")]
Out = Annotated[str, typer.Argument(metavar="OUT", help="A store, or with --files a folder.")]


@dataclass(frozen=True)
class Splitting:
    """Where features are taken, and how the model runs."""

    block: Annotated[
        list[int] | None, typer.Option("--block", metavar="N", help="After this block, from zero. Repeatable.")
    ] = None
    layer: Annotated[
        list[int] | None, typer.Option("--layer", metavar="N", help="The same, from one: layer 10 is block 9.")
    ] = None
    caches: Annotated[
        bool, typer.Option("--caches/--no-caches", help="Of texts also keys and values, or states, of all blocks.")
    ] = True
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Items at once, of texts those alike.")] = 8
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32, bfloat16, float16; else that of the weights.")
    ] = None
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Of denoising, for Stable Diffusion 3.")] = (
        28
    )
    files: Annotated[
        str | None, typer.Option("--files", metavar="FORMAT", help="Write files, as export does, and no store.")
    ] = None
    group: Groups = None
    on_error: OnError = "stop"
    segment_mb: Annotated[
        float,
        typer.Option(
            "--segment-mb", metavar="MB", max=1e6, help="Commit whenever so much is coded, or a minute passed."
        ),
    ] = 256.0

    def extraction(self, model: str, data: str) -> "ModelSource":
        """The model, loaded, and all items."""
        from lamofc_tools.models import DiffusionSource, Extraction, find_inputs, is_pipeline, open_model, open_pipeline

        if is_pipeline(model):
            items = find_inputs(data, "texts")
            return DiffusionSource(items, model, open_pipeline(model, device_of(self.device), self.dtype), self.steps)
        opened = open_model(model, device_of(self.device), self.dtype)
        asked = [*(self.block or ()), *(number - 1 for number in self.layer or ())] or [len(opened.blocks) - 1]
        blocks = tuple(sorted({opened.block(number) for number in asked}))
        if len(blocks) > 1 and opened.kind.reads and self.caches:
            raise BadArgument(f"blocks {', '.join(map(str, blocks))} with caches", "one block, or --no-caches")
        items = find_inputs(data, opened.kind.takes)
        return Extraction(items, opened, blocks, self.caches and opened.kind.reads, self.batch)


@dataclass(frozen=True)
class Keeping(Coding, Writing):
    """How features are kept."""


@flat
def extract(model: Model, data: Shown, target: Out, splitting: Splitting, keeping: Keeping, out: Output) -> None:
    """Keep what stands after some blocks of a frozen model.

    What is there already is passed over, so the same command again goes on where it stopped; blocks behind the last one
    that is asked for are not run.
    """
    started, extraction = time.monotonic(), splitting.extraction(model, data)
    with out.bar("extract") as bar:
        if splitting.files is not None:
            found = filed(extraction, Path(target), splitting, bar)
        else:
            with keeping.open(target, "a") as store:
                found = stored(extraction, store, splitting, keeping, bar)
    seconds = time.monotonic() - started
    document = {"model": model, "out": target, "features": extraction.features, **found, "seconds": seconds}
    out.show(document, analysis.extracted)


def stored(extraction: "ModelSource", store: "Store", splitting: Splitting, coding: Coding, bar: Bar) -> dict[str, Any]:
    """Take what is missing into a store."""
    from lamofc_tools.models import done_in, record

    record(store, extraction)
    options = {**coding.options(), "on_error": splitting.on_error}
    quality = options["quality"] or lamofc.usual_quality(options["codec"], None, options["codec_options"])
    missing = extraction.without(done_in(store, extraction.features, "" if quality is None else str(quality)))
    if not len(missing):
        return counts(extraction, missing, lamofc.Report())
    report = store.ingest(
        missing,
        **options,
        groups=tuple(splitting.group or ()),
        device=splitting.device,
        segment_bytes=max(1, int(splitting.segment_mb * (1 << 20))),
        progress=lambda at: bar.tell(at.samples, len(missing)),
    )
    return counts(extraction, missing, report)


def counts(extraction: "ModelSource", missing: "ModelSource", report: "lamofc.Report") -> dict[str, Any]:
    """What the command tells."""
    return {
        "samples": report.samples,
        "already": len(extraction) - len(missing),
        "skipped": report.skipped,
        "raw_bytes": report.raw_bytes,
        "stored_bytes": report.stored_bytes,
    }


def filed(extraction: "ModelSource", folder: Path, splitting: Splitting, bar: Bar) -> dict[str, Any]:
    """Write what is missing into files, each whole or not there, with a marker and an index as exports have them."""
    from lamofc_store.exporting import atomic_file, claim, export_files, format_named, write_index
    from lamofc_store.sources import UnreadableSample

    form, skip = format_named(str(splitting.files)), splitting.on_error != "stop"
    files = dict(export_files((one.id for one in extraction.items), form.suffix))
    claim(folder, {"format": splitting.files, "extract": extraction.told()})
    missing = extraction.without({sample for sample, file in files.items() if (folder / file).is_file()})
    report = lamofc.Report()
    for number, sample in enumerate(missing.attempts() if skip else missing, 1):
        if isinstance(sample, UnreadableSample):
            report.skipped += 1
            del files[sample.id]
            continue
        with atomic_file(folder / files[sample.id]) as file:
            form.write(file, sample.features, sample.structure)
        report.samples += 1
        report.stored_bytes += (folder / files[sample.id]).stat().st_size
        report.raw_bytes += sum(tensor.nbytes for tensor in sample.features.values())
        bar.tell(number, len(missing))
    write_index(folder, files, {one.id: extraction.attributes(one) for one in extraction.items})
    return counts(extraction, missing, report)

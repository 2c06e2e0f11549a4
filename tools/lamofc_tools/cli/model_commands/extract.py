"""`lamofc extract`: run a model, and store its features."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import (
    CodingOptions,
    Device,
    Findings,
    Groups,
    OnError,
    Output,
    SamplesFrom,
    WriteOptions,
    flatten_options,
    resolve_device,
)
from lamofc_tools.cli.model_commands.extract_for_model import ExtractConsumerOptions
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
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
    ] = 32
    script: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="SCRIPT",
            help="Cut images, name samples and choose blocks as this evaluation script of LaMoFCBench does: dinov3cls, "
            "dinov3dep or dinov3seg.",
        ),
    ] = None
    samples_from: SamplesFrom = None
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

    def source(self, model: str, location: str) -> "ModelSource":
        """Load the model and find its inputs."""
        from lamofc_tools.models import SourceOptions, open_source

        options = SourceOptions(
            blocks=[*(self.block or ()), *(number - 1 for number in self.layer or ())],
            caches=self.caches,
            batch=self.batch,
            steps=self.steps,
            device=resolve_device(self.device),
            dtype=self.dtype,
            script=self.script,
            samples_from=self.samples_from,
        )
        return open_source(model, location, options)

    @property
    def skip(self) -> bool:
        """Whether an input that the model cannot take is left out."""
        return self.on_error != "stop"

    def ingest_options(self) -> dict[str, Any]:
        """Return the options of `Store.ingest` that are declared here."""
        return {
            "groups": tuple(self.group or ()),
            "device": self.device,
            "on_error": self.on_error,
            "segment_bytes": max(1, int(self.segment_mb * (1 << 20))),
        }


@dataclass(frozen=True)
class StoreOptions(ExtractConsumerOptions, CodingOptions, WriteOptions):
    """The coding and the storage of the features, and the models that read them."""


@flatten_options
def extract(
    model: Model,
    data: Data,
    target: Target,
    extracting: ExtractOptions,
    storing: StoreOptions,
    out: Output,
) -> None:
    """Extract the outputs of some blocks of a frozen model.

    Items whose features exist are skipped, so the same command again continues where it stopped. Blocks behind the last
    requested one are not run. Features of a language model are coded for the rest of the model unless a codec, a
    quality, a group or --plain says otherwise.
    """
    from lamofc_tools.models import extract_to_files, extract_to_store

    started = time.monotonic()
    source, findings = extracting.source(model, data), Findings()
    with out.bar("extract") as bar:
        if extracting.files is not None:
            report = extract_to_files(source, Path(target), extracting.files, skip=extracting.skip, progress=bar.update)
        else:
            with storing.open(target, "a") as store:
                options = storing.applied(storing.options() | extracting.ingest_options(), source, store, out)
                report = extract_to_store(source, store, progress=bar.update, found=findings, **options)
    document = {"model": model, "out": target, "features": source.features, **asdict(report)}
    out.show({**document, "seconds": time.monotonic() - started}, analysis.extraction)
    findings.tell(out.note)
    out.warn(report.warnings)

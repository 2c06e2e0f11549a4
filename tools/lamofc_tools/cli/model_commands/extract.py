"""`lamofc extract`: features of a model, straight into a store or into files."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import Coding, Groups, OnError, Output, Writing, device_of, flat
from lamofc_tools.cli.render import analysis

if TYPE_CHECKING:
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

    def source(self, model: str, location: str) -> "ModelSource":
        """Load the model and find its inputs."""
        from lamofc_tools.models import SourceOptions, open_source

        options = SourceOptions(
            blocks=[*(self.block or ()), *(number - 1 for number in self.layer or ())],
            caches=self.caches,
            batch=self.batch,
            steps=self.steps,
            device=device_of(self.device),
            dtype=self.dtype,
        )
        return open_source(model, location, options)

    def ingest_options(self) -> dict[str, Any]:
        """Return the options of `Store.ingest` that are declared here."""
        return {
            "groups": tuple(self.group or ()),
            "device": self.device,
            "on_error": self.on_error,
            "segment_bytes": max(1, int(self.segment_mb * (1 << 20))),
        }


@dataclass(frozen=True)
class Keeping(Coding, Writing):
    """How features are kept."""


@flat
def extract(model: Model, data: Shown, target: Out, splitting: Splitting, keeping: Keeping, out: Output) -> None:
    """Keep what stands after some blocks of a frozen model.

    What is there already is passed over, so the same command again goes on where it stopped; blocks behind the last one
    that is asked for are not run.
    """
    from lamofc_tools.models import extract_to_files, extract_to_store

    started = time.monotonic()
    source = splitting.source(model, data)
    with out.bar("extract") as bar:
        if splitting.files is not None:
            skip = splitting.on_error != "stop"
            report = extract_to_files(source, Path(target), splitting.files, skip=skip, progress=bar.tell)
        else:
            options = keeping.options() | splitting.ingest_options()
            with keeping.open(target, "a") as store:
                report = extract_to_store(source, store, progress=bar.tell, **options)
    document = {"model": model, "out": target, "features": source.features, **asdict(report)}
    out.show({**document, "seconds": time.monotonic() - started}, analysis.extracted)

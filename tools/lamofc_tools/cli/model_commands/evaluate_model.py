"""`lamofc eval model`: what the rest of a model loses by the features that stores give back."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
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
from lamofc_tools.cli.render import rest_of_model

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.evaluation import ModelPoint, RestOfModel

Stores = Annotated[
    list[str],
    typer.Argument(metavar="STORE...", help="Stores with features of the model, as `lamofc extract` takes them."),
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder that transformers or diffusers wrote, or an id on a hub.")
]


@dataclass(frozen=True)
class ModelOptions:
    """The split of a model, the inputs that it reads, and where the evaluation is recorded."""

    block: Annotated[
        int | None,
        typer.Option(
            "--block", metavar="N", help="Put features back after block N, counted from 0; not of a pipeline."
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="Take inputs from this file or folder; by default from where they were extracted.",
        ),
    ] = None
    where: Where = None
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", metavar="N", min=1, help="Put back the features of a text's first N tokens only."),
    ] = None
    continued: Annotated[
        int | None,
        typer.Option(
            "--continued",
            metavar="N",
            min=2,
            help="Read at most N tokens after a prefix, 48 by default, or of a transcript.",
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            metavar="N",
            min=1,
            help="Take so many denoising steps of Stable Diffusion 3; by default those of its extraction.",
        ),
    ] = None
    judge: Annotated[
        str | None,
        typer.Option("--judge", metavar="MODEL", help="Compare pictures by the features of this vision model as well."),
    ] = None
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Run so many inputs of equal length at once.")
    ] = 4
    device: Device = "auto"
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Run in float32, bfloat16 or float16; by default in that of the weights."),
    ] = None
    run_in: RunStore = None
    png: Annotated[
        str | None, typer.Option("--png", metavar="FILE", callback=file_to_write, help="Draw losses against bits.")
    ] = None

    def rest(self, model: str, store: "Store") -> "RestOfModel":
        """Load the model, split it, and find the inputs whose features the store has."""
        from lamofc_tools.evaluation import RestOptions, open_rest

        options = RestOptions(
            block=self.block,
            data=self.data,
            where=self.where,
            tokens=self.tokens,
            continued=self.continued,
            steps=self.steps,
            judge=self.judge,
            batch=self.batch,
            device=resolve_device(self.device),
            dtype=self.dtype,
        )
        return open_rest(model, store, options)


@flatten_options
def evaluate_model(
    stores: Stores,
    model: Model,
    evaluating: ModelOptions,
    rates: RateOptions,
    read_options: ReadOptions,
    out: Output,
) -> None:
    """Evaluate the rest of a model on stores, at several rates on read.

    Decoded features are put back after a block, and the answers of all that is behind it are compared with those of the
    unbroken model: the next tokens of texts, classes of images, transcripts of sounds, or final states. For Stable
    Diffusion 3 these are pictures, by decoded prompts and by decoded latents.
    """
    from lamofc_tools.evaluation import evaluate_model_at_rates

    with ExitStack() as stack, out.bar("eval") as bar:
        opened = {name: stack.enter_context(read_options.open(name)) for name in stores}
        run_in = evaluating.run_in and stack.enter_context(lamofc.open(evaluating.run_in, "r+"))
        rest = evaluating.rest(model, next(iter(opened.values())))
        points = evaluate_model_at_rates(rest, opened, rates.qualities(), bar.update, run_in or None)
    rates.note_repeated([(point.store, point.rate) for point in points], out)
    draw(points, rest, evaluating.png)
    document = {"model": model, "block": evaluating.block, **report(rest, points)}
    out.show(document, rest_of_model.evaluation)


def report(rest: "RestOfModel", points: "Sequence[ModelPoint]") -> dict[str, Any]:
    """Return the document of an evaluation, with the figures of the model's kind and how they are shown."""
    inputs = {"samples": len(rest.samples), **rest.settings, **asdict(rest.figure_set)}
    return {**inputs, "points": [point.to_json() for point in points]}


def draw(points: "Sequence[ModelPoint]", rest: "RestOfModel", file: str | None) -> None:
    """Draw losses against bits, if a file is named."""
    from lamofc_tools.evaluation import curves
    from lamofc_tools.plots import draw_losses

    if file is not None:
        draw_losses(curves(points, rest.figure_set), Path(file))

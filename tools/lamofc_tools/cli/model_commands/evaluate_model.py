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
    flatten_options,
    resolve_device,
)
from lamofc_tools.cli.render import rest_of_model

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.evaluation import LanguageModel, ModelPoint

Stores = Annotated[
    list[str],
    typer.Argument(metavar="STORE...", help="Stores with features of the model, as `lamofc extract` takes them."),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder that transformers wrote, or an id on a hub.")]


@dataclass(frozen=True)
class ModelOptions:
    """The split of a model, the texts that it reads, and where the evaluation is recorded."""

    block: Annotated[int, typer.Option("--block", metavar="N", help="Put features back after block N, counted from 0.")]
    texts: Annotated[
        str | None,
        typer.Option(
            "--texts",
            metavar="FILE",
            help="Take texts from this file or folder; by default from where they were extracted.",
        ),
    ] = None
    where: Where = None
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", metavar="N", min=1, help="Put back the features of the first N tokens only."),
    ] = None
    continued: Annotated[
        int, typer.Option("--continued", metavar="N", min=2, help="Read at most N tokens after the prefix.")
    ] = 48
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, help="Run so many texts of equal length at once.")
    ] = 4
    device: Device = "auto"
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Run in float32, bfloat16 or float16; by default in that of the weights."),
    ] = None
    run_in: RunStore = None
    png: Annotated[str | None, typer.Option("--png", metavar="FILE", help="Draw divergence against bits.")] = None

    def rest(self, model: str, store: "Store") -> "LanguageModel":
        """Load the model, split it, and find the texts whose features the store has."""
        from lamofc_tools.consumer import split_decoder
        from lamofc_tools.evaluation import LanguageModel, TextOptions
        from lamofc_tools.models import open_model

        split = split_decoder(open_model(model, resolve_device(self.device), self.dtype), self.block)
        options = TextOptions(self.tokens, self.continued)
        return LanguageModel.of(split, store, options, location=self.texts, where=self.where, batch=self.batch)


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

    Decoded features are put back after a block, and the answers of the blocks behind it are compared with those of the
    unbroken model: at the tokens whose features are stored, the prefix, and at tokens that continue them and read the
    decoded caches.
    """
    from lamofc_tools.evaluation import evaluate_model_at_rates

    with ExitStack() as stack, out.bar("eval") as bar:
        opened = {name: stack.enter_context(read_options.open(name)) for name in stores}
        run_in = evaluating.run_in and stack.enter_context(lamofc.open(evaluating.run_in, "r+"))
        rest = evaluating.rest(model, next(iter(opened.values())))
        points = evaluate_model_at_rates(rest, opened, rates.qualities(), bar.update, run_in or None)
    draw(points, evaluating.png)
    out.show(report(model, rest, points), rest_of_model.evaluation)


def report(model: str, rest: "LanguageModel", points: "Sequence[ModelPoint]") -> dict[str, Any]:
    """Return the document of an evaluation."""
    texts = {"samples": len(rest.samples), **asdict(rest.options), "generated": len(rest.generated)}
    return {"model": model, "block": rest.split.block, **texts, "points": [point.to_json() for point in points]}


def draw(points: "Sequence[ModelPoint]", file: str | None) -> None:
    """Draw divergence against bits, if a file is named."""
    from lamofc_tools.evaluation import curves
    from lamofc_tools.plots import draw_divergences

    if file is not None:
        draw_divergences(curves(points), Path(file))

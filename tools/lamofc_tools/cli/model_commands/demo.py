"""`lamofc demo`: the whole tour on embedded data."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import Output, flat

if TYPE_CHECKING:
    from lamofc_tools.demo import Step

Keep = Annotated[str | None, typer.Option("--keep", metavar="DIR", help="Leave the stores in this folder.")]
Full = Annotated[
    str | None,
    typer.Option("--full", metavar="PNG", help="Draw there what a bit buys by klt, uniform, hyperprior; minutes more."),
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, metavar="N", help="Passes over the digits in training.")]


@flat
def demo(out: Output, keep: Keep = None, epochs: Epochs = 20, full: Full = None) -> None:
    """Take the whole tour, in under two minutes.

    A small model is trained on handwritten digits, its features go into stores of several codecs, and a linear head
    trained from each store is set beside one trained on the original features. Then heads for three tasks are
    judged at several rates on read: which digit, whose ink, how far from ink.
    """
    from lamofc_tools.demo import Picture, Settings, tour

    settings = Settings(epochs=epochs, picture=None if full is None else Picture(Path(full)))
    with folder(keep) as place, out.bar("train") as bar:
        steps = tour(place, settings, bar.tell)
        if out.json:
            out.show({step.name: {**step.document, "seconds": step.seconds} for step in steps}, str)
        else:
            told(steps, keep)


def told(steps: "Iterable[Step]", keep: str | None) -> None:
    """Print each step when it is done, then what to type next."""
    from rich.console import Console

    from lamofc_tools.demo import next_steps, show

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    stores: list[Any] = []
    for step in steps:
        show(console, step)
        if step.name == "accuracy":
            stores = [row["store"] for row in step.document["rows"]]
    console.rule("[bold]Try next", align="left")
    console.print(next_steps(keep, stores), markup=False)


@contextmanager
def folder(keep: str | None) -> Iterator[Path]:
    """Where the stores lie: the folder named, or one that is gone afterwards."""
    if keep is not None:
        yield Path(keep)
        return
    with TemporaryDirectory(prefix="lamofc-demo-") as place:
        yield Path(place)

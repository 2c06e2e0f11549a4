"""`lamofc demo`: the tour on embedded data."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from lamofc_tools.cli.console import Output, flatten_options

if TYPE_CHECKING:
    from lamofc_tools.demo import Step

Keep = Annotated[str | None, typer.Option("--keep", metavar="DIR", help="Keep the stores in this folder.")]
Full = Annotated[
    str | None,
    typer.Option(
        "--full",
        metavar="PNG",
        help="Compare klt, uniform and hyperprior as well, and draw accuracy against bits; takes minutes more.",
    ),
]
Epochs = Annotated[
    int, typer.Option("--epochs", min=1, metavar="N", help="Train the model for so many passes over the digits.")
]


@flatten_options
def demo(out: Output, keep: Keep = None, epochs: Epochs = 20, full: Full = None) -> None:
    """Take the tour, in under two minutes.

    A small model is trained on handwritten digits, its features are stored with several codecs, and a linear head
    trained on the features of each store is compared with one trained on the original features. Then heads of three
    tasks are evaluated at several rates on read: which digit it is, which digit each pixel of ink belongs to, and how
    far each pixel is from ink.
    """
    from lamofc_tools.demo import Picture, Settings, tour

    settings = Settings(epochs=epochs, picture=None if full is None else Picture(Path(full)))
    with demo_folder(keep) as folder, out.bar("train") as bar:
        steps = tour(folder, settings, bar.update)
        if out.json:
            out.show({step.name: {**step.document, "seconds": step.seconds} for step in steps}, str)
        else:
            print_steps(steps, keep)


def print_steps(steps: "Iterable[Step]", keep: str | None) -> None:
    """Print each step when it is done, then commands to type next."""
    from rich.console import Console

    from lamofc_tools.demo import next_commands, show

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    stores: list[str] = []
    for step in steps:
        show(console, step)
        if step.name == "accuracy":
            stores = [row["store"] for row in step.document["rows"]]
    console.rule("[bold]Try next", align="left")
    console.print(next_commands(keep, stores), markup=False)


@contextmanager
def demo_folder(keep: str | None) -> Iterator[Path]:
    """Yield the folder for the stores: the one named, or a temporary one."""
    if keep is not None:
        yield Path(keep)
        return
    with TemporaryDirectory(prefix="lamofc-demo-") as folder:
        yield Path(folder)

"""Pages of the tour for a terminal of 80 columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from lamofc_tools.demo.stages import Step

Document = Mapping[str, Any]


def show(console: Console, step: Step) -> None:
    """Print one step."""
    _PAGES[step.name](console, step.document, step.seconds)
    console.print()


def _model(console: Console, document: Document, seconds: float) -> None:
    console.rule("[bold]1  A small model", align="left")
    console.print(
        f"A vision transformer of {document['parameters']:,} parameters, trained on {document['training']}\n"
        f"handwritten digits in {seconds:.0f} s. It classifies\n"
        f"{document['accuracy']:.1%} of {document['held_out']} held-out digits correctly."
    )


def _rates(console: Console, document: Document, seconds: float) -> None:
    rows = document["rows"]
    stores = len({row["store"] for row in rows})
    console.rule("[bold]2  Its features, in stores", align="left")
    console.print(
        f"Tokens after two of its blocks, in {stores} stores with different codecs and qualities\n"
        f"({seconds:.0f} s to fit, encode, commit, decode and train heads). The catalog in SQL:\n"
    )
    console.print(f"[dim]{document['query'].replace(' FROM', chr(10) + 'FROM')}")
    table = _table("store", "feature", "bits/element", "snr dB", "mse", "worst error", "records")
    for row in rows:
        table.add_row(
            row["store"],
            row["feature"],
            f"{row['bpfp']:.2f}",
            "exact" if row["mse"] == 0 else f"{row['snr_db']:.1f}",
            f"{row['mse']:.2g}",
            f"{row['max_error']:.2g}",
            _kilobytes(row["stored_bytes"]),
            end_section=row is rows[-1] or row["store"] != rows[rows.index(row) + 1]["store"],
        )
    console.print(table)


def _accuracy(console: Console, document: Document, seconds: float) -> None:
    console.rule("[bold]3  The accuracy that they keep", align="left")
    console.print(
        "A linear head on each feature, trained on features decoded from the store,\n"
        f"against one on the original features. Accuracy is that on {document['held_out']} held-out\n"
        "digits, which no profile has seen. Sizes are those of whole stores, with rows\n"
        "and profiles.\n"
    )
    features = [name for name in document["rows"][0] if name.startswith("block.")]
    table = _table("features from", "on disk", "of float32", "of float16", *features)
    for row in document["rows"]:
        table.add_row(
            "memory, float32" if row is document["rows"][0] else row["store"],
            _kilobytes(row["bytes"]),
            f"{row['of_float32']:.1%}",
            f"{row['of_float16']:.1%}",
            *(f"{row[name]:.1%}" for name in features),
        )
    console.print(table)


def _tasks(console: Console, document: Document, seconds: float) -> None:
    console.rule("[bold]4  Three tasks, at any rate", align="left")
    console.print(
        "The class of the digit, the class of each pixel (DPT, 11 segments), its distance\n"
        f"to ink (DPT). Heads are trained on original features ({seconds:.0f} s) and evaluated on\n"
        f"{document['held_out']} held-out digits. All four blocks are coded together at 20 dB; this one copy\n"
        "is then read at lower rates.\n"
    )
    table = _table("features", "bits/element", "linear", "nearest", "ink mIoU", "distance RMSE")
    for row in document["rows"]:
        table.add_row(
            row["read"],
            f"{row['bpfp']:.2f}",
            f"{row['linear']:.1%}",
            f"{row['nearest']:.1%}",
            f"{row['ink_miou']:.3f}",
            f"{row['distance_rmse']:.3f}",
        )
    console.print(table)


def _picture(console: Console, document: Document, seconds: float) -> None:
    console.rule("[bold]5  Accuracy against bits, by codec", align="left")
    training = f"{document['steps']} steps each, far from their best" if document["steps"] else "left out"
    console.print(
        "Linear heads trained on the original patches of block.4, evaluated on features\n"
        f"decoded by each codec ({seconds:.0f} s). Networks of hyperprior: {training}.\n"
        f"Bits are those of records, without profiles. The plot is in {document['png']}\n"
    )
    table = _table("codec", "setting", "bits/element", "accuracy", "ink mIoU")
    for row in document["rows"]:
        figures = f"{row['bpfp']:.3f}", f"{row['accuracy']:.1%}", f"{row['miou']:.3f}"
        table.add_row(row["curve"], row["setting"], *figures)
    console.print(table)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column == "feature" else "right")
    return table


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.0f} kB"


def next_commands(folder: str | None, stores: Sequence[str]) -> str:
    """List three commands to type next."""
    store = f"{folder or 'digits'}/{stores[-1]}"
    first = f"lamofc info {store}" if folder else "lamofc demo --keep digits    # the same, and keep the stores"
    return "\n".join(
        (
            first,
            f"lamofc get {store} digit_0000 -o digit.npz",
            f'lamofc sql {store} "FROM samples WHERE label = 7"',
        )
    )


_Page = Callable[[Console, Document, float], None]
_PAGES: dict[str, _Page] = {
    "model": _model,
    "rates": _rates,
    "accuracy": _accuracy,
    "tasks": _tasks,
    "picture": _picture,
}

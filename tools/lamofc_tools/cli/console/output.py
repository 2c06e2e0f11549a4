"""Output of every command: results on stdout, as text or as one JSON document; everything else on stderr."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from typing import Annotated, Any, TextIO, TypeVar

import typer

from lamofc_tools.cli.console.errors import CliError
from lamofc_tools.cli.console.progress import Bar

Document = TypeVar("Document")
_PANEL = "Output"
_ROWS_FOR_WIDTHS = 1000
"""Rows that determine the widths of a table's columns."""
_COLUMN_GAP = "  "


@dataclass(frozen=True)
class Output:
    """The output options of every command."""

    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON document on stdout, everything else on stderr.", rich_help_panel=_PANEL
        ),
    ] = False
    progress: Annotated[
        bool, typer.Option("--progress/--no-progress", help="Show progress bars on a terminal.", rich_help_panel=_PANEL)
    ] = True
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=_PANEL)] = (
        False
    )

    def show(self, document: Document, text: Callable[[Document], str]) -> None:
        """Print a document: as JSON under --json, otherwise as `text` formats it."""
        _write(sys.stdout, json_text(document) if self.json else text(document))

    def rows(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print rows while they are read: a JSON array of objects, or a table."""
        stream = json_rows(columns, rows) if self.json else table(columns, rows, bold=has_colour(sys.stdout))
        for line in stream:
            _write(sys.stdout, line)

    def note(self, line: str) -> None:
        """Print a line on stderr."""
        _write(sys.stderr, line)

    def warn(self, warnings: Sequence[str]) -> None:
        """Print warnings on stderr, a line each."""
        for warning in warnings:
            self.note(f"warning: {warning}")

    def bar(self, title: str) -> Bar:
        """Create a progress bar, which appears when stderr is a terminal and the work takes over a second."""
        return Bar(title, enabled=self.progress and sys.stderr.isatty())


def print_error(error: CliError, *, as_json: bool = False) -> None:
    """Print the two lines on stderr, and under --json a document on stdout as well."""
    if as_json:
        _write(sys.stdout, json_text(error.to_json()))
    first, second = error.lines()
    if has_colour(sys.stderr):
        first = f"\x1b[31merror:\x1b[0m{first.removeprefix('error:')}"
    _write(sys.stderr, f"{first}\n{second}")


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream takes colour: a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")


def json_text(document: object) -> str:
    """Format a document as JSON; non-finite numbers become null, times ISO 8601, bytes hexadecimal."""
    return json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)


def json_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Format rows as lines of a JSON array, one object a row, without holding the rows."""
    separator = "["
    for row in rows:
        document = _plain(dict(zip(columns, row, strict=True)))
        yield separator + json.dumps(document, ensure_ascii=False, allow_nan=False)
        separator = ","
    yield "[]" if separator == "[" else "]"


def _plain(value: object) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):  # DuckDB returns sums of integers as decimals without a fraction
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, bold: bool = False) -> Iterator[str]:
    """Format rows as lines of a table whose widths fit the first thousand rows; numbers are aligned to the right."""
    stream = iter(rows)
    first = [tuple(row) for row in islice(stream, _ROWS_FOR_WIDTHS)]
    texts = [[cell(value) for value in row] for row in first]
    widths = [max([len(name), *(len(row[place]) for row in texts)]) for place, name in enumerate(columns)]
    right = [_is_numeric(first, place) for place in range(len(columns))]
    heading = _aligned(columns, widths, right)
    yield f"\x1b[1m{heading}\x1b[0m" if bold else heading
    for row in chain(texts, ([cell(value) for value in row] for row in stream)):
        yield _aligned(row, widths, right)


def cell(value: object) -> str:
    """Format a value of a table; control characters are escaped."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(_plain(value), ensure_ascii=False)
    text = value.isoformat(sep=" ", timespec="seconds") if hasattr(value, "timestamp") else str(value)  # type: ignore[attr-defined]
    return text if text.isprintable() else repr(text)[1:-1]


def _is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    values = [row[column] for row in rows if row[column] is not None]
    return bool(values) and all(
        isinstance(value, int | float | Decimal | Amount) and not isinstance(value, bool) for value in values
    )


class Amount(str):
    """A number formatted for people, such as `1.2 MB`: text that is aligned to the right in a table."""

    __slots__ = ()


def _aligned(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        text.rjust(width) if is_right else text.ljust(width)
        for text, width, is_right in zip(row, widths, right, strict=True)
    ]
    return _COLUMN_GAP.join(cells).rstrip()

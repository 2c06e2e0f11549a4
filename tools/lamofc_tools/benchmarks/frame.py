"""The frame of every benchmark: its arguments, a table on stdout, and one JSON document as the last line.

A benchmark adds arguments to a parser and measures; `Benchmark` does everything else. The document holds what the
benchmark returns beside the conditions: machine, versions, commit, arguments, seed and units.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.cli.console import error_of, print_error, require_folder
from lamofc_tools.machine import commit, machine, versions
from lamofc_tools.plots import pyplot

_ALIGNMENT = re.compile(r"[<>]\d+")


@dataclass(frozen=True)
class Column:
    """One column of a printed table."""

    key: str
    """Key of the rows."""
    heading: str
    form: str = ">10.4g"
    """Format specification with a width; a value that is absent or not of that kind is printed as text."""

    def cell(self, row: Mapping[str, Any]) -> str:
        """Format the value of one row."""
        value = row.get(self.key)
        if value is not None:
            with suppress(ValueError):
                return format(value, self.form)
        return format("-" if value is None else str(value), _ALIGNMENT.match(self.form)[0])  # type: ignore[index]


class Report:
    """Output of a running benchmark: lines and tables on stdout, progress on stderr, files for the document."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files = list(files)
        self._columns: Sequence[Column] = ()

    def line(self, text: str = "") -> None:
        """Print a line."""
        print(text, flush=True)

    def table(self, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Print the heading of a table and its rows; `row` adds more while they are measured."""
        self._columns = columns
        self.line(" ".join(column.cell({column.key: column.heading}) for column in columns))
        for row in rows:
            self.row(row)

    def row(self, row: Mapping[str, Any]) -> None:
        """Print one row of the last table."""
        self.line(" ".join(column.cell(row) for column in self._columns).rstrip())

    def progress(self, text: str) -> None:
        """Print a line on stderr."""
        print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark by name, with all that the frame needs to run it."""

    name: str
    description: str
    """Text of `--help`: a sentence, then paragraphs."""
    run: Callable[[argparse.Namespace, Report], Mapping[str, Any]]
    """Measures and prints; returns the figures of the document."""
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    units: Mapping[str, str] = field(default_factory=dict)
    """Units of the document's keys."""
    seed: int = 0
    """Seed of all random data, unless an argument `--seed` gives another."""

    def main(self, arguments: Sequence[str] | None = None) -> int:
        """Run the benchmark with the arguments of the command line, and return the exit code."""
        namespace = self.parser().parse_args(arguments)
        report = Report([namespace.output] if namespace.output else [])
        report.line(machine())
        try:
            if getattr(namespace, "png", None) is not None:
                require_folder(namespace.png)
                pyplot()
            if namespace.output is not None and namespace.output.is_dir():
                raise BadArgument(f"{namespace.output} is a folder", Hint("name a file in it as [output]"))
            figures = self.run(namespace, report)
            document = {**self._conditions(namespace), **figures}
            report.line(json.dumps(document))
            for file in report.files:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(document, indent=1) + "\n")
        except (Exception, KeyboardInterrupt) as error:
            if namespace.debug:
                raise
            cli_error = error_of(error)
            print_error(cli_error)
            return cli_error.code
        return 0

    def parser(self) -> argparse.ArgumentParser:
        """Build the parser: the benchmark's own arguments, `--output` and `--debug`."""
        parser = argparse.ArgumentParser(
            prog=f"tools/bench {self.name}", description=self.description, formatter_class=_HelpFormatter
        )
        self.add_arguments(parser)
        parser.add_argument("--output", type=Path, metavar="FILE", help="write the JSON document to a file as well")
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        return parser

    def _conditions(self, namespace: argparse.Namespace) -> dict[str, Any]:
        return {
            "bench": self.name,
            "machine": machine(),
            "versions": versions(),
            "commit": commit(),
            "arguments": {
                key: _plain(value) for key, value in vars(namespace).items() if key not in ("output", "debug")
            },
            "seed": getattr(namespace, "seed", self.seed),
            "units": dict(self.units),
        }


def numbers(text: str) -> list[float]:
    """Parse an argument such as `5,10,20`."""
    return [float(part) for part in text.split(",")]


def whole_number(text: str) -> int:
    """Parse an argument that counts something: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def names(text: str) -> list[str]:
    """Parse an argument such as `pictures,dpt`."""
    return text.split(",")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Show defaults, and keep the paragraphs of the description."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        hide = action.default in (None, False, []) or action.default is argparse.SUPPRESS
        return action.help if hide else super()._get_help_string(action)


def _plain(value: object) -> object:
    """Return an argument as JSON has it; of a path the name alone, as its folder is this machine's."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.name
    return value if value is None or isinstance(value, str | int | float) else str(value)

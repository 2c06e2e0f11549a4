"""Formatting of numbers, sizes, facts and tables as text for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from lamofc_tools.cli.console import Amount, table

Document = Mapping[str, Any]


def size(count: float) -> Amount:
    """Format bytes in decimal units: `17.2 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    return Amount(f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}")


def number(value: float | None, digits: int = 2) -> Amount:
    """Format a number with `digits` digits after the point; `-` for None."""
    return Amount("-" if value is None else f"{value:.{digits}f}")


def counted(number: int, thing: str) -> str:
    """Format a count with its noun: `1 sample`, `2 samples`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def facts(values: Mapping[str, object]) -> str:
    """Format names and values, one pair a line."""
    width = max(map(len, values))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in values.items())


def tables(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a table as one text."""
    return "\n".join(table(columns, rows))

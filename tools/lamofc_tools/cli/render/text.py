"""Results as people read them: each function takes the document that --json prints and gives text."""

from collections.abc import Mapping, Sequence
from typing import Any

from lamofc_tools.cli.console import Amount, table

Document = Mapping[str, Any]


def size(count: float) -> Amount:
    """Bytes in decimal units: `17.2 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 999.5 or unit == "TB":
            break
        count /= 1000
    return Amount(f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}")


def number(value: float | None, digits: int = 2) -> Amount:
    """A ratio or a level with that many digits after the point; `-` where there is none."""
    return Amount("-" if value is None else f"{value:.{digits}f}")


def counted(number: int, thing: str) -> str:
    """`1 sample`, `2 samples`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def facts(given: Mapping[str, object]) -> str:
    """Name and value, a line each."""
    width = max(map(len, given))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in given.items())


def tables(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A whole table."""
    return "\n".join(table(columns, rows))

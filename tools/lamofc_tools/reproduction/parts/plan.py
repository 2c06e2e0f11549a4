"""Plans of tables as data: blocks of rows, rows of cells, and cells that take their numbers from parts.

A part is a measurement that is made once and kept. Cells that need it read it by its figures' names.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lamofc_tools.reproduction.parts.inputs import Inputs, Missing

Label = str | float | None
Figures = Mapping[str, float]
"""Numbers of a part by name."""


class Part(Protocol):
    """A measurement of a table. Equal parts are measured once."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """Name the part as its run in the catalog is named."""

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List the inputs that are not there; without any, the part can be measured."""

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return all that the figures depend on, as JSON."""

    def measure(self, inputs: Inputs) -> Figures:
        """Measure the part."""


Measured = Mapping[Part, Figures]
"""Figures of the parts that were measured."""
LOSSLESS = {
    "fallbacks": "are stored losslessly, because the codec's would be larger or miss their quality",
    "expanded": "are larger than their source",
}
"""Words about counts of records that are no points of a codec's curve."""


def is_point(parts: Iterable[Part], measured: Measured) -> bool:
    """Whether all records of these parts are coded by their codec, as points of its curve are."""
    return not any(measured.get(part, {}).get(name) for part in parts for name in LOSSLESS)


class Cell(Protocol):
    """A number of a table."""

    def parts(self) -> tuple[Part, ...]:
        """Return the parts that the number is made of."""

    def value(self, measured: Measured) -> float | None:
        """Return the number; None where a part of it is not measured."""


@dataclass(frozen=True)
class Constant:
    """A number that needs no measurement."""

    number: float | None

    def parts(self) -> tuple[Part, ...]:
        """Return no parts."""
        return ()

    def value(self, measured: Measured) -> float | None:
        """Return the number."""
        return self.number


BLANK = Constant(None)


@dataclass(frozen=True)
class Figure:
    """A figure of one part."""

    part: Part
    figure: str
    scale: float = 1.0
    """Factor to the unit of the table, such as 100 for percents."""

    def parts(self) -> tuple[Part, ...]:
        """Return the part."""
        return (self.part,)

    def value(self, measured: Measured) -> float | None:
        """Return the scaled figure."""
        number = measured.get(self.part, {}).get(self.figure)
        return None if number is None else self.scale * number


@dataclass(frozen=True)
class Mean:
    """The mean of those cells that have a number."""

    cells: tuple[Cell, ...]

    def parts(self) -> tuple[Part, ...]:
        """Return the parts of all cells."""
        return tuple(part for cell in self.cells for part in cell.parts())

    def value(self, measured: Measured) -> float | None:
        """Return the mean; None without any number."""
        numbers = [number for cell in self.cells if (number := cell.value(measured)) is not None]
        return statistics.fmean(numbers) if numbers else None


@dataclass(frozen=True)
class Relation:
    """A figure of how performances follow errors."""

    name: str
    function: Callable[[Sequence[float], Sequence[float]], float | None]
    """Takes squared errors and performances; returns None where the figure is not defined."""


@dataclass(frozen=True)
class Related:
    """A relation of the errors and the performances of rows."""

    relation: Relation
    mse: tuple[Cell, ...]
    performance: tuple[Cell, ...]

    def parts(self) -> tuple[Part, ...]:
        """Return the parts of all rows."""
        return tuple(part for cell in (*self.mse, *self.performance) for part in cell.parts())

    def value(self, measured: Measured) -> float | None:
        """Return the relation over the rows that have both numbers and are points of their codec's curve."""
        points = [(x, y) for x, y in zip(self.mse, self.performance, strict=True) if is_point(x.parts(), measured)]
        pairs = [(x.value(measured), y.value(measured)) for x, y in points]
        known = [(x, y) for x, y in pairs if x is not None and y is not None]
        return self.relation.function([x for x, _ in known], [y for _, y in known])


@dataclass(frozen=True)
class Row:
    """A row of a table, and what the paper prints in its place."""

    labels: tuple[Label, ...]
    cells: tuple[Cell, ...]
    printed: tuple[Label, ...]


@dataclass(frozen=True)
class Block:
    """Rows with the same columns: a whole table, or the columns of one data set."""

    title: str
    labels: tuple[str, ...]
    """Headings of the columns that name a row."""
    figures: tuple[str, ...]
    """Headings of the numbers, those that the paper prints first."""
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Plan:
    """All that makes one table or figure."""

    title: str
    blocks: tuple[Block, ...]
    note: str = ""
    """A difference from the paper that a reader must know."""

    def parts(self) -> Iterator[Part]:
        """Yield each part once, in the order of the rows."""
        rows = (row for block in self.blocks for row in block.rows)
        yield from dict.fromkeys(part for row in rows for cell in row.cells for part in cell.parts())

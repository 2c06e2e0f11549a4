"""Correlation of distortion and performance in the papers' tables: recomputed from the printed figures.

LaMoFCBench prints Pearson's rho below each set of its Tables VII to XII, LaMoFC its square as Table 5. Both are over
the rates of a codec; the row of the original features is not a point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lamofc_store.errors import BadArgument
from lamofc_tools.comparison.paper_tables import columns_of, is_performance, paper_table, paper_tables

_SQUARES = {"lamofc-3": "lamofc-5"}
"""Tables of figures, each with the table of its coefficients of determination."""
_SLACK = 1e-9
"""Allowance for the conversion of decimal fractions to binary ones."""


@dataclass(frozen=True)
class Correlation:
    """One printed coefficient beside the one that the printed figures give."""

    table: str
    """Table of the figures."""
    set: str
    codec: str
    performance: str
    statistic: str
    """`rho`, or `r2` for its square."""
    points: int
    printed: float
    recomputed: float
    tolerance: float
    """Half a unit of the last printed digit of the coefficient."""
    rounding: float
    """Largest change of the recomputed coefficient by the rounding of the printed figures, to first order."""

    @property
    def reproduced(self) -> bool:
        """Whether the printed coefficient is the recomputed one, rounded."""
        return abs(self.recomputed - self.printed) <= self.tolerance + _SLACK

    @property
    def explained(self) -> bool:
        """Whether figures before their rounding may give the printed coefficient."""
        return abs(self.recomputed - self.printed) <= self.tolerance + self.rounding + _SLACK

    def to_json(self) -> dict[str, Any]:
        """Convert to a document."""
        return {**asdict(self), "reproduced": self.reproduced, "explained": self.explained}


def pearson(x: Sequence[float], y: Sequence[float]) -> float:
    """Compute Pearson's coefficient of correlation; NaN where one of both is constant."""
    (u, _), (v, _) = _unit(x), _unit(y)
    return math.fsum(a * b for a, b in zip(u, v, strict=True)) if u and v else math.nan


def correlated_tables() -> list[str]:
    """List the tables that have printed coefficients."""
    return [name for name, table in paper_tables().items() if "correlations" in table or name in _SQUARES]


def paper_correlations(names: Sequence[str] = ()) -> list[Correlation]:
    """Recompute the coefficients of some tables, or of all that have them."""
    tables = correlated_tables()
    for name in names:
        if name not in tables:
            raise BadArgument(
                f"table {name!r} has no printed correlation; there are {', '.join(tables)}", "name one of them"
            )
    return [found for name in names or tables for found in _of_table(name)]


class _Column(NamedTuple):
    """Printed figures of one codec, with half a unit of their last digit."""

    values: list[float]
    half_unit: float


def _of_table(name: str) -> Iterator[Correlation]:
    table = paper_table(name)
    square = name in _SQUARES
    for codec, by_set in _printed(name).items():
        for set_name, printed in by_set.items():
            columns = columns_of(table, set_name)
            (performance,) = filter(is_performance, columns)
            mse, scores = (_column(table, codec, columns[figure]) for figure in ("MSE", performance))
            rho = pearson(mse.values, scores.values)
            rounding = _first_order(mse, scores, rho)
            yield Correlation(
                table=name,
                set=set_name,
                codec=codec,
                performance=performance,
                statistic="r2" if square else "rho",
                points=len(mse.values),
                printed=printed,
                recomputed=rho**2 if square else rho,
                tolerance=0.5 * 10.0 ** -(4 if square else table["decimals"]),
                rounding=2 * abs(rho) * rounding if square else rounding,
            )


def _printed(name: str) -> Mapping[str, Mapping[str, float]]:
    """Return the printed coefficients by codec and set."""
    if name not in _SQUARES:
        printed: Mapping[str, Mapping[str, float]] = paper_table(name)["correlations"]
        return printed
    table = paper_table(_SQUARES[name])
    return {row[0]: dict(zip(table["columns"][1:], row[1:], strict=True)) for row in table["rows"]}


def _column(table: Mapping[str, Any], codec: str, place: int) -> _Column:
    decimals = table.get("decimals") or max(_decimals(row[place]) for row in table["rows"])
    return _Column([float(row[place]) for row in table["rows"] if row[0] == codec], 0.5 * 10.0**-decimals)


def _decimals(value: float) -> int:
    return len(str(value).partition(".")[2])


def _first_order(x: _Column, y: _Column, rho: float) -> float:
    """Sum the magnitudes of the derivatives of rho, each times half a unit of the figure's last digit."""
    (u, x_norm), (v, y_norm) = _unit(x.values), _unit(y.values)
    by_x = math.fsum(abs(b - rho * a) for a, b in zip(u, v, strict=True)) / x_norm
    by_y = math.fsum(abs(a - rho * b) for a, b in zip(u, v, strict=True)) / y_norm
    return x.half_unit * by_x + y.half_unit * by_y


def _unit(values: Sequence[float]) -> tuple[list[float], float]:
    """Return the distances from the mean, scaled to a vector of length 1, and their length; none if all are 0."""
    mean = math.fsum(values) / len(values) if values else 0.0
    norm = math.hypot(*(value - mean for value in values))
    return ([(value - mean) / norm for value in values] if norm else []), norm

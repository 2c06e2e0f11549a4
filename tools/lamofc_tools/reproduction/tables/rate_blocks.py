"""Blocks of rate and performance: the columns of one data set in a table of the papers, codec by codec."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from lamofc_tools.comparison import columns_of, is_performance, paper_table, pearson
from lamofc_tools.reproduction.parts import (
    BLANK,
    ORIGINAL,
    PERFORMANCE,
    Block,
    Cell,
    CodedPart,
    Coder,
    Constant,
    FeatureSet,
    Figure,
    JudgedPart,
    Label,
    Related,
    Relation,
    Row,
)

_RATES = {
    "EBPFP": "ebpfp",
    "BPFP": "bpfp",
    "MSE": "mse",
    "B_max": "b_max",
    "Enc": "encode_seconds",
    "Dec": "decode_seconds",
}
"""Figure of a coded part by the heading of its column; other columns are performances."""
WHOLE = "whole EBPFP"
"""Column beside those of the paper: headers, and profiles spread over 10 000 samples, counted."""
_ORIGINAL_CELLS = {"EBPFP": 32.0, "BPFP": None, "MSE": 0.0, "B_max": float("inf")}
"""Figures of original features that need no measurement: EBPFP is 32 by its definition, BPFP that of the source."""


def correlation(mse: Sequence[float], performance: Sequence[float], /) -> float | None:
    """Return Pearson's coefficient; None for fewer than two points, or for constant ones."""
    rho = pearson(mse, performance) if mse else math.nan
    return None if math.isnan(rho) else rho


def determination(mse: Sequence[float], performance: Sequence[float], /) -> float | None:
    """Return the coefficient of determination of a straight line."""
    rho = correlation(mse, performance)
    return None if rho is None else rho**2


CORRELATION = Relation("Correlation", correlation)
DETERMINATION = Relation("R2", determination)


@dataclass(frozen=True)
class RateTable:
    """A table of rates and performances, and how its columns are filled."""

    name: str
    """Name of the printed table."""
    relation: Relation | None = CORRELATION
    """Relation that stands below the rows of each codec."""
    scales: Mapping[str, float] = field(default_factory=dict)
    """Factor to the unit of a column, such as 100 for percents."""
    codec_column: str | None = "codec"
    """Printed column with the names of codecs; None where all rows are of one."""

    def block(self, label: str, features: FeatureSet, coders: Sequence[Coder]) -> Block:
        """Return the columns of one data set, `label` in the printed table."""
        table = paper_table(self.name)
        places = columns_of(table, label)
        figures = tuple(places)
        printed: dict[str, list[tuple[Label, ...]]] = {}
        for row in table["rows"]:
            name = self._name_of(row, table["columns"], coders[0].row)
            printed.setdefault(name, []).append(tuple(row[place] for place in places.values()))
        rows = self._original(features, figures, printed)
        for coder in coders:
            rows += self._coder(features, coder, figures, printed.pop(coder.row, []))
        rows += [Row((name, None), (), own) for name, left in printed.items() for own in left]
        headings = (self.codec_column or "codec", "setting")
        return Block(label or features.path, headings, (*figures, *_beside(figures)), tuple(rows))

    def _name_of(self, row: Sequence[Label], columns: Sequence[str], only: str) -> str:
        """Return the codec of a printed row; where there is one codec alone, the original has no lambda."""
        if self.codec_column is not None:
            return str(row[columns.index(self.codec_column)])
        return only if row[columns.index("lambda")] is not None else ORIGINAL.row

    def _original(
        self, features: FeatureSet, figures: Sequence[str], printed: dict[str, list[tuple[Label, ...]]]
    ) -> list[Row]:
        names = [name for name in printed if name.lower() == "original"]
        part = CodedPart(features, ORIGINAL, ORIGINAL.settings[0])
        cells = tuple(
            Constant(_ORIGINAL_CELLS[name]) if name in _ORIGINAL_CELLS else self._cell(part, name) for name in figures
        )
        return [Row((ORIGINAL.row, None), cells, own) for name in names for own in printed.pop(name)]

    def _coder(
        self, features: FeatureSet, coder: Coder, figures: Sequence[str], printed: Sequence[tuple[Label, ...]]
    ) -> list[Row]:
        parts = [CodedPart(features, coder, setting) for setting in coder.settings]
        rows = []
        for part, own in zip_longest(parts, printed):
            cells = () if part is None else tuple(self._cell(part, name) for name in (*figures, *_beside(figures)))
            rows.append(Row((coder.row, None if part is None else part.setting), cells, own or ()))
        return [*rows, *self._related(coder.row, figures, rows)]

    def _cell(self, part: CodedPart, figure: str) -> Cell:
        if figure == WHOLE:
            return Figure(part, "whole_ebpfp")
        if figure in _RATES:
            return Figure(part, _RATES[figure])
        return Figure(JudgedPart(part), PERFORMANCE, self.scales.get(figure, 1.0))

    def _related(self, name: str, figures: Sequence[str], rows: Sequence[Row]) -> list[Row]:
        """Return the row of the relation of errors and performances, for what is measured and what is printed."""
        performances = list(filter(is_performance, figures))
        if self.relation is None or "MSE" not in figures or not performances:
            return []
        error, judged = figures.index("MSE"), figures.index(performances[0])
        pairs = [(row.cells[error], row.cells[judged]) for row in rows if row.cells]
        printed = [(row.printed[error], row.printed[judged]) for row in rows if row.printed]
        known = [(x, y) for x, y in printed if isinstance(x, int | float) and isinstance(y, int | float)]
        related = Related(self.relation, tuple(x for x, _ in pairs), tuple(y for _, y in pairs))
        cells = tuple(related if place == judged else BLANK for place in range(len(figures)))
        rho = self.relation.function([x for x, _ in known], [y for _, y in known])
        values = tuple(rho if place == judged else None for place in range(len(figures)))
        return [Row((f"{name}: {self.relation.name}", None), cells, values if known else ())]


def _beside(figures: Sequence[str]) -> tuple[str, ...]:
    """Return the columns beside those of the paper."""
    return (WHOLE,) if {"BPFP", "EBPFP"} & set(figures) else ()

"""Where the numbers of a level stand: for each group of tokens and each column a run of tokens, narrow tables first.

Numbers are held columns x tokens, the tokens sorted by group, so a run is a piece of a column. Runs stand one after
another by the table of their class; every 32 symbols share a table, the widest of theirs, so nothing is padded, and
which row has which table follows from the classes and is never sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import classes_of, shape_of_classes
from lamofc_codecs.klt.quantise import Tokens
from lamofc_codecs.runtime import Floats, compiled, lazy

Numbers = NDArray[np.int32]
"""Columns x tokens, tokens sorted by group."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one level, in the order in which they are coded."""

    tokens: Tokens
    kinds: NDArray[np.uint8]
    """The class, 0 to 137, of each group that occurs x each column."""
    order: NDArray[np.int64]
    """Runs as they are coded: group of tokens times columns, plus column."""

    @classmethod
    def of(cls, sigma: Floats, step: np.float32, tokens: Tokens, silent: NDArray[np.bool_] | None = None) -> Runs:
        """Lay out columns of these spreads, bands x columns, for a step; without the silent ones, groups x columns."""
        kinds = entropy_classes(sigma, step, tokens)
        tables = shape_of_classes()[0][kinds]
        order = np.argsort((tables << 8 | kinds).reshape(-1), kind="stable")
        return cls(tokens, kinds, order if silent is None else order[~silent.reshape(-1)[order]])

    @property
    def columns(self) -> int:
        """How many columns there are."""
        return self.kinds.shape[1]

    @lazy
    def classes(self) -> NDArray[np.uint8]:
        """Of each run."""
        return self.kinds.reshape(-1)[self.order]

    @lazy
    def group(self) -> NDArray[np.int64]:
        """Which of the groups that occur, of each run."""
        return self.order // max(self.columns, 1)

    @lazy
    def column(self) -> NDArray[np.int64]:
        """Of each run."""
        return self.order % max(self.columns, 1)

    @property
    def count(self) -> int:
        """Numbers in all runs."""
        return int(self.length.sum())

    @lazy
    def first(self) -> NDArray[np.int64]:
        """The first token of each run, among the sorted ones."""
        return self.tokens.bounds[self.group]

    @lazy
    def length(self) -> NDArray[np.int64]:
        """Tokens of each run."""
        return np.diff(self.tokens.bounds)[self.group]

    @lazy
    def table_of_row(self) -> NDArray[np.uint16]:
        """The frozen table of each row of 32 symbols: that of its last one."""
        return rows_of(shape_of_classes()[0][self.classes].astype(np.uint16), self.length)


def entropy_classes(sigma: Floats, step: np.float32, tokens: Tokens) -> NDArray[np.uint8]:
    """The class of each group that occurs x each column, by their spreads, bands x columns."""
    return classes_of(tokens.spreads(sigma), step)


def rows_of(tables: NDArray[np.uint16], lengths: NDArray[np.int64]) -> NDArray[np.uint16]:
    """The table of each row of 32 symbols, given the table and the length of each run: that of its last symbol."""
    ends = np.cumsum(lengths)
    count = int(ends[-1]) if len(ends) else 0
    last = np.minimum(np.arange(31, count + 31, 32), count - 1)
    return np.asarray(tables[np.searchsorted(ends, last, side="right")], np.uint16)


def columns_by_class(rows: Numbers, tokens: Tokens) -> Numbers:
    """Tokens x columns as columns x sorted tokens."""
    out = np.empty(rows.shape[::-1], np.int32)
    _turn(rows, tokens.order, out)
    return out


@compiled
def _turn(rows: Numbers, order: NDArray[np.int64], out: Numbers) -> None:
    for start in range(0, rows.shape[0], 32):
        stop = min(start + 32, rows.shape[0])
        for c in range(rows.shape[1]):
            there = out[c]
            for t in range(start, stop):
                there[t] = rows[order[t], c]

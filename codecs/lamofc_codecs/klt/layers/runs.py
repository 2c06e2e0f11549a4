"""Runs of a refinement level: the levels of one column in one group of tokens, narrow tables first.

Levels are held columns x tokens, the tokens sorted by group, so a run is a piece of a column. Runs stand one after
another by the table of their class; every 32 symbols share a table, the widest of theirs, so nothing is padded, and
the table of each row follows from the classes and is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import classes_of, shape_of_classes
from lamofc_codecs.klt.quantise import TokenGroups
from lamofc_codecs.level_coding import RunIndex, RunLayout
from lamofc_codecs.runtime import Floats, compiled, lazy

Levels = NDArray[np.int32]
"""Quantised levels: columns x tokens, tokens sorted by group."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one refinement level, in the order in which they are coded."""

    tokens: TokenGroups
    group_classes: NDArray[np.uint8]
    """The sigma class, 0 to 137, of each group that occurs x each column."""
    order: NDArray[np.int64]
    """Runs as they are coded: group of tokens times columns, plus column."""

    @classmethod
    def for_step(
        cls, sigma: Floats, step: np.float32, tokens: TokenGroups, pruned: NDArray[np.bool_] | None = None
    ) -> Runs:
        """Lay out columns of these spreads, bands x columns, for a step, without `pruned` runs, groups x columns."""
        classes = sigma_classes(sigma, step, tokens)
        tables = shape_of_classes()[0][classes]
        order = np.argsort((tables << 8 | classes).reshape(-1), kind="stable")
        return cls(tokens, classes, order if pruned is None else order[~pruned.reshape(-1)[order]])

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.group_classes.shape[1]

    @lazy
    def classes(self) -> NDArray[np.uint8]:
        """Sigma class of each run."""
        return self.group_classes.reshape(-1)[self.order]

    @lazy
    def group(self) -> NDArray[np.int64]:
        """Group of tokens of each run, counting those that occur."""
        return self.order // max(self.columns, 1)

    @lazy
    def column(self) -> NDArray[np.int64]:
        """Column of each run."""
        return self.order % max(self.columns, 1)

    @lazy
    def first(self) -> NDArray[np.int64]:
        """First token of each run, among the sorted ones."""
        return self.tokens.bounds[self.group]

    @lazy
    def length(self) -> NDArray[np.int64]:
        """Tokens of each run."""
        return np.diff(self.tokens.bounds)[self.group]

    @property
    def index(self) -> RunIndex:
        """Column, first token and length of each run, as compiled code takes them."""
        return self.column, self.first, self.length

    @lazy
    def layout(self) -> RunLayout:
        """Places and classes of the runs, as a block of levels has them."""
        return RunLayout(self.index, self.classes)


def sigma_classes(sigma: Floats, step: np.float32, tokens: TokenGroups) -> NDArray[np.uint8]:
    """Sigma class of each group that occurs x each column, given their spreads, bands x columns."""
    return classes_of(tokens.spreads(sigma), step)


def columns_by_class(rows: Levels, tokens: TokenGroups) -> Levels:
    """Transpose tokens x columns to columns x sorted tokens."""
    out = np.empty(rows.shape[::-1], np.int32)
    _transpose_sorted(rows, tokens.order, out)
    return out


@compiled
def _transpose_sorted(rows: Levels, order: NDArray[np.int64], out: Levels) -> None:
    for start in range(0, rows.shape[0], 32):
        stop = min(start + 32, rows.shape[0])
        for c in range(rows.shape[1]):
            column = out[c]
            for t in range(start, stop):
                column[t] = rows[order[t], c]

"""Runs of a refinement level: the levels of one column in one group of tokens, narrow tables first.

Levels are held columns x tokens, the tokens sorted by group, so a run is a piece of a column. Runs stand one after
another by the table of their class; every 32 symbols share a table, the widest of theirs, so nothing is padded, and
the table of each row follows from the classes and is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ALL_CLASSES, classes_of, classify, shape_of_classes, thresholds
from lamofc_codecs.klt.quantise import CLASS_FACTORS, TOKEN_CLASSES, TokenGroups
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
    layout: RunLayout
    """Places and classes of the runs, in the order in which they are coded."""

    @classmethod
    def for_step(cls, sigma: Floats, step: np.float32, tokens: TokenGroups, finest: np.float32 | None = None) -> Runs:
        """Lay out columns of these spreads, bands x columns, for a step; no runs of class 0 at the `finest` one."""
        steps = np.array([step, 0 if finest is None else finest], np.float32)
        spreads, groups = np.ascontiguousarray(sigma, np.float32), (tokens.labels, tokens.bounds)
        classes, index, sorted_classes = _lay_out(spreads, steps, groups, thresholds(), _ranks(), CLASS_FACTORS)
        return cls(tokens, classes, RunLayout(index, sorted_classes))

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.group_classes.shape[1]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Sigma class of each run."""
        return self.layout.classes

    @property
    def index(self) -> RunIndex:
        """Column, first token among the sorted ones, and length of each run."""
        return self.layout.index

    @lazy
    def group(self) -> NDArray[np.int64]:
        """Group of tokens of each run, counting those that occur."""
        return np.searchsorted(self.tokens.bounds, self.index[1], "right") - 1


@cache
def _ranks() -> NDArray[np.uint8]:
    """Rank of each class by the number of its table, then by its own."""
    order = np.argsort(shape_of_classes()[0] << 8 | np.arange(ALL_CLASSES))
    ranks = np.empty(ALL_CLASSES, np.uint8)
    ranks[order] = np.arange(ALL_CLASSES)
    return ranks


@compiled
def _lay_out(
    sigma: Floats,
    steps: Floats,
    groups: tuple[NDArray[np.int64], NDArray[np.int64]],
    limits: Floats,
    ranks: NDArray[np.uint8],
    factors: Floats,
) -> tuple[NDArray[np.uint8], RunIndex, NDArray[np.uint8]]:
    """Return the class of each group x each column, and the places and classes of the runs in their order."""
    labels, bounds = groups
    classes = np.empty((labels.size, sigma.shape[1]), np.uint8)
    finest, kept = np.empty(sigma.shape[1], np.uint8), np.ones(classes.shape, np.bool_)
    for group in range(labels.size):
        spreads = factors[labels[group] % TOKEN_CLASSES] * sigma[labels[group] // TOKEN_CLASSES]
        classify(spreads, steps[0], limits, classes[group])
        if steps[1] > 0:
            classify(spreads, steps[1], limits, finest)
            kept[group] = finest != 0
    column, first, length, sorted_classes = _sort_runs(classes, kept, ranks, bounds)
    return classes, (column, first, length), sorted_classes


@compiled
def _sort_runs(
    classes: NDArray[np.uint8], kept: NDArray[np.bool_], ranks: NDArray[np.uint8], bounds: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Sort the runs that are kept by rank; return column, first token, length and class of each."""
    starts = np.zeros(ranks.size + 1, np.int64)
    for group in range(classes.shape[0]):
        for c in range(classes.shape[1]):
            starts[ranks[classes[group, c]] + 1] += kept[group, c]
    starts = np.cumsum(starts)
    count = starts[-1]
    column, first, length = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    sorted_classes = np.empty(count, np.uint8)
    for group in range(classes.shape[0]):
        for c in range(classes.shape[1]):
            if kept[group, c]:
                rank = ranks[classes[group, c]]
                at = starts[rank]
                starts[rank] += 1
                column[at], first[at], length[at] = c, bounds[group], bounds[group + 1] - bounds[group]
                sorted_classes[at] = classes[group, c]
    return column, first, length, sorted_classes


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

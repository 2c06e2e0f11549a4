"""Quantisation: from coefficients and a step to the levels of all refinement levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.format import MIN_STEP, DecodedLevel, KltParameters, LayerHead
from lamofc_codecs.klt.layers import (
    STEP_RATIO,
    LayerSplit,
    Levels,
    Runs,
    columns_by_class,
    previous_level,
    sigma_classes,
)
from lamofc_codecs.klt.quantise import (
    ERROR_PER_BIT,
    ColumnCosts,
    TokenGroups,
    classify_tokens,
    prune_zero_runs,
    quantise,
)
from lamofc_codecs.runtime import Floats

_MAX_CLIPPED_SHARE = 1 / 512
"""Share of the error that clipping stray levels out of the columns of a coarser refinement level may add."""


@dataclass(frozen=True, eq=False)
class QuantisedLevels:
    """The levels of a sample at one step."""

    head: LayerHead
    """Structure of the refinement levels, none of them split into layers yet."""
    tokens: TokenGroups
    levels: tuple[Levels, ...]
    """Levels of each refinement level, coarse first."""
    runs: tuple[Runs, ...]
    """Runs of each refinement level."""

    @property
    def step(self) -> float:
        """Step of the finest refinement level."""
        return self.head.step

    def of_tokens(self, rows: NDArray[np.int64], parameters: KltParameters) -> QuantisedLevels:
        """Keep the levels of some tokens, rising."""
        tokens = TokenGroups.from_classes(self.tokens.token_class[rows], self.tokens.band[rows])
        places = np.argsort(self.tokens.order)[rows[tokens.order]]
        levels = tuple(np.ascontiguousarray(every[:, places]) for every in self.levels)
        runs = tuple(self.head.runs_of(depth, tokens, parameters) for depth in range(len(levels)))
        return QuantisedLevels(self.head, tokens, levels, runs)

    def decoded(self, depth: int) -> DecodedLevel:
        """Return one refinement level as a decoder reads it."""
        return DecodedLevel(self.levels[depth], self.runs[depth], self.head.step_of(depth))


def clamp_step(step: float) -> np.float32:
    """Return the step, or the nearest one that a record may have."""
    return np.float32(min(max(step, MIN_STEP), 1 / MIN_STEP))


def quantise_tokens(
    values: Floats, band: NDArray[np.uint8], step: np.float32, parameters: KltParameters
) -> tuple[NDArray[np.int32], ColumnCosts, TokenGroups]:
    """Classify and quantise tokens x columns; return also the costs of the columns and the groups of the tokens."""
    sigma = parameters.spreads[:, : values.shape[1]]
    tokens = TokenGroups.from_classes(classify_tokens(values, band, sigma, step), band)
    classes = sigma_classes(sigma, step, tokens)
    levels, costs = quantise(values, tokens.group, classes, step, parameters.deadzone)
    return levels, costs, tokens


def quantise_at(coefficients: Coefficients, step: float, depth: int, columns: int | None = None) -> QuantisedLevels:
    """Quantise a sample into `depth` refinement levels.

    As many columns are coded as are worth their bits, unless `columns` tells how many.
    """
    parameters, step32 = coefficients.parameters, clamp_step(step)
    step = float(step32)
    rows, costs, tokens = quantise_tokens(coefficients.values, coefficients.band, step32, parameters)
    count = costs.worth_coding(ERROR_PER_BIT) if columns is None else columns
    rows = rows[:, :count]
    tokens = tokens.merge_zero_tokens(~rows.any(1))
    classes = sigma_classes(parameters.spreads[:, :count], step32, tokens)
    pruned = prune_zero_runs(coefficients.values, rows, tokens, classes, step)
    clipped = _MAX_CLIPPED_SHARE * costs.total_error(count) / max(len(coefficients.source.items), 1)
    widths = _clip_to_widths(rows, depth, clipped)
    levels = [columns_by_class(rows, tokens)]
    for _ in range(depth - 1):
        levels.insert(0, previous_level(levels[0]))
    levels = [np.ascontiguousarray(every[:width]) for every, width in zip(levels, widths, strict=True)]
    head = LayerHead(step, widths, (LayerSplit(),) * (depth - 1), pruned)
    runs = tuple(head.runs_of(number, tokens, parameters) for number in range(depth))
    return QuantisedLevels(head, tokens, tuple(levels), runs)


def _clip_to_widths(rows: NDArray[np.int32], depth: int, max_error: float) -> tuple[int, ...]:
    """Return the columns of each refinement level, coarse first; clip levels that a narrow one cannot reach, in place.

    A column that begins at the finest refinement level holds -1 to 1, at the one before -4 to 4, and so on. Clipping
    adds at most `max_error` squared steps to each refinement level.
    """
    widths = [rows.shape[1]]
    for later in range(1, depth):
        reach = (STEP_RATIO**later - 1) // 2
        beyond = np.square(np.maximum(np.abs(rows) - reach, 0), dtype=np.float64).sum(0)
        left = np.concatenate([np.cumsum(beyond[::-1])[::-1], [0.0]])
        width = min(int(np.flatnonzero(left <= max_error)[0]), widths[0])
        np.clip(rows[:, width:], -reach, reach, out=rows[:, width:])
        widths.insert(0, width)
    return tuple(widths)

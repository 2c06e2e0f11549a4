"""What a sample's quality asks of a `klt` trial: how much error, in which units, and how many columns that may take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.gpu import forward
from lamofc_codecs.klt.layers import FACTOR
from lamofc_codecs.klt.quantise import WEIGHT, squares_of
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles, Floats, devices
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Distortion

SUBSAMPLE_ENTRIES = 1 << 16
"""Entries that a guess looks at."""
_AUDIBLE = 0.7
"""Columns are left out from the start whose error is below that of so fine a share of the step: spread 0.2 of it."""
_NEARLY_ALL = 0.9
_TAIL, _LOUD = 8, 2.0
"""The last eighth of the columns is loud from twice the spread on that it should have."""
_MOST_DB, _LEAST_ERROR = 3000.0, 5e-324
"""Decibels whose power float64 can hold, and its least number above 0."""


def signal_of(squares: Doubles, source: Source, known: KltParameters) -> float:
    """The weighted signals of all features, or by the squares of one's tokens where its errors do not count alike."""
    if known.weighted:
        return float(squares.sum())
    return float(sum(known.importance * [sums.signal for sums in source.part_sums]))


def error_budget(signal: float, source: Source, known: KltParameters, quality: Quality) -> float:
    """The weighted squared error that a quality allows; infinite for one that does not speak of error.

    Features of a group are weighed so that they count alike: what is allowed is a share of all their signals.
    """
    if quality.kind == "mse":
        sizes = [tensor.numel() for tensor in source.tensors]
        return quality.value * float(sum(sizes) if known.weighted else sum(known.importance * sizes))
    if quality.kind != "snr_db":
        return math.inf
    decibels = min(max(quality.value, -_MOST_DB), _MOST_DB)
    return max(signal * 10 ** (-decibels / 10), _LEAST_ERROR) if signal > 0 else 0.0


def weighed(lost: Sequence[Distortion], source: Source, known: KltParameters, quality: Quality) -> float:
    """The weighted squared error of what was lost; by `snr_db`, of the bulk, the rest being no worse on average."""
    errors = [one.sse for one in lost]
    if quality.kind == "snr_db":
        pairs = zip(lost, source.part_sums, source.tensors, strict=True)
        errors = [max(one.bulk_sse, one.sse * sums.bulk / max(tensor.numel(), 1)) for one, sums, tensor in pairs]
    return float(sum(known.importance * errors))


def predict_columns(away: Floats, budget: float, known: KltParameters, quality: Quality) -> tuple[int, float]:
    """How many columns are worth a look, and down to which spread: what does not stand out of the step needed is not.

    Both are what the profile makes likely of a sample of that energy.
    """
    energy = float(np.square(away, dtype=np.float64).sum())
    field = known.fields(len(away))[0]
    theory = known.theory(energy, field.bands(len(away)), known.columns)
    step = quality.value
    if quality.kind in ("mse", "snr_db"):
        step = theory.step_for_error(budget)
    elif quality.kind == "bpfp":
        step = theory.step_for_bits(quality.value * away.size)
    return theory.columns(step * _AUDIBLE), step * _AUDIBLE / math.sqrt(12)


@dataclass(frozen=True)
class Subsample:
    """Some tokens for all: the loudest, and of the others every so many."""

    loud: NDArray[np.int64]
    quiet: NDArray[np.int64]
    share: float
    """How many tokens each of the quiet ones stands for."""
    power: float
    """Of all tokens."""

    @classmethod
    def of(cls, columns: Floats) -> Subsample:
        """Choose, by their energy in tokens x columns."""
        squares = squares_of(columns)
        order, power = np.argsort(-squares, kind="stable"), float(squares.sum())
        if columns.size <= SUBSAMPLE_ENTRIES:
            return cls(order, order[:0], 0.0, power)
        half = SUBSAMPLE_ENTRIES // (2 * columns.shape[1]) + 1
        others = order[half:]
        quiet = others[(2 * np.arange(half) + 1) * len(others) // (2 * half)]
        return cls(order[:half], quiet, len(others) / max(len(quiet), 1), power)


def columns_of(away: Floats, count: int, known: KltParameters, device: torch.device, *, roughly: bool) -> Floats:
    """The first columns of what is away from the middle."""
    if known.analysis is None:
        return np.ascontiguousarray(away[:, known.order[:count]])
    if device.type in devices.ACCELERATORS:
        return forward.forward_on(device, known.analysis, away, count, roughly=roughly)
    return known.analysis.forward(away, count, roughly=roughly)


def truncates_signal(columns: Floats, left: float, budget: float, spread: float) -> bool:
    """Whether a sample is so unlike the profile that more columns are to be looked at.

    Either what is beyond the columns takes nearly all the error allowed, or the last of them are loud.
    """
    tail = columns[:, -max(1, columns.shape[1] // _TAIL) :]
    loud = float(np.square(tail, dtype=np.float64).mean()) if tail.size else 0.0
    return left > _NEARLY_ALL * budget or loud > (_LOUD * spread) ** 2


def residual_energy(away: Floats, columns: Floats, known: KltParameters) -> float:
    """Squared error that is out of the columns' reach."""
    if columns.shape[1] >= known.channels or not away.size:
        return 0.0
    if known.analysis is None:
        return float(np.square(away, dtype=np.float64).sum() - np.square(columns, dtype=np.float64).sum())
    return float(np.square(away - known.analysis.floats(columns), dtype=np.float64).sum())


def columns_worth_coding(sums: NDArray[np.float64]) -> int:
    """How many columns to code: beyond them, bits cost more than they save in error."""
    coded = np.cumsum(sums[0] + WEIGHT * sums[1])
    left = sums[2].sum() - np.cumsum(sums[2])
    costs = np.concatenate([[sums[2].sum()], coded + left])
    return int(costs.argmin())


def widths_of(rows: NDArray[np.int32], layers: int, spared: float) -> tuple[int, ...]:
    """Columns of each layer, coarse first; numbers that a column's layers cannot reach are moved within reach.

    A column that begins at the finest layer holds -1 to 1, at the one before -4 to 4, and so on.
    """
    widths = [rows.shape[1]]
    for later in range(1, layers):
        reach = (FACTOR**later - 1) // 2
        beyond = np.square(np.maximum(np.abs(rows) - reach, 0), dtype=np.float64).sum(0)
        left = np.concatenate([np.cumsum(beyond[::-1])[::-1], [0.0]])
        width = min(int(np.flatnonzero(left <= spared)[0]), widths[0])
        np.clip(rows[:, width:], -reach, reach, out=rows[:, width:])
        widths.insert(0, width)
    return tuple(widths)

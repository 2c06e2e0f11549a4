"""How many token means `klt` has: as many as pay on tokens held out, at the rate or the error that is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.fit.pca import principal_within
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import fit_codebook, nearest_of
from lamofc_codecs.quality import Quality
from lamofc_codecs.stats import WaterFilling, of_columns

_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_TOKENS_PER_MEAN = 8
_AIMS_DB = (10.0, 20.0)
"""Where what pays is weighed when no quality is given."""
_LEAST_DB = 0.5
_FRAME, _LOUDNESS = 60, 1.0
"""What a budget pays besides: bytes of a record's header and starts, bits of a token's energy class."""
_FINER_DB = 12.0
"""Of many channels those columns are kept that a quality so much finer would use."""
_MANY = 1024


@dataclass(frozen=True)
class Calibration:
    """Tokens about their middle, weighted, in the directions that matter; some of them held out."""

    train: Tensor
    test: Tensor
    rows: Tensor
    """Directions x channels."""
    kin: Tensor | None
    """Of which range of channels each direction is, where these are decorrelated each by itself."""
    signal: float
    """Squared values of a token that was held out."""
    aims: tuple[float, ...]
    """Decibels."""
    budget: float | None
    """Bits of a token, where a rate is asked for: the aims then follow from it."""
    shared: float
    """Tokens that the profile's bytes are spread over."""


@dataclass(frozen=True)
class Choice:
    """A codebook of means, and what it costs."""

    means: Tensor | None
    """Means x directions."""
    turn: Tensor
    """Columns x directions, orthonormal."""
    cost: float
    """Bits of a token, profile and side included; where a rate is asked for, the squared error at that rate."""
    aims: tuple[float, ...]
    """Decibels that it is for."""


def aims_of(quality: Quality | None) -> tuple[float, ...]:
    """Decibels at which what pays is weighed."""
    return (quality.value,) if quality is not None and quality.kind == "snr_db" else _AIMS_DB


def calibration_of(
    train: Tensor, test: Tensor, options: KltOptions, quality: Quality | None, per_sample: float
) -> Calibration:
    """Turn into principal directions; of many channels, leave out those far below the finest aim."""
    ranges = torch.arange(train.shape[1]) * options.ranges // train.shape[1] if options.ranges > 1 else None
    rows, kin = principal_within(train, ranges, options.components)
    signal, aims = float(test.square().sum(1).mean()), aims_of(quality)
    if train.shape[1] > _MANY:
        variance = _variance(train @ rows.T)
        theory = of_columns(variance)
        rows = rows[: max(1, theory.columns(theory.step_for_error(signal * 10 ** (-(max(aims) + _FINER_DB) / 10))))]
    kin = None if kin is None else kin[: len(rows)]
    budget = None
    if quality is not None and quality.kind == "bpfp":
        budget = quality.value * train.shape[1] - _LOUDNESS - 8 * _FRAME / max(per_sample, 1)
    shared = options.shared_by * max(per_sample, 1)
    return Calibration(train @ rows.T, test @ rows.T, rows, kin, signal, aims, budget, shared)


def choices(calibration: Calibration, options: KltOptions) -> list[Choice]:
    """Sizes of the codebook, as long as they cost ever less on tokens held out, their own bytes counted."""
    if options.means is not None:
        return [_try(calibration, options.means)]
    tried = [_try(calibration, 0)]
    for size in _SIZES:
        if size * _TOKENS_PER_MEAN > len(calibration.train):
            break
        tried.append(_try(calibration, size))
        if tried[-1].cost >= tried[-2].cost:
            break
    return tried


def _try(calibration: Calibration, size: int) -> Choice:
    means, left, unseen, side = None, calibration.train, calibration.test, 0.0
    if size:
        means = fit_codebook(left, min(size, len(left)))
        index = nearest_of(unseen, means)
        left, unseen = left - means[nearest_of(left, means)], unseen - means[index]
        side = _entropy(np.bincount(index.numpy(), minlength=len(means)))
        side += 8 * len(means) * calibration.rows.shape[1] / calibration.shared
    turn, _ = principal_within(left, calibration.kin)
    variance = np.sort(_variance(unseen @ turn.T))[::-1]
    rest = max(calibration.signal - float(calibration.test.square().sum(1).mean()), 0.0)
    theory = of_columns(variance, 1, rest)
    cost, aims = _cost(theory, calibration, side)
    return Choice(means, turn, cost, aims)


def _cost(theory: WaterFilling, calibration: Calibration, side: float) -> tuple[float, tuple[float, ...]]:
    """Bits at the aims. Or at a budget the squared error, above all signal where the side alone exceeds it; its dB."""
    signal, budget = calibration.signal, calibration.budget
    if budget is None:
        steps = [theory.step_for_error(signal * 10 ** (-aim / 10)) for aim in calibration.aims]
        return float(np.mean([theory.bits(step) for step in steps])) + side, calibration.aims
    if side >= budget:
        return signal * (1 + side), (_LEAST_DB,)
    error = theory.error(theory.step_for_bits(budget - side))
    return error, (max(_LEAST_DB, 10 * math.log10(signal / error)) if error > 0 else max(_AIMS_DB),)


def _variance(columns: Tensor) -> NDArray[np.float64]:
    variance: NDArray[np.float64] = columns.to(torch.float64).square().mean(0).numpy()
    return variance


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log2(shares)).sum())

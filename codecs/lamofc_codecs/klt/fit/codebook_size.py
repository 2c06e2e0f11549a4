"""The size of the token codebook: as many typical tokens as pay on tokens held out, at the quality of the fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.fit.pca import (
    MANY_CHANNELS,
    MAX_EXACT,
    ProjectedTokens,
    leading,
    principal_by_range,
    products_of,
)
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import fit_codebook, nearest_of
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import scale_of_tiny
from lamofc_codecs.stats import WaterFilling, error_share, single_band

_SIZES = (256, 512, 1024, 2048, 4096, 8192)
_MIN_TOKENS_PER_ENTRY = 8
"""Calibration tokens for each typical token, at the least."""
_TARGETS_DB = (10.0, 20.0)
"""Signal-to-noise ratios at which costs are compared where the fit has no quality that names one."""
_MIN_TARGET_DB = 0.5
_FRAME_BYTES, _TOKEN_CLASS_BITS = 60, 1.0
"""Share of a bit budget that is not for levels: a record's header and starts; a token's class."""
MARGIN_DB = 12.0
"""Directions are kept, where channels are many, that a quality finer by this would use."""
_MAX_HELD_OUT_VALUES = 1 << 24
"""Values held out on which costs and spreads are measured."""


@dataclass(frozen=True)
class Calibration:
    """Tokens, centred and weighted, in their principal directions."""

    train: ProjectedTokens
    test: Tensor
    """Tokens held out, in the same directions."""
    stride: int
    """Stride at which they are measured."""
    rows: Tensor
    """Directions x channels."""
    signal: float
    """Energy of a token that was held out."""
    targets_db: tuple[float, ...]
    budget: float | None
    """Bits of a token where a rate is asked for, which then settles the signal-to-noise ratio."""
    tokens_shared: float
    """Tokens that the profile's bytes are spread over."""
    scale: float
    """Factor of the tokens, a power of two: above 1 only for values so small that float32 loses their squares."""

    @property
    def unseen(self) -> Tensor:
        """Tokens on which costs are compared."""
        return self.test[:: self.stride]


@dataclass(frozen=True)
class Cost:
    """Cost of a transform on tokens held out, comparable between transforms of one calibration.

    Bits of a token at the target errors, profile and side information included. Under a bit budget instead the squared
    error of a token, or more than its energy where the side information alone exceeds the budget.
    """

    amount: float
    targets_db: tuple[float, ...]
    """Signal-to-noise ratios that the cost refers to: those asked for, or the one that the budget leads to."""


@dataclass(frozen=True)
class CodebookChoice:
    """A token codebook, or none, with the rotation of what remains, and its cost."""

    means: Tensor | None
    """Typical tokens x directions."""
    rotation: Tensor
    """Columns x directions, orthonormal."""
    cost: Cost


def targets_of(quality: Quality | None) -> tuple[float, ...]:
    """Signal-to-noise ratios at which costs are compared."""
    return (quality.value,) if quality is not None and quality.kind == "snr_db" else _TARGETS_DB


def stride_of(held_out: Tensor) -> int:
    """Return the stride at which held-out tokens, tokens x channels, are measured: above 1 where they are many."""
    return max(1, -(-held_out.numel() // _MAX_HELD_OUT_VALUES))


def calibration_of(
    train: Tensor, test: Tensor, options: KltOptions, quality: Quality | None, per_sample: float
) -> Calibration:
    """Rotate to principal directions; of many channels, leave out those far below the finest target."""
    scale = scale_of_tiny(max(map(abs, map(float, train.aminmax()))) if train.numel() else 0.0)
    if scale > 1:
        train, test = train * scale, test * scale
    signal, targets = float(test[:: stride_of(test)].square().sum(1).mean()), targets_of(quality)
    finest = signal * error_share(max(targets) + MARGIN_DB)
    ranges = torch.arange(train.shape[1]) * options.ranges // train.shape[1] if options.ranges > 1 else None
    rows, range_of = _directions(train, ranges, finest, options.components)
    budget = None
    if quality is not None and quality.kind == "bpfp":
        budget = quality.value * train.shape[1] - _TOKEN_CLASS_BITS - 8 * _FRAME_BYTES / max(per_sample, 1)
    shared = options.shared_by * max(per_sample, 1)
    projected = train @ rows.T
    products = products_of(projected) if ranges is None and train.shape[1] > MANY_CHANNELS else None
    tokens = ProjectedTokens(projected, range_of, products)
    return Calibration(tokens, test @ rows.T, stride_of(test), rows, signal, targets, budget, shared, scale)


def _directions(
    train: Tensor, ranges: Tensor | None, finest: float, components: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return principal directions and the range of each; of many channels, those that an error of `finest` needs."""

    def count_useful(variance: Tensor, energy: float) -> int:
        prediction = single_band(variance.to(torch.float64).numpy(), 1, max(energy - float(variance.sum()), 0.0))
        return max(1, prediction.columns(prediction.step_for_error(finest)))

    if train.shape[1] <= MANY_CHANNELS:
        return principal_by_range(train, ranges, components)
    if ranges is None and components is None and train.shape[1] <= MAX_EXACT:
        return leading(train, count_useful), None
    rows, range_of = principal_by_range(train, ranges, components)
    energy = float(train.square().sum(1, dtype=torch.float64).mean())
    count = count_useful((train @ rows.T).square().mean(0), energy)
    return rows[:count], None if range_of is None else range_of[:count]


def codebook_choices(calibration: Calibration, options: KltOptions) -> list[CodebookChoice]:
    """Try sizes of the codebook as long as the cost falls; the size that the options name, if they do."""
    if options.means is not None:
        return [_try_size(calibration, options.means)]
    tried = [_try_size(calibration, 0)]
    for size in _SIZES:
        if size * _MIN_TOKENS_PER_ENTRY > len(calibration.train.values):
            break
        tried.append(_try_size(calibration, size))
        if tried[-1].cost.amount >= tried[-2].cost.amount:
            break
    return tried


def _try_size(calibration: Calibration, size: int) -> CodebookChoice:
    train, means, unseen, side_bits = calibration.train, None, calibration.unseen, 0.0
    if size:
        means = fit_codebook(train.values, min(size, len(train.values)))
        index = nearest_of(unseen, means)
        unseen = unseen - means[index]
        side_bits = _entropy(np.bincount(index.numpy(), minlength=len(means)))
        side_bits += 8 * len(means) * calibration.rows.shape[1] / calibration.tokens_shared
    rotation = train.principal_about(means)
    variance = np.sort(_variance(unseen @ rotation.T))[::-1]
    left_out = max(calibration.signal - float(calibration.unseen.square().sum(1).mean()), 0.0)
    return CodebookChoice(means, rotation, _cost(single_band(variance, 1, left_out), calibration, side_bits))


def _cost(prediction: WaterFilling, calibration: Calibration, side_bits: float) -> Cost:
    signal, budget = calibration.signal, calibration.budget
    if budget is None:
        steps = [prediction.step_for_error(signal * error_share(target)) for target in calibration.targets_db]
        bits = float(np.mean([prediction.bits(step) for step in steps]))
        return Cost(bits + side_bits, calibration.targets_db)
    if side_bits >= budget:
        return Cost(signal * (1 + side_bits), (_MIN_TARGET_DB,))
    error = prediction.error(prediction.step_for_bits(budget - side_bits))
    reached = max(_MIN_TARGET_DB, 10 * math.log10(signal / error)) if error > 0 else max(_TARGETS_DB)
    return Cost(error, (reached,))


def _variance(columns: Tensor) -> NDArray[np.float64]:
    variance: NDArray[np.float64] = columns.to(torch.float64).square().mean(0).numpy()
    return variance


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return -float((shares * np.log2(shares)).sum())

"""Candidate transforms of a fit: channel transforms with and without a token codebook, the cheapest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from lamofc_codecs.klt.fit.build_profile import Transform
from lamofc_codecs.klt.fit.codebook_size import (
    Calibration,
    CodebookChoice,
    calibration_of,
    codebook_choices,
    stride_of,
    targets_of,
)
from lamofc_codecs.klt.fit.grid_search import HELD_OUT_DIVISOR
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform import fit_codebook
from lamofc_codecs.quality import Quality


@dataclass(frozen=True)
class FittedTransform:
    """One transform, fitted twice; None where channels stay as they are."""

    measured: Transform | None
    """Fitted without the tokens held out, on which spreads and tables are measured."""
    final: Transform | None
    """Refitted on all tokens: the held-out ones were only needed to choose and to measure."""

    @classmethod
    def from_choice(cls, choice: CodebookChoice, calibration: Calibration) -> FittedTransform:
        """Refit a choice on all tokens."""
        tokens, means = calibration.train.with_more(calibration.test), None
        if choice.means is not None:
            means = fit_codebook(tokens.values, len(choice.means), choice.means)
        measured = _in_channels(choice.means, choice.rotation, calibration)
        return cls(measured, _in_channels(means, tokens.principal_about(means), calibration))


@dataclass(frozen=True)
class TransformSearch:
    """Transforms that a fit may take, and the tokens held out of them."""

    test: Tensor
    targets_db: tuple[float, ...]
    """Signal-to-noise ratios at which profiles are compared."""
    transforms: Iterator[FittedTransform]
    """The cheapest one, then, if that has a codebook, the one without; each is fitted when it is asked for."""


def search_transforms(
    centred: Tensor, options: KltOptions, quality: Quality | None, per_sample: float
) -> TransformSearch:
    """Hold out the last quarter of the tokens, and rank transforms by their cost on it."""
    held_out = max(1, len(centred) // HELD_OUT_DIVISOR)
    enough = len(centred) > HELD_OUT_DIVISOR
    train, test = (centred[:-held_out], centred[-held_out:]) if enough else (centred, centred)
    measured = test[:: stride_of(test)]
    if options.transform == "none":
        return TransformSearch(measured, targets_of(quality), iter([FittedTransform(None, None)]))
    calibration = calibration_of(train, test, options, quality, per_sample)
    tried = codebook_choices(calibration, options)
    best = min(tried, key=lambda choice: choice.cost.amount)
    plain = [choice for choice in tried if choice.means is None]
    chosen = [best] if best.means is None else [best, *plain]
    transforms = (FittedTransform.from_choice(choice, calibration) for choice in chosen)
    return TransformSearch(measured, best.cost.targets_db, transforms)


def _in_channels(means: Tensor | None, rotation: Tensor, calibration: Calibration) -> Transform:
    typical = None if means is None else means @ calibration.rows
    return Transform(rotation @ calibration.rows, typical if typical is None else typical / calibration.scale)

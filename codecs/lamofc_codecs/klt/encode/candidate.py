"""Candidates: a sample quantised with one step, what a decoder makes of it, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.distortion import decode_exactly
from lamofc_codecs.klt.encode.quantised import QuantisedLevels, quantise_at
from lamofc_codecs.klt.encode.rate_model import side_bits
from lamofc_codecs.klt.format import LayerHead
from lamofc_codecs.klt.layers import choose_split, count_digits, first_bits, pass_bits, refinement_bits
from lamofc_codecs.runtime import lazy
from lamofc_codecs.stats import Distortion


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sample quantised with one step."""

    quantised: QuantisedLevels
    exact: tuple[NDArray[np.int64], ...]
    """Positions of the exact entries of each part, rising."""
    distortion: tuple[Distortion, ...]
    """Distortion of each part."""
    error: float
    """Squared error as the quality counts it."""
    side_bits: float
    """Predicted bits of all but the levels."""
    layer_bytes: int
    """Bytes that a layer within a refinement level takes, or more."""

    @property
    def step(self) -> float:
        """Step of the finest refinement level."""
        return self.quantised.step

    @lazy
    def head(self) -> LayerHead:
        """Structure of the record, its refinement levels split into layers."""
        quantised = self.quantised
        levels = zip(pairwise(quantised.levels), quantised.runs[1:], strict=True)
        bits = (pass_bits(count_digits(fine, coarse, runs)) for (coarse, fine), runs in levels)
        return replace(quantised.head, splits=tuple(choose_split(every, self.layer_bytes) for every in bits))

    @lazy
    def bits(self) -> float:
        """Bits of all layers, to a part in a thousand."""
        levels, runs = self.quantised.levels, self.quantised.runs
        total = self.side_bits + first_bits(levels[0], runs[0])
        for (coarse, fine), own, split in zip(pairwise(levels), runs[1:], self.head.splits, strict=True):
            total += refinement_bits(fine, coarse, own, split.passes)
        return total


def try_step(coefficients: Coefficients, step: float, depth: int, columns: int | None = None) -> Candidate:
    """Quantise a sample with one step into `depth` refinement levels, and decode it again."""
    quantised = quantise_at(coefficients, step, depth, columns)
    distortion = coefficients.measure.measure(decode_exactly(coefficients, quantised, depth - 1, coefficients.exact))
    error = coefficients.measure.error(distortion)
    layer_bytes = coefficients.parameters.options.layer_bytes
    return Candidate(quantised, coefficients.exact, distortion, error, side_bits(coefficients), layer_bytes)

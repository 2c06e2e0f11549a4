"""Predicted error and bits of a step, from a subsample of the coefficients."""

from __future__ import annotations

from dataclasses import dataclass

from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.quantised import clamp_step, quantise_tokens
from lamofc_codecs.klt.quantise import ERROR_PER_BIT, ColumnCosts

_TOKEN_CLASS_BITS = 1.5
"""Cost of a token's class."""
_POSITION_BYTES = 1.5
"""Cost of the position of an exact entry."""
_START_BITS = 150
"""Cost of a first layer's head and lists."""


@dataclass(frozen=True, eq=False)
class RateModel:
    """Predictions for one sample."""

    coefficients: Coefficients

    def error(self, step: float) -> float:
        """Predict the squared error that a step leaves."""
        parameters, costs = self.coefficients.parameters, self._costs(step)
        errors = costs.errors(costs.worth_coding(ERROR_PER_BIT))
        errors *= parameters.error_gains[: len(errors)]
        return float(step * step * errors.sum() + self.coefficients.prediction.irreducible)

    def bits(self, step: float) -> float:
        """Predict the bits that a step takes."""
        costs = self._costs(step)
        return costs.bits(costs.worth_coding(ERROR_PER_BIT)) + side_bits(self.coefficients)

    def _costs(self, step: float) -> ColumnCosts:
        """Quantise the subsample, and let each of its tokens stand for as many as it does."""
        coefficients = self.coefficients
        total = ColumnCosts.zeros(coefficients.values.shape[1])
        for tokens, scale in coefficients.subsample.pieces:
            values, band = coefficients.values[tokens], coefficients.band[tokens]
            costs = quantise_tokens(values, band, clamp_step(step), coefficients.parameters)[1]
            total += costs.scaled(scale)
        return total


def side_bits(coefficients: Coefficients) -> float:
    """Predict the bits of all but the levels."""
    codebook, source = coefficients.parameters.codebook, coefficients.source
    per_token = _TOKEN_CLASS_BITS + (0.0 if codebook is None else codebook.bits)
    exact = sum(
        len(positions) * (tensor.itemsize + _POSITION_BYTES)
        for positions, tensor in zip(coefficients.exact, source.tensors, strict=True)
    )
    return len(coefficients.values) * per_token + 8.0 * exact + _START_BITS

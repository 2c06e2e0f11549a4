"""Several items in one record: gains by which each item, and not only all together, meets the quality."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lamofc_codecs.klt.encode.candidate import Candidate, try_step
from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.distortion import decode_exactly
from lamofc_codecs.klt.layers import sigma_classes
from lamofc_codecs.klt.quantise import (
    ItemGains,
    TokenGroups,
    classify_tokens,
    gain_factors,
    quantisation_errors,
    smallest_gains,
)
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import MAX_GAIN
from lamofc_codecs.stats import MAX_ERROR_RATIO, sum_by_item

_ROUNDS = 4
_GAIN_REACH = 15
"""Distance from the gains before, in sixteenths of an octave, within which better ones are searched."""


def equalise_items(coefficients: Coefficients, candidate: Candidate) -> tuple[Coefficients, Candidate]:
    """Multiply the tokens of each item by a gain, so that each item meets the quality at the common step.

    An item meets it by at most 3 % (0.13 dB) above its error budget.
    """
    measure, items = coefficients.measure, coefficients.source.items
    if len(items) < 2 or measure.quality.kind not in ("snr_db", "mse", "kl"):
        return coefficients, candidate
    budgets = measure.item_budgets()
    search = _GainSearch(coefficients, coefficients, coefficients.values.shape[1], candidate.step)
    gains = np.zeros(len(items), np.int64)
    for _ in range(_ROUNDS):
        errors = search.errors(candidate)
        within = (errors <= MAX_ERROR_RATIO * budgets).all()
        if within and (search.current is not coefficients or (budgets <= MAX_ERROR_RATIO * errors).all()):
            break
        gains = search.smallest(gains, errors, budgets)
        raised = search.with_gains(gains)
        columns = None if search.current is coefficients else search.columns
        candidate = try_step(raised, candidate.step, len(candidate.quantised.levels), columns)
        search = replace(search, current=raised, columns=candidate.quantised.head.columns[-1])
    return search.current, candidate


@dataclass(frozen=True)
class _GainSearch:
    """The search for gains of items at one step."""

    current: Coefficients
    """Coefficients with the gains found so far."""
    original: Coefficients
    """Coefficients without gains."""
    columns: int
    """Columns that are coded."""
    step: float

    def errors(self, candidate: Candidate) -> Doubles:
        """Weighted squared error of each item."""
        depth = len(candidate.quantised.levels) - 1
        decoded = decode_exactly(self.current, candidate.quantised, depth, self.current.exact)
        return sum_by_item(self.current.measure.token_errors(decoded), self.current.source.items)

    def smallest(self, gains: ItemGains, errors: Doubles, budgets: Doubles) -> ItemGains:
        """Return the smallest gains that suffice, given the errors that those before led to."""
        unpredicted = errors - self._predict(gains)
        reach = MAX_GAIN if self.current is self.original else _GAIN_REACH
        return smallest_gains(lambda tried: self._predict(tried) + unpredicted <= budgets, gains, reach)

    def with_gains(self, gains: ItemGains) -> Coefficients:
        """Multiply the tokens of each item by its gain."""
        of_tokens = np.repeat(gains, self.original.source.items)
        values = self.original.values * gain_factors(of_tokens)[:, None]
        return replace(self.original, values=values, item_gains=of_tokens)

    def _predict(self, gains: ItemGains) -> Doubles:
        """Predict the error of each item in the coded columns."""
        factors = gain_factors(np.repeat(gains, self.original.source.items))
        values, step = self.original.values * factors[:, None], np.float32(self.step)
        parameters = self.original.parameters
        sigma, band = parameters.spreads[:, : values.shape[1]], np.zeros(len(values), np.uint8)
        tokens = TokenGroups.from_classes(classify_tokens(values, band, sigma, step))
        classes = sigma_classes(sigma[:, : self.columns], step, tokens)
        values = np.ascontiguousarray(values[:, : self.columns])
        errors = quantisation_errors(values, tokens.group, classes, step, parameters.deadzone)
        return sum_by_item(np.square(self.step / factors.astype(np.float64)) * errors, self.original.source.items)

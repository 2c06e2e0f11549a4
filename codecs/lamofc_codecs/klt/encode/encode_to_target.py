"""Rate control of `klt`: from the coefficients of a sample to the candidate that meets its quality."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from lamofc_codecs.klt.encode.candidate import Candidate, try_step
from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.distortion import decode_level, restore_exact
from lamofc_codecs.klt.encode.quantised import clamp_step
from lamofc_codecs.klt.encode.rate_model import RateModel, side_bits
from lamofc_codecs.klt.format import MIN_STEP
from lamofc_codecs.klt.layers import STEP_RATIO
from lamofc_codecs.runtime import convert
from lamofc_codecs.stats import MAX_ERROR_RATIO, SearchTarget, SecantSteps, coarsest_within, nearest_rate

_MAX_CANDIDATES = 8
_MIN_ERROR_RATIO = 0.96
"""A candidate that uses this share of its error budget, or more, is not worth improving: it is within 0.18 dB."""
_AIM_RATIO = 0.99
"""Share of the error budget that is aimed at, as whole candidates lose a little more than predicted."""
_RATE_TOLERANCE = 0.01
"""Share of the bit budget within which a candidate is not worth improving."""
_COARSEST_STEP = 2.0**-64
"""Least step of a sample without signal, which any step represents."""
_LIMIT_RATIOS = (0.7, 1.0, 1.4, 2.0)
"""Steps that are tried under a largest error, in units of it: finer ones need more bits, coarser more exact entries."""

_ELEMENTS_PER_LAYER_BYTE = 4
"""A record with fewer elements for each byte of a layer has one refinement level."""
_DB_PER_REFINEMENT = 20 * math.log10(STEP_RATIO)
"""Decibels between neighbouring refinement levels."""
_MAX_COARSE_SHARE = 10**-0.35
"""Share of the signal that a coarser refinement level may lose, 3.5 dB, to be worth writing."""


def encode_to_target(coefficients: Coefficients) -> tuple[Candidate, bool]:
    """Return the candidate of the coarsest step that meets the quality, and whether it does.

    An error budget is met by at most 3 % (0.13 dB) above it. A step is missed if it is below the least one of records,
    and a rate if that least step is so coarse that the bits cannot be spent.
    """
    quality, model = coefficients.measure.quality, RateModel(coefficients)
    if quality.kind == "max_error":
        return _within_limit(model, quality.value), True
    if quality.kind == "step":
        return _candidates(model, quality.value)(quality.value), quality.value >= MIN_STEP
    if quality.kind == "bpfp":
        budget = quality.value * coefficients.source.size
        candidate = _at_rate(model, budget)
        spent = candidate.bits >= (1 - _RATE_TOLERANCE) * budget
        return candidate, candidate.step > MIN_STEP or spent or candidate.error == 0
    return _within_error(model, coefficients.measure.budget)


def _candidates(model: RateModel, first: float) -> Callable[[float], Candidate]:
    """Return the function from steps to candidates; the first step settles the number of refinement levels."""
    depth = _refinement_levels(model, float(clamp_step(first)))
    return lambda step: try_step(model.coefficients, step, depth)


def _within_error(model: RateModel, budget: float) -> tuple[Candidate, bool]:
    prediction = model.coefficients.prediction
    if budget <= 0:
        step = max(prediction.step_for_bits(0.0), _COARSEST_STEP)
        return _candidates(model, step)(step), True
    target = SearchTarget(
        _AIM_RATIO * budget,
        0.5,
        lambda error: _MIN_ERROR_RATIO * budget <= error <= MAX_ERROR_RATIO * budget or error == 0,
    )
    steps = SecantSteps(target, model.error, prediction.step_for_error(budget))
    return coarsest_within(budget, steps, _candidates(model, steps.first), _MAX_CANDIDATES)


def _at_rate(model: RateModel, budget: float) -> Candidate:
    target = SearchTarget(budget, -1.0, lambda bits: abs(bits - budget) <= _RATE_TOLERANCE * budget)
    steps = SecantSteps(target, model.bits, model.coefficients.prediction.step_for_bits(budget))
    return nearest_rate(budget, steps, _candidates(model, steps.first), _MAX_CANDIDATES)


def _within_limit(model: RateModel, limit: float) -> Candidate:
    """Return the cheapest of some candidates, each with all entries exact that would be off by more than the limit."""
    attempt = _candidates(model, limit * _LIMIT_RATIOS[0])
    candidates = (_with_far_entries_exact(model.coefficients, attempt(limit * ratio), limit) for ratio in _LIMIT_RATIOS)
    return min(candidates, key=lambda candidate: candidate.bits)


def _with_far_entries_exact(coefficients: Coefficients, candidate: Candidate, limit: float) -> Candidate:
    """Store the entries exactly that are off by more than the limit."""
    quantised = candidate.quantised
    decoded = decode_level(coefficients, quantised, len(quantised.levels) - 1)
    positions = []
    for part, tensor in enumerate(decoded):
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(coefficients.source.part(part) - convert(tensor, torch.float32).numpy()) > limit
        positions.append(np.union1d(coefficients.exact[part], np.flatnonzero(far)))
    exact = tuple(positions)
    restore_exact(coefficients.source, exact, decoded)
    with_exact = replace(coefficients, exact=exact)
    return replace(
        candidate,
        exact=exact,
        distortion=coefficients.measure.measure(decoded),
        side_bits=side_bits(with_exact),
    )


def _refinement_levels(model: RateModel, step: float) -> int:
    """Choose how many refinement levels are worth writing.

    A signal-to-noise ratio settles it, so that all records of a quality are read alike; for other qualities, each
    coarser level must still represent some of the signal.
    """
    coefficients = model.coefficients
    options, quality = coefficients.parameters.options, coefficients.measure.quality
    if coefficients.source.size < _ELEMENTS_PER_LAYER_BYTE * options.layer_bytes:
        return 1
    if quality.kind == "snr_db":
        return min(max(1 + int(quality.value / _DB_PER_REFINEMENT), 1), options.levels)
    count, signal = 1, coefficients.measure.signal
    while count < options.levels and model.error(step * STEP_RATIO**count) < _MAX_COARSE_SHARE * signal:
        count += 1
    return count

"""From a quality to a step: a guess from a sample of the entries, then whole tries until the target is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Bulk, Distortion, measure_distortion, solve
from lamofc_codecs.uniform.block import Block
from lamofc_codecs.uniform.rate_estimate import Entries, bits_at, errors_at

_TRIES = 6
_MOST_DB, _LEAST_ERROR = 3000.0, 5e-324
"""Decibels whose power float64 can hold, and its least number above 0."""
_CLOSE = 0.98
"""A try at this share of the allowed error, or above, is not bettered."""
_ENOUGH = 1.03
"""A try within this is good enough when no better one is found."""


@dataclass(frozen=True)
class Tried:
    """A tensor quantised with one step, and what a decoder would make of it."""

    step: float
    block: Block
    exact: NDArray[np.int64]
    """Positions of the entries that are stored as they are, rising."""
    decoded: Tensor
    distortion: Distortion
    reached: bool = True

    def keeping_exact(self, source: Source, bulk: Bulk, limit: float) -> Tried:
        """Store those entries exactly that are off by more than the limit, as rounding to a short dtype makes some."""
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(source.values - convert(self.decoded, torch.float32).numpy()) > limit
        if not far.any():
            return self
        exact = np.union1d(self.exact, np.flatnonzero(far))
        places = torch.from_numpy(exact)
        self.decoded.view(-1)[places] = source.tensor.view(-1)[places]
        found = measure_distortion(source.values, convert(self.decoded, torch.float32).numpy(), bulk)
        return replace(self, exact=exact, distortion=found)


@dataclass(frozen=True)
class RateControl:
    """One sample and the quality that it is to have."""

    quality: Quality
    source: Source
    entries: Entries
    sigma: Floats
    """Standard deviation of each column over the calibration samples."""
    drawn: Floats
    """Of each class; see `quantise`."""

    def meet(self, trial: Callable[[float], Tried]) -> Tried:
        """Try steps until one meets the quality."""
        kind, value = self.quality.kind, self.quality.value
        if kind == "step":
            return trial(value)
        if kind == "max_error":
            # A little less than twice the error: the reconstruction is rounded, too.
            return trial(2 * value * (1 - 2.0**-12))
        if kind == "bpfp":
            return self._meet_rate(trial, value * self.source.values.size)
        if kind == "mse":
            return self._meet_error(trial, value * self.source.values.size)
        decibels, signal = min(max(value, -_MOST_DB), _MOST_DB), self.source.sums.signal
        return self._meet_error(trial, max(signal * 10 ** (-decibels / 10), _LEAST_ERROR) if signal > 0 else 0.0)

    def _meet_error(self, trial: Callable[[float], Tried], allowed: float) -> Tried:
        of_bulk = self.quality.kind == "snr_db"
        if allowed <= 0:
            # Nothing varies in the bulk: there is nothing to get wrong, and any step will do.
            return trial(float(max(self.sigma.max(initial=0), 2.0**-64)))

        def excess(step: float) -> float:
            return _doublings(errors_at(self.entries, step, self.sigma, self.drawn)[of_bulk] / allowed)

        entries = self.source.sums.bulk if of_bulk else self.source.values.size
        step = solve(excess, math.sqrt(12 * allowed / max(entries, 1)))
        best: Tried | None = None
        for _ in range(_TRIES):
            step = _short(step)
            tried = trial(step)
            share = (tried.distortion.bulk_sse if of_bulk else tried.distortion.sse) / allowed
            met = replace(tried, reached=share <= _ENOUGH)
            if best is None or (met.reached, met.step) > (best.reached, best.step):
                best = met
            if _CLOSE <= share <= 2 - _CLOSE or share == 0:
                break
            step *= 2.0 ** -min(max(_doublings(share), -1.0), 1.0)
        return best if best is not None else trial(step)

    def _meet_rate(self, trial: Callable[[float], Tried], allowed: float) -> Tried:
        size = self.source.values.size
        middling = math.sqrt(float(np.mean(np.square(self.sigma, dtype=np.float64))))
        step = solve(lambda step: (allowed - bits_at(self.entries, step, self.sigma)) / size, middling)
        tried = trial(_short(step))
        for _ in range(_TRIES):
            over = (tried.block.bits() - allowed) / size
            if abs(over) * size <= (1 - _CLOSE) / 2 * allowed:
                break
            step *= 2.0 ** min(max(over, -1.0), 1.0)
            tried = trial(_short(step))
        return tried


def _short(step: float) -> float:
    """Round a step that was found to 12 bits: a last bit of somebody's logarithm then changes no record."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(round(mantissa * 4096) / 4096, exponent)


def _doublings(share: float) -> float:
    """Return by how many doublings of the step an error is too large, as an error mostly grows: with its square."""
    return 0.5 * math.log2(share) if share > 0 else -8.0

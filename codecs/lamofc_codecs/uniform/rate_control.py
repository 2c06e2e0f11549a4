"""Rate control of `uniform`: from a quality to a step, by a prediction and then by whole candidates."""

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
from lamofc_codecs.stats import (
    Bulk,
    DampedSteps,
    Distortion,
    coarsest_within,
    doublings,
    error_budget,
    measure_distortion,
    round_step,
    solve_step,
)
from lamofc_codecs.uniform.block import Block
from lamofc_codecs.uniform.rate_estimate import EntrySample, predict_bits, predict_errors

_MAX_CANDIDATES = 6
"""Candidates that are quantised as a whole in search of an error."""
_ERROR_TOLERANCE = 1 - 0.98
"""Share of the error budget within which a candidate is not worth improving."""
_RATE_TOLERANCE = _ERROR_TOLERANCE / 2
"""Share of the bit budget within which a candidate is not worth improving."""
_DOUBLINGS_OF_ZERO = -16.0
"""Stands for the logarithm of an error of 0, so that the search moves on by a bounded amount."""
_COARSEST_STEP = 2.0**-64
"""Step of a tensor without signal whose channels never varied: any step represents it."""


@dataclass(frozen=True)
class Candidate:
    """A tensor quantised with one step, and what a decoder makes of it."""

    step: float
    block: Block
    exact: NDArray[np.int64]
    """Positions of the entries that are stored as they are, rising."""
    decoded: Tensor
    distortion: Distortion
    of_bulk: bool = False
    """Whether the quality counts the errors of the bulk alone."""
    reached: bool = True
    """Whether the quality is met."""

    @property
    def error(self) -> float:
        """The squared error that the quality counts."""
        return self.distortion.bulk_sse if self.of_bulk else self.distortion.sse

    @property
    def bits(self) -> float:
        """The bits of the block, to a part in a thousand."""
        return self.block.bits()

    def store_far_entries(self, source: Source, bulk: Bulk, limit: float) -> Candidate:
        """Store the entries exactly that are off by more than the limit, as rounding to a short dtype leaves some."""
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(source.values - convert(self.decoded, torch.float32).numpy()) > limit
        if not far.any():
            return self
        exact = np.union1d(self.exact, np.flatnonzero(far))
        places = torch.from_numpy(exact)
        self.decoded.view(-1)[places] = source.tensor.view(-1)[places]
        distortion = measure_distortion(source.values, convert(self.decoded, torch.float32).numpy(), bulk)
        return replace(self, exact=exact, distortion=distortion)


@dataclass(frozen=True)
class RateControl:
    """One sample and the quality that it is to have."""

    quality: Quality
    source: Source
    entries: EntrySample
    sigma: Floats
    """Standard deviation of each column over the calibration samples."""
    offsets: Floats
    """Reconstruction offset of each sigma class, as a share of a step."""

    def encode_to_target(self, try_step: Callable[[float], Candidate]) -> Candidate:
        """Return the candidate of the coarsest step that meets the quality."""
        kind, value = self.quality.kind, self.quality.value
        if kind == "step":
            return try_step(value)
        if kind == "max_error":
            # A little less than twice the error: the reconstruction is rounded, too.
            return try_step(2 * value * (1 - 2.0**-12))
        if kind == "bpfp":
            return self._at_rate(try_step, value * self.source.values.size)
        if kind == "mse":
            return self._within_error(try_step, value * self.source.values.size)
        return self._within_error(try_step, error_budget(self.source.sums.signal, value))

    def _within_error(self, try_step: Callable[[float], Candidate], budget: float) -> Candidate:
        of_bulk = self.quality.kind == "snr_db"
        if budget <= 0:
            return try_step(float(max(self.sigma.max(initial=0), _COARSEST_STEP)))

        def excess(step: float) -> float:
            predicted = predict_errors(self.entries, step, self.sigma, self.offsets)[of_bulk]
            return 0.5 * doublings(predicted / budget, _DOUBLINGS_OF_ZERO)

        entries = self.source.sums.bulk if of_bulk else self.source.values.size
        first = solve_step(excess, math.sqrt(12 * budget / max(entries, 1)))
        best, reached = coarsest_within(
            budget,
            DampedSteps(first, budget, _ERROR_TOLERANCE),
            lambda step: replace(try_step(step), of_bulk=of_bulk),
            _MAX_CANDIDATES,
        )
        return replace(best, reached=reached)

    def _at_rate(self, try_step: Callable[[float], Candidate], budget: float) -> Candidate:
        """Return the last of a few candidates, each nearer to the budget than the one before as a rule."""
        size = self.source.values.size
        typical = math.sqrt(float(np.mean(np.square(self.sigma, dtype=np.float64))))
        step = solve_step(lambda step: (budget - predict_bits(self.entries, step, self.sigma)) / size, typical)
        candidate = try_step(round_step(step))
        for _ in range(_MAX_CANDIDATES):
            over = (candidate.bits - budget) / size
            if abs(over) * size <= _RATE_TOLERANCE * budget:
                break
            step *= 2.0 ** min(max(over, -1.0), 1.0)
            candidate = try_step(round_step(step))
        return candidate

"""Rate control: the search for the quantiser step whose candidate meets an error budget or a rate.

A search starts at a predicted step. Each candidate costs a full quantisation, so the next step follows from what the
candidates before it turned out to be, and the search ends as soon as one is close enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lamofc_codecs.stats.step_solver import solve_step

MAX_ERROR_RATIO = 1.03
"""A candidate meets an error budget if it leaves at most 3 % (0.13 dB) more than it."""
_STEP_BITS = 12
"""Bits of a step's mantissa: finer differences between two machines' logarithms then change no record."""
_MAX_DB = 3000.0
"""Decibels whose power of ten float64 can hold."""
_MIN_ERROR = 5e-324
"""The smallest float64 above 0."""
_LOG_OF_ZERO = -1100.0
"""Value that replaces the binary logarithm of 0, below that of any positive float64."""
_PREDICTION_TOLERANCE = 0.004
"""Doublings within which a predicted step meets its target: half a percent of the error."""
_MIN_BRACKET = 0.02
"""Doublings between the two steps of a bracket below which the search ends."""


class Outcome(Protocol):
    """A sample quantised with one step."""

    @property
    def step(self) -> float:
        """The step that it was quantised with."""

    @property
    def error(self) -> float:
        """The squared error that it leaves, as the quality counts it."""

    @property
    def bits(self) -> float:
        """The bits that it takes."""


class StepPolicy(Protocol):
    """The steps of a search, one after another."""

    def next_step(self) -> float:
        """Return the step of the next candidate."""

    def settled(self, step: float, value: float) -> bool:
        """Note the error or the bits of a candidate; return whether the search can end."""


Tried = TypeVar("Tried", bound=Outcome)


def error_share(decibels: float) -> float:
    """Return the share of a signal's energy that a signal-to-noise ratio leaves as squared error."""
    return float(10 ** (-min(max(decibels, -_MAX_DB), _MAX_DB) / 10))


def error_budget(signal: float, decibels: float) -> float:
    """Return the squared error that a signal-to-noise ratio allows: above 0 unless there is no signal."""
    return max(signal * error_share(decibels), _MIN_ERROR) if signal > 0 else 0.0


def round_step(step: float) -> float:
    """Round a step to 12 bits."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(round(mantissa * (1 << _STEP_BITS)) / (1 << _STEP_BITS), exponent)


def doublings(ratio: float, log_of_zero: float = _LOG_OF_ZERO) -> float:
    """Return the logarithm of a ratio to the base of two, kept finite."""
    return math.log2(ratio) if ratio > 0 else log_of_zero


def coarsest_within(
    budget: float, steps: StepPolicy, try_step: Callable[[float], Tried], limit: int
) -> tuple[Tried, bool]:
    """Return the coarsest of at most `limit` candidates that meets an error budget, and whether one does.

    "Meets" allows 3 % (0.13 dB) above the budget. If no candidate meets it, the coarsest of all is returned.
    """
    best = latest = try_step(steps.next_step())
    met = latest.error <= MAX_ERROR_RATIO * budget
    for _ in range(limit - 1):
        if steps.settled(latest.step, latest.error):
            break
        latest = try_step(steps.next_step())
        latest_met = latest.error <= MAX_ERROR_RATIO * budget
        if (latest_met, latest.step) > (met, best.step):
            best, met = latest, latest_met
    return best, met


def nearest_rate(budget: float, steps: StepPolicy, try_step: Callable[[float], Tried], limit: int) -> Tried:
    """Return, of at most `limit` candidates, the one whose bits are nearest to a budget."""
    best = latest = try_step(steps.next_step())
    for _ in range(limit - 1):
        if steps.settled(latest.step, latest.bits):
            break
        latest = try_step(steps.next_step())
        if abs(latest.bits - budget) < abs(best.bits - budget):
            best = latest
    return best


class DampedSteps:
    """Steps that follow the error of the last candidate alone, at most one octave at a time."""

    def __init__(self, first: float, budget: float, tolerance: float) -> None:
        """Begin at a predicted step; an error within the share `tolerance` of the budget ends the search."""
        self._step, self._budget, self._tolerance = first, budget, tolerance

    def next_step(self) -> float:
        """Return the step of the next candidate."""
        self._step = round_step(self._step)
        return self._step

    def settled(self, step: float, value: float) -> bool:
        """Note the error of a candidate, which grows roughly with the square of the step."""
        ratio = value / self._budget
        self._step *= 2.0 ** -min(max(0.5 * doublings(ratio), -1.0), 1.0)
        return 1 - self._tolerance <= ratio <= 1 + self._tolerance or ratio == 0


@dataclass(frozen=True)
class SearchTarget:
    """The error or the rate that a search aims at."""

    value: float
    """Error or bits that candidates are to have."""
    exponent: float
    """Doublings of the step for each doubling of the value: 0.5 for an error, -1 for a rate, roughly."""
    close: Callable[[float], bool]
    """Says whether a value is close enough to the target to end the search."""

    def in_doublings(self, value: float) -> float:
        """Return a value on a scale that rises by about one with each doubling of the step."""
        return self.exponent * doublings(value)


class SecantSteps:
    """Steps by the secant through the last two candidates, within the bracket of all candidates."""

    def __init__(self, target: SearchTarget, predict: Callable[[float], float], start: float) -> None:
        """Predict the first step, at which `predict` meets the target, by a search that begins at `start`."""
        self._target, self._goal = target, target.in_doublings(target.value)
        self._predict = predict
        self._points: list[tuple[float, float]] = []
        predicted = solve_step(lambda step: self._predicted(step) - self._goal, start, _PREDICTION_TOLERANCE)
        self.first = round_step(predicted)
        """The first step."""

    def next_step(self) -> float:
        """Return the step of the next candidate, within the bracket of the earlier ones."""
        if not self._points:
            return self.first
        at, value = self._points[-1]
        before = self._points[-2] if len(self._points) > 1 else (at - 0.25, value - self._predicted_rise(at))
        slope = (value - before[1]) / (at - before[0]) if at != before[0] else 1.0
        to = at + min(max((self._goal - value) / min(max(slope, 0.1), 4.0), -2.0), 2.0)
        fine, coarse = self._bracket()
        if not fine < to < coarse and math.isfinite(fine + coarse):
            to = (fine + coarse) / 2
        return round_step(math.exp2(to))

    def settled(self, step: float, value: float) -> bool:
        """Note the error or the bits of a candidate; return whether the search can end."""
        if self._target.close(value):
            return True
        self._points.append((math.log2(step), self._target.in_doublings(value)))
        fine, coarse = self._bracket()
        # In a bracket this narrow the value jumps over the target between two nearly equal steps.
        return coarse - fine < _MIN_BRACKET

    def _bracket(self) -> tuple[float, float]:
        """Return the coarsest step that was too fine and the finest step that was too coarse, in doublings."""
        fine = max((at for at, value in self._points if value < self._goal), default=-math.inf)
        coarse = min((at for at, value in self._points if value > self._goal), default=math.inf)
        return fine, coarse

    def _predicted(self, step: float) -> float:
        return self._target.in_doublings(self._predict(step))

    def _predicted_rise(self, at: float) -> float:
        return self._predicted(2.0**at) - self._predicted(2.0 ** (at - 0.25))

"""From a quality to a step: a guess that costs little, then whole tries until the target is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lamofc_codecs.bulk import Distortion
from lamofc_codecs.codec import Source
from lamofc_codecs.quality import Quality
from lamofc_codecs.target import solve
from lamofc_codecs.theory import Theory

_TRIES = 8
_MOST_DB, _LEAST_ERROR = 3000.0, 5e-324
"""Decibels whose power float64 can hold, and its least number above 0."""
_CLOSE = 0.98
"""A try at this share of the allowed error, or above, is not bettered."""
_ENOUGH = 1.03
"""A try within this is good enough when no better one is found."""


class Outcome(Protocol):
    """A tensor coded with one step."""

    @property
    def step(self) -> float:
        """The step that it was coded with."""

    @property
    def bits(self) -> float:
        """What it takes."""

    @property
    def distortion(self) -> Distortion:
        """What is lost."""


Tried = TypeVar("Tried", bound=Outcome)


@dataclass(frozen=True)
class Search(Generic[Tried]):
    """One sample, and how its error and its rate go with the step."""

    source: Source
    theory: Theory
    """Where to begin."""
    errors: Callable[[float], float]
    """About what squared error a step leaves."""
    bits: Callable[[float], float]
    """About what a step costs."""
    trial: Callable[[float], Tried]

    def meet(self, quality: Quality) -> tuple[Tried, bool]:
        """The coarsest try that meets the quality; and whether it does."""
        kind, value = quality.kind, quality.value
        if kind == "step":
            return self.trial(value), True
        size = self.source.values.size
        if kind == "bpfp":
            return self._meet_rate(value * size)
        if kind == "mse":
            return self._meet_error(value * size, of_bulk=False)
        decibels, signal = min(max(value, -_MOST_DB), _MOST_DB), self.source.sums.signal
        allowed = max(signal * 10 ** (-decibels / 10), _LEAST_ERROR) if signal > 0 else 0.0
        return self._meet_error(allowed, of_bulk=True)

    def _meet_error(self, allowed: float, *, of_bulk: bool) -> tuple[Tried, bool]:
        if allowed <= 0:
            # Nothing varies in the bulk: there is nothing to get wrong, and any step will do.
            return self.trial(max(self.theory.step_for_bits(0.0), 2.0**-64)), True
        best: tuple[Tried, bool] | None = None
        start = self.theory.step_for_error(allowed)
        points = _Points(lambda step: 0.5 * _doublings(self.errors(step)), 0.5 * math.log2(allowed))
        for _ in range(_TRIES):
            tried = self.trial(_short(points.next(start)))
            error = tried.distortion.sse
            if of_bulk:  # and entries out of the bulk are not to be worse
                error = max(tried.distortion.bulk_sse, error * self.source.sums.bulk / self.source.values.size)
            met = error <= _ENOUGH * allowed
            if best is None or (met, tried.step) > (best[1], best[0].step):
                best = tried, met
            if _CLOSE * allowed <= error <= (2 - _CLOSE) * allowed or error == 0:
                break
            points.add(tried.step, 0.5 * _doublings(error))
        return best if best is not None else (self.trial(start), False)

    def _meet_rate(self, allowed: float) -> tuple[Tried, bool]:
        best: tuple[float, Tried] | None = None
        start = self.theory.step_for_bits(allowed)
        points = _Points(lambda step: -_doublings(self.bits(step)), -math.log2(allowed))
        for _ in range(_TRIES):
            tried = self.trial(_short(points.next(start)))
            over = abs(tried.bits - allowed)
            if best is None or over < best[0]:
                best = over, tried
            if over <= (1 - _CLOSE) / 2 * allowed:
                break
            points.add(tried.step, -_doublings(tried.bits))
        return (best[1] if best is not None else self.trial(start)), True


class _Points:
    """What a few steps gave, and which to try next: of something that rises with the step, both in doublings."""

    def __init__(self, guess: Callable[[float], float], wanted: float) -> None:
        self._guess, self._wanted = guess, wanted
        self._found: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Take in what a step gave."""
        self._found.append((math.log2(step), value))

    def next(self, start: float) -> float:
        """The step to try: where the guess says; then on from the last by the guess's slope; then by their own.

        Never beyond what was found to be too fine or too coarse.
        """
        if not self._found:
            return solve(lambda step: self._guess(step) - self._wanted, start)
        at, value = self._found[-1]
        before = self._found[-2] if len(self._found) > 1 else (at - 0.25, value + self._change(at))
        slope = (value - before[1]) / (at - before[0]) if at != before[0] else 1.0
        to = at + min(max((self._wanted - value) / min(max(slope, 0.1), 4.0), -2.0), 2.0)
        fine = max((found for found, value in self._found if value < self._wanted), default=-math.inf)
        coarse = min((found for found, value in self._found if value > self._wanted), default=math.inf)
        if not fine < to < coarse and math.isfinite(fine + coarse):
            to = (fine + coarse) / 2
        return math.exp2(to)

    def _change(self, at: float) -> float:
        return self._guess(2.0 ** (at - 0.25)) - self._guess(2.0**at)


def _short(step: float) -> float:
    """Round a step that was found to 12 bits: a last bit of somebody's logarithm then changes no record."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(round(mantissa * 4096) / 4096, exponent)


def _doublings(ratio: float) -> float:
    """The logarithm of a ratio to the base of two, kept finite."""
    return math.log2(ratio) if ratio > 0 else -16.0

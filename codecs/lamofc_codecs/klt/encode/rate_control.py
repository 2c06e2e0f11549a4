"""The step that meets a target: a guess that costs little, then whole tries until the target is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lamofc_codecs.stats import WaterFilling, solve

_TRIES = 8
_CLOSE = 0.96
"""A try at this share of the allowed error, or above, is not bettered: it is within 0.18 dB."""
_AIM = 0.99
"""What is aimed at, since whole tries lose a little more than guesses tell."""
_AMISS = 0.01
"""A try that misses the allowed rate by no more is not bettered."""
_NEAR = 0.004
"""Doublings within which a guess is to meet the target: half a percent of the error."""
_JUMP = 0.02
"""Doublings between steps that are not told apart any more."""
_ENOUGH = 1.03
"""A try within this is good enough when no better one is found."""


class Outcome(Protocol):
    """A sample coded with one step."""

    @property
    def step(self) -> float:
        """The step that it was coded with."""

    @property
    def bits(self) -> float:
        """What it takes."""

    @property
    def error(self) -> float:
        """What is lost."""


Tried = TypeVar("Tried", bound=Outcome)


@dataclass(frozen=True)
class StepSearch(Generic[Tried]):
    """How the error and the rate of one sample go with the step."""

    theory: WaterFilling
    """Where to begin."""
    errors: Callable[[float], float]
    """About what error a step leaves."""
    bits: Callable[[float], float]
    """About what a step costs."""
    trial: Callable[[float], Tried]

    def within_error(self, allowed: float) -> tuple[Tried, bool]:
        """The coarsest try that leaves no more error; and whether it does."""
        if allowed <= 0:
            # Nothing varies in the bulk: there is nothing to get wrong, and any step will do.
            return self.trial(max(self.theory.step_for_bits(0.0), 2.0**-64)), True
        best: tuple[Tried, bool] | None = None
        start = self.theory.step_for_error(allowed)
        points = _Points(lambda step: 0.5 * _doublings(self.errors(step)), 0.5 * math.log2(_AIM * allowed))
        for _ in range(_TRIES):
            tried = self.trial(_short(points.next(start)))
            met = tried.error <= _ENOUGH * allowed
            if best is None or (met, tried.step) > (best[1], best[0].step):
                best = tried, met
            if _CLOSE * allowed <= tried.error <= _ENOUGH * allowed or tried.error == 0:
                break
            points.add(tried.step, 0.5 * _doublings(tried.error))
            if points.narrow:
                break
        return best if best is not None else (self.trial(start), False)

    def at_rate(self, allowed: float) -> Tried:
        """The try that takes as many bits, as nearly as can be."""
        best: tuple[float, Tried] | None = None
        start = self.theory.step_for_bits(allowed)
        points = _Points(lambda step: -_doublings(self.bits(step)), -math.log2(allowed))
        for _ in range(_TRIES):
            tried = self.trial(_short(points.next(start)))
            over = abs(tried.bits - allowed)
            if best is None or over < best[0]:
                best = over, tried
            if over <= _AMISS * allowed:
                break
            points.add(tried.step, -_doublings(tried.bits))
            if points.narrow:
                break
        return best[1] if best is not None else self.trial(start)


class _Points:
    """What a few steps gave, and which to try next: of something that rises with the step, both in doublings."""

    def __init__(self, guess: Callable[[float], float], wanted: float) -> None:
        self._guess, self._wanted = guess, wanted
        self._found: list[tuple[float, float]] = []

    def add(self, step: float, value: float) -> None:
        """Take in what a step gave."""
        self._found.append((math.log2(step), value))

    @property
    def narrow(self) -> bool:
        """Whether what is too fine and what is too coarse lie so close that all between is a jump."""
        fine, coarse = self._bounds()
        return coarse - fine < _JUMP

    def _bounds(self) -> tuple[float, float]:
        """The coarsest step that was found too fine, and the finest that was too coarse, in doublings."""
        fine = max((found for found, value in self._found if value < self._wanted), default=-math.inf)
        coarse = min((found for found, value in self._found if value > self._wanted), default=math.inf)
        return fine, coarse

    def next(self, start: float) -> float:
        """The step to try: where the guess says; then on from the last by the guess's slope; then by their own.

        Never beyond what was found to be too fine or too coarse.
        """
        if not self._found:
            return solve(lambda step: self._guess(step) - self._wanted, start, _NEAR)
        at, value = self._found[-1]
        before = self._found[-2] if len(self._found) > 1 else (at - 0.25, value + self._change(at))
        slope = (value - before[1]) / (at - before[0]) if at != before[0] else 1.0
        to = at + min(max((self._wanted - value) / min(max(slope, 0.1), 4.0), -2.0), 2.0)
        fine, coarse = self._bounds()
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
    return math.log2(ratio) if ratio > 0 else -1100.0

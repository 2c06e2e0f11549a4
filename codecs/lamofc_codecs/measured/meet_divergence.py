"""Meet a divergence by measurement: encode, decode, let the consumer answer, and encode again at a rate that suits.

A profile foretells the divergence of the mean sample. Samples differ in it by orders of magnitude: a text that a
language model knows by heart bears far less than another. So each gets a rate of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lamofc_codecs.errors import NoFiniteAnswer, OutOfReach

Coded = TypeVar("Coded")
"""A record, or several that one consumer reads together."""

NEAR = (0.7, 1.4)
"""Measured over wanted divergence that ends a search: what few answers tell of a sample is no more exact than that."""
_EXPONENT = 0.9
"""Exponent of the first correction: measured divergences vary less than they seem to, as answers are few."""
_MOST_COARSER, _MOST_FINER = 2.0, 32.0
"""Factors by which one correction changes the divergence that is asked for."""
_SLOPES = (0.8, 2.0)
"""Bounds of the slope of measured against asked divergence, both as logarithms."""
_FAR = math.log(1e3)
"""Excess of a divergence that is not finite, and the largest of any."""


@dataclass(frozen=True)
class Trial(Generic[Coded]):
    """A sample, encoded at the divergence that a profile foretells."""

    foretold: float
    """Divergence of each record."""
    coded: Coded
    size: int
    """Bytes of all records."""
    measured: float
    """Divergence of the consumer's answers to what is decoded; infinite where an answer is not finite."""

    def excess(self, wanted: float) -> float:
        """Return the logarithm of measured over wanted divergence."""
        return min(math.log(max(self.measured, 1e-6 * wanted) / wanted), _FAR)

    def cost(self, wanted: float) -> tuple[float, float]:
        """Return the key by which trials are compared: bytes, times the divergence where it is above the wanted one.

        A sample that the consumer feels whatever its rate is thus not coded at many times the bytes for little. Equal
        trials are told apart by how near they are.
        """
        excess = self.excess(wanted)
        return math.log(max(self.size, 1)) + max(excess, 0.0), abs(excess)


def meet_divergence(
    wanted: float,
    encode: Callable[[float], Coded],
    measure: Callable[[Coded], float],
    size: Callable[[Coded], int],
    count: int,
    first: float | None = None,
) -> Trial[Coded]:
    """Return the first trial whose measured divergence is near the wanted one, or of `count` that of least cost.

    `encode` makes a record, or several, at a divergence that the profile foretells of each: at the `first`, or at the
    wanted one. `measure` asks the consumer, and `size` counts bytes. A trial that is beyond the profile counts as one;
    half the correction is tried after it. NoFiniteAnswer if the consumer has none to any trial.
    """
    trials: list[Trial[Coded]] = []
    asked = wanted if first is None else first
    for _ in range(count):
        try:
            coded = encode(asked)
        except OutOfReach:
            if not trials:
                raise
            asked = math.sqrt(asked * trials[-1].foretold)
            continue
        measured = measure(coded)
        trials.append(Trial(asked, coded, size(coded), measured if math.isfinite(measured) else math.inf))
        if NEAR[0] * wanted <= trials[-1].measured <= NEAR[1] * wanted:
            return trials[-1]
        asked = _next(trials, wanted)
    finite = [trial for trial in trials if trial.measured < math.inf]
    if not finite:
        raise NoFiniteAnswer(
            f"the consumer's answers to {len(trials)} encodings are not finite", "let it answer in float32"
        )
    return min(finite, key=lambda trial: trial.cost(wanted))


def _next(trials: list[Trial[Coded]], wanted: float) -> float:
    """Return the divergence to ask for next.

    It lies between two trials, one of which is felt too little and the other too much, if there are any. Else it is
    found by the secant through the last two trials, or by the last one.
    """
    below = max((trial for trial in trials if trial.excess(wanted) < 0), key=_foretold, default=None)
    above = min((trial for trial in trials if trial.excess(wanted) >= 0), key=_foretold, default=None)
    if below is not None and above is not None and below.foretold < above.foretold:
        share = below.excess(wanted) / (below.excess(wanted) - above.excess(wanted))
        return below.foretold * math.pow(above.foretold / below.foretold, share)
    last = trials[-1]
    correction = -_EXPONENT * last.excess(wanted)
    if len(trials) > 1:
        before = trials[-2]
        rise = last.excess(wanted) - before.excess(wanted)
        slope = rise / math.log(last.foretold / before.foretold)
        correction = -last.excess(wanted) / min(max(slope, _SLOPES[0]), _SLOPES[1])
    return last.foretold * math.exp(min(max(correction, -math.log(_MOST_FINER)), math.log(_MOST_COARSER)))


def _foretold(trial: Trial[Coded]) -> float:
    return trial.foretold

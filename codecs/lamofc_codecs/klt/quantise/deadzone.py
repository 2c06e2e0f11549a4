"""Rounding that weighs error against bits: a number is taken one nearer to 0 where that saves more than it costs.

Decoders need none of this but `drawn`: numbers stand for values a few sixteenths of a step nearer to 0, where most of
what was rounded to them lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import (
    ALL_CLASSES,
    CLASSES,
    ESCAPE,
    LARGEST_LEVEL,
    class_sigma,
    shape_of_classes,
    sigma_tables,
)
from lamofc_codecs.runtime import Floats, compiled, lazy

PARTS = 16
"""A step has that many parts; numbers are drawn inwards by whole ones, at most half of them."""
WEIGHT = 0.09
"""Squared steps of error that a bit is worth."""
_LISTED = 16
"""Magnitudes that are priced in a list; larger ones are just rounded."""


@dataclass(frozen=True)
class Rounding:
    """How values become numbers, for each class."""

    drawn: NDArray[np.uint8]
    """48 x 2: parts of a step that ones, and larger numbers, are drawn inwards."""
    values: Floats
    """Classes x magnitudes: what they stand for, in steps."""
    bits: Floats
    """Classes x magnitudes: what they cost."""
    least: Floats
    """Classes x magnitudes: from how many steps on that magnitude is taken, and not the one below."""

    @lazy
    def listed(self) -> Floats:
        """Classes x magnitudes x all three, as the compiled loop looks them up."""
        return np.stack([self.least, self.values, self.bits], axis=2)

    @classmethod
    def of(cls, drawn: NDArray[np.uint8], weight: float = WEIGHT) -> Rounding:
        """Weigh a bit as so many squared steps; 0 rounds to nearest."""
        magnitudes = np.arange(_LISTED)
        inwards = np.zeros((ALL_CLASSES, _LISTED))
        inwards[:CLASSES, 1] = drawn[:, 0] / PARTS
        inwards[:CLASSES, 2:] = drawn[:, 1:] / PARTS
        values = magnitudes - inwards
        bits = _bits(magnitudes)
        least = np.zeros_like(values)
        between = np.diff(values**2, axis=1) + weight * np.diff(bits, axis=1)
        least[:, 1:] = between / (2 * np.diff(values, axis=1)) if weight else magnitudes[1:] - 0.5
        least[:, 1:] = np.clip(least[:, 1:], magnitudes[1:] - 0.5, magnitudes[1:])
        return cls(drawn, values.astype(np.float32), bits.astype(np.float32), least.astype(np.float32))


def _bits(magnitudes: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each magnitude costs in each class, its low bits and what an escape takes included."""
    tables, shifts, radii = shape_of_classes()[:, :, None].astype(np.int64)
    high = (magnitudes[None, :] + ((1 << shifts) >> 1)) >> shifts
    inside = high <= radii
    costs = sigma_tables().costs[tables, np.where(inside, high, ESCAPE)].astype(np.float64)
    beyond = 2 * np.log2(np.maximum(high - radii, 1)) + 2
    found: NDArray[np.float64] = shifts + costs + np.where(inside, 0, beyond)
    return found


def quantise(
    values: Floats, group: NDArray[np.uint8], classes: NDArray[np.uint8], step: np.float32, rounding: Rounding
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Numbers of tokens x columns; and for each column, in squared steps, its error, its bits, its energy.

    `group` is the row of `classes` (groups x columns) that each token takes.
    """
    out = np.empty(values.shape, np.int32)
    sums = np.zeros((3, values.shape[1]))
    inverse, costs = np.float32(1) / step, sigma_tables().costs
    _quantise(values, group, classes, inverse, rounding.listed, shape_of_classes(), costs, out, sums)
    return out, sums


def errors_of_tokens(
    values: Floats, group: NDArray[np.uint8], classes: NDArray[np.uint8], step: np.float32, rounding: Rounding
) -> NDArray[np.float64]:
    """The error of each token, in squared steps, if it is quantised so."""
    found = np.zeros(len(values))
    _errors(values, group, classes, np.float32(1) / step, rounding.listed, found)
    return found


@compiled
def _errors(
    values: Floats,
    group: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    inverse: np.float32,
    listed: Floats,
    found: NDArray[np.float64],
) -> None:
    for t in range(values.shape[0]):
        row, kinds = values[t], classes[group[t]]
        for c in range(values.shape[1]):
            away = min(abs(row[c] * inverse), np.float32(LARGEST_LEVEL))
            error = _rounded(away, kinds[c], listed)[1]
            found[t] += error * error


@compiled
def _quantise(  # noqa: PLR0913 - compiled code takes arrays, not objects
    values: Floats,
    group: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    inverse: np.float32,
    listed: Floats,
    shape: NDArray[np.int32],
    costs: Floats,
    out: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    errors, bits, energy = sums[0], sums[1], sums[2]
    for t in range(values.shape[0]):
        row, there, kinds = values[t], out[t], classes[group[t]]
        for c in range(values.shape[1]):
            away = min(abs(row[c] * inverse), np.float32(LARGEST_LEVEL))
            kind = kinds[c]
            energy[c] += np.float64(away) * np.float64(away)
            number, error = _rounded(away, kind, listed)
            if number < _LISTED:
                bits[c] += np.float64(listed[kind, number, 2])
            else:
                bits[c] += _far(number, shape[0, kind], shape[1, kind], shape[2, kind], costs)
            errors[c] += error * error
            there[c] = -number if row[c] < 0 else number


@compiled
def _rounded(away: np.float32, kind: np.uint8, listed: Floats) -> tuple[np.int32, np.float64]:
    """The magnitude that so many steps become, and by how much it is off."""
    number = np.int32(away + np.float32(0.5))
    if number < _LISTED:
        number -= away < listed[kind, number, 0]
        return number, np.float64(away - listed[kind, number, 1])
    return number, np.float64(away - np.float32(number))


@compiled
def _far(number: np.int32, table: np.int32, shift: np.int32, radius: np.int32, costs: Floats) -> np.float64:
    """Bits of a number that is not listed."""
    high = (number + ((np.int32(1) << shift) >> np.int32(1))) >> shift
    if high <= radius:
        return np.float64(shift) + np.float64(costs[table, high])
    beyond: np.float64 = np.float64(2) * np.log2(np.float64(high - radius)) + np.float64(2)
    return np.float64(shift) + np.float64(costs[table, ESCAPE]) + beyond


def fit_drawn(unit: Floats) -> NDArray[np.uint8]:
    """How far numbers are drawn inwards in each class, from values over their spread.

    Each class is shown the values at its own step; where they are drawn to shifts where rounding turns, and so again.
    """
    drawn = np.zeros((CLASSES, 2), np.uint8)
    away = np.abs(unit).reshape(-1)
    for _ in range(2):
        least = Rounding.of(drawn).least
        for kind, spread in enumerate(class_sigma(np.arange(CLASSES))):
            steps = away * spread
            numbers = (steps + np.float32(0.5)).astype(np.int32)
            numbers -= steps < least[kind, np.minimum(numbers, _LISTED - 1)]
            for column, chosen in enumerate((numbers == 1, numbers > 1)):
                if chosen.sum() >= _FEW:
                    inwards = float((numbers[chosen] - steps[chosen]).mean(dtype=np.float64))
                    drawn[kind, column] = np.clip(np.rint(PARTS * inwards), 0, PARTS // 2)
    return drawn


_FEW = 32

"""The energy of each token: one of 16 classes, half an octave apart, told once a token.

A token of class 8 is as the calibration samples were on the whole; one of class 10 has twice their standard deviation
in every column. All numbers of a token take the tables of their column's spread times the token's factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.bulk import Doubles, Floats
from lamofc_codecs.compiled import compiled

ENERGIES = 16
USUAL = 8
FACTORS: Floats = np.exp2((np.arange(ENERGIES) - USUAL) / 2).astype(np.float32)
"""By which each class multiplies a column's spread; powers of the root of two, rounded to float32."""

_HEARD = np.float32(0.5)
"""A column is listened to from this many steps of spread on: below, there is little but zeros to price."""


@dataclass(frozen=True)
class Tokens:
    """Tokens sorted by energy: those of one class stand together."""

    energy: NDArray[np.uint8]
    """Of each token."""
    order: NDArray[np.int64]
    """Tokens by rising energy; equal ones stay in order."""
    bounds: NDArray[np.int64]
    """Where each class that occurs begins among them; the last one is their count."""
    classes: NDArray[np.uint8]
    """The classes that occur, rising."""

    @classmethod
    def of(cls, energy: NDArray[np.uint8]) -> Tokens:
        """Sort tokens of these energies, each below 16."""
        counts = np.bincount(energy, minlength=ENERGIES)
        classes = np.flatnonzero(counts)
        bounds = np.concatenate([[0], np.cumsum(counts[classes])])
        return cls(energy, np.argsort(energy, kind="stable"), bounds, classes.astype(np.uint8))

    @property
    def count(self) -> int:
        """How many tokens."""
        return len(self.energy)


def energies_of(numbers: Floats, sigma: Floats, step: np.float32) -> NDArray[np.uint8]:
    """The class of each token of tokens x columns, by the columns that stand out of the step."""
    heard = np.flatnonzero(sigma > step * _HEARD)
    if not heard.size or not len(numbers):
        return np.full(len(numbers), USUAL, np.uint8)
    weights = np.zeros(len(sigma), np.float32)
    weights[heard] = 1 / np.square(sigma[heard], dtype=np.float32)
    with np.errstate(divide="ignore"):
        found = np.rint(np.log2(squares_of(numbers, weights) / heard.size)) + USUAL
    classes: NDArray[np.uint8] = np.clip(found, 0, ENERGIES - 1).astype(np.uint8)
    return classes


def squares_of(numbers: Floats, weights: Floats) -> Doubles:
    """The weighted sum of squares of each token, the same on every machine."""
    square = np.empty(len(numbers))
    _energies(numbers, weights, square)
    return square


@compiled
def _energies(numbers: Floats, weights: Floats, square: Doubles) -> None:
    parts = np.zeros(16)
    whole = numbers.shape[1] // 16 * 16
    for t in range(numbers.shape[0]):
        row = numbers[t]
        parts[:] = 0
        for first in range(0, whole, 16):
            for lane in range(16):
                value = np.float64(row[first + lane])
                parts[lane] += value * value * np.float64(weights[first + lane])
        total = parts.sum()
        for c in range(whole, numbers.shape[1]):
            total += np.float64(row[c]) * np.float64(row[c]) * np.float64(weights[c])
        square[t] = total

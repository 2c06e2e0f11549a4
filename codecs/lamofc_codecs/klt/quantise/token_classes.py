"""The energy of each token: one of 16 classes, half an octave apart, told once a token.

A token of class 8 is as the calibration samples were on the whole; one of class 10 has twice their standard deviation
in every column. All numbers of a token take the tables of their column's spread, in the token's band where tokens are
waves, times the token's factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import Doubles, Floats, compiled

ENERGIES = 16
USUAL = 8
QUIET = 4
"""What tokens are said to be of which nothing is coded: one class for all of them, and zeros cost little in it."""
FACTORS: Floats = np.exp2((np.arange(ENERGIES) - USUAL) / 2).astype(np.float32)
"""By which each class multiplies a column's spread; powers of the root of two, rounded to float32."""

_PAYS = 32
"""Bits that hushing is to save at least: a table of their own may be what it costs."""
_HEARD = np.float32(0.5)
"""A column is listened to from this many steps of spread on: below, there is little but zeros to price."""


@dataclass(frozen=True)
class Tokens:
    """Tokens sorted by band and energy into groups: those of one group take the same tables."""

    energy: NDArray[np.uint8]
    """Of each token."""
    band: NDArray[np.uint8]
    """Of each token; 0 unless tokens are waves."""
    order: NDArray[np.int64]
    """Tokens by rising band, then energy; equal ones stay in order."""
    bounds: NDArray[np.int64]
    """Where each group begins among them; the last one is their count."""
    groups: NDArray[np.int64]
    """The groups that occur, rising: band times 16, plus energy."""

    @classmethod
    def of(cls, energy: NDArray[np.uint8], band: NDArray[np.uint8] | None = None) -> Tokens:
        """Sort tokens of these energies, each below 16, and bands."""
        band = np.zeros_like(energy) if band is None else band
        group = band.astype(np.int64) * ENERGIES + energy
        counts = np.bincount(group)
        groups = np.flatnonzero(counts)
        bounds = np.concatenate([[0], np.cumsum(counts[groups])])
        return cls(energy, band, np.argsort(group, kind="stable"), bounds, groups)

    @property
    def group(self) -> NDArray[np.uint8]:
        """Of each token, counting the groups that occur."""
        found = np.empty(self.count, np.uint8)
        found[self.order] = np.repeat(np.arange(len(self.groups)), np.diff(self.bounds))
        return found

    def spreads(self, sigma: Floats) -> Floats:
        """Of each group and column, given those of bands x columns in a token of the usual energy."""
        found: Floats = FACTORS[self.groups % ENERGIES][:, None] * sigma[self.groups // ENERGIES]
        return found

    def hushed(self, quiet: NDArray[np.bool_]) -> Tokens:
        """The same, those tokens being quiet, if there are enough of them for energies to be told more easily so."""
        energy = np.where(quiet, np.uint8(QUIET), self.energy)
        return Tokens.of(energy, self.band) if _entropy(energy) + _PAYS < _entropy(self.energy) else self

    @property
    def count(self) -> int:
        """How many tokens."""
        return len(self.energy)


def _entropy(energy: NDArray[np.uint8]) -> float:
    """Bits of all of them together, up to what both sides of a comparison share."""
    counts = np.bincount(energy)
    return -float((counts * np.log2(np.maximum(counts, 1))).sum())


def energies_of(numbers: Floats, band: NDArray[np.uint8], sigma: Floats, step: np.float32) -> NDArray[np.uint8]:
    """The class of each token of tokens x columns, by the columns that stand out of the step in its band."""
    heard = sigma > step * _HEARD
    count = heard.sum(1)
    weights = np.zeros(sigma.shape, np.float32)
    weights[heard] = 1 / np.square(sigma[heard], dtype=np.float32)
    with np.errstate(divide="ignore"):
        found = np.rint(np.log2(_squares(numbers, band, weights) / np.maximum(count, 1)[band])) + USUAL
    classes: NDArray[np.uint8] = np.where(count[band] > 0, np.clip(found, 0, ENERGIES - 1), USUAL).astype(np.uint8)
    return classes


def squares_of(numbers: Floats) -> Doubles:
    """The sum of squares of each token, the same on every machine."""
    return _squares(numbers, np.zeros(len(numbers), np.uint8), np.ones((1, numbers.shape[1]), np.float32))


def _squares(numbers: Floats, band: NDArray[np.uint8], weights: Floats) -> Doubles:
    square = np.empty(len(numbers))
    _energies(numbers, band, weights, square)
    return square


@compiled
def _energies(numbers: Floats, band: NDArray[np.uint8], weights: Floats, square: Doubles) -> None:
    parts = np.zeros(16)
    whole = numbers.shape[1] // 16 * 16
    for t in range(numbers.shape[0]):
        row, weight = numbers[t], weights[band[t]]
        parts[:] = 0
        for first in range(0, whole, 16):
            for lane in range(16):
                value = np.float64(row[first + lane])
                parts[lane] += value * value * np.float64(weight[first + lane])
        total = parts.sum()
        for c in range(whole, numbers.shape[1]):
            total += np.float64(row[c]) * np.float64(row[c]) * np.float64(weight[c])
        square[t] = total

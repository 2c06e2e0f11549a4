"""Token classes: the energy of each token in 16 classes, half an octave apart, stored once a token.

A token of class 8 is as the calibration samples were on average; one of class 10 has twice their standard deviation in
every column. The levels of a token are coded with the tables of their columns' spreads, in the band of the token where
tokens hold DCT coefficients, times the factor of the token's class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import Doubles, Floats, compiled, scale_of_tiny

TOKEN_CLASSES = 16
AVERAGE_CLASS = 8
"""Class of a token whose energy is that of the calibration samples."""
ZERO_TOKEN_CLASS = 4
"""Class of tokens whose levels are all 0. Sharing one class costs almost nothing, and zeros are cheap in this one."""
CLASS_FACTORS: Floats = np.exp2((np.arange(TOKEN_CLASSES) - AVERAGE_CLASS) / 2).astype(np.float32)
"""Factor by which each class multiplies the spread of a column: powers of the root of two, rounded to float32."""

_MIN_SAVED_BITS = 32
"""Bits that merging zero tokens must save: a table of its own for the classes may cost as much."""
_MIN_SIGMA_OVER_STEP = np.float32(0.5)
"""Columns of smaller spread do not tell a token's class: nearly all of their levels are 0 in any class."""


@dataclass(frozen=True)
class TokenGroups:
    """Tokens sorted by band and class into groups, whose members are coded with the same tables."""

    token_class: NDArray[np.uint8]
    """Class of each token."""
    band: NDArray[np.uint8]
    """Band of each token; 0 unless tokens hold DCT coefficients."""
    order: NDArray[np.int64]
    """Tokens by rising band, then class; equal ones stay in order."""
    bounds: NDArray[np.int64]
    """First place of each group among the sorted tokens; the last bound is their count."""
    labels: NDArray[np.int64]
    """The groups that occur, rising: band times 16, plus class."""

    @classmethod
    def from_classes(cls, token_class: NDArray[np.uint8], band: NDArray[np.uint8] | None = None) -> TokenGroups:
        """Sort tokens of these classes, each below 16, and bands."""
        band = np.zeros_like(token_class) if band is None else band
        return cls(token_class, band, *_sort_tokens(np.ascontiguousarray(token_class), np.ascontiguousarray(band)))

    @property
    def group(self) -> NDArray[np.uint8]:
        """The group of each token, counting only those that occur."""
        group = np.empty(self.count, np.uint8)
        group[self.order] = np.repeat(np.arange(len(self.labels)), np.diff(self.bounds))
        return group

    @property
    def count(self) -> int:
        """Number of tokens."""
        return len(self.token_class)

    def spreads(self, sigma: Floats) -> Floats:
        """Spread of each column in each group, given bands x columns of a token of the average class."""
        spreads: Floats = CLASS_FACTORS[self.labels % TOKEN_CLASSES][:, None] * sigma[self.labels // TOKEN_CLASSES]
        return spreads

    def merge_zero_tokens(self, zero: NDArray[np.bool_]) -> TokenGroups:
        """Give the masked tokens the class of zero tokens, if that makes the plane of classes smaller."""
        merged = np.where(zero, np.uint8(ZERO_TOKEN_CLASS), self.token_class)
        if _entropy(merged) + _MIN_SAVED_BITS < _entropy(self.token_class):
            return TokenGroups.from_classes(merged, self.band)
        return self


@compiled
def _sort_tokens(
    token_class: NDArray[np.uint8], band: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the order, the bounds and the labels of groups of tokens."""
    starts = np.zeros(TOKEN_CLASSES * 256 + 1, np.int64)
    for t in range(token_class.size):
        starts[np.int64(band[t]) * TOKEN_CLASSES + token_class[t] + 1] += 1
    labels = np.flatnonzero(starts[1:])
    starts = np.cumsum(starts)
    bounds = np.zeros(labels.size + 1, np.int64)
    for group in range(labels.size):
        bounds[group + 1] = starts[labels[group] + 1]
    order = np.empty(token_class.size, np.int64)
    for t in range(token_class.size):
        label = np.int64(band[t]) * TOKEN_CLASSES + token_class[t]
        order[starts[label]] = t
        starts[label] += 1
    return order, bounds, labels


def _entropy(token_class: NDArray[np.uint8]) -> float:
    """Bits of all classes together, up to a term that depends on the number of tokens alone."""
    counts = np.bincount(token_class)
    return -float((counts * np.log2(np.maximum(counts, 1))).sum())


def classify_tokens(
    coefficients: Floats, band: NDArray[np.uint8], sigma: Floats, step: np.float32
) -> NDArray[np.uint8]:
    """Class of each token of tokens x columns, by the columns whose spread in its band is not small beside the step."""
    telling = sigma > step * _MIN_SIGMA_OVER_STEP
    count = telling.sum(1)
    weights = np.zeros(sigma.shape, np.float32)
    scale = scale_of_tiny(float(sigma.max(initial=0)))
    variance = np.square(sigma[telling] * np.float32(scale), dtype=np.float32)
    weights[telling] = 1 / np.maximum(variance, np.finfo(np.float32).tiny)
    energies = scale**2 * _squares(coefficients, band, weights)
    with np.errstate(divide="ignore"):
        rounded = np.rint(np.log2(energies / np.maximum(count, 1)[band])) + AVERAGE_CLASS
    chosen = np.where(count[band] > 0, np.clip(rounded, 0, TOKEN_CLASSES - 1), AVERAGE_CLASS)
    classes: NDArray[np.uint8] = chosen.astype(np.uint8)
    return classes


def token_energies(values: Floats) -> Doubles:
    """Sum of squares of each token, the same on every machine."""
    return _squares(values, np.zeros(len(values), np.uint8), np.ones((1, values.shape[1]), np.float32))


def _squares(values: Floats, band: NDArray[np.uint8], weights: Floats) -> Doubles:
    squares = np.empty(len(values))
    _weighted_squares(values, band, weights, squares)
    return squares


@compiled
def _weighted_squares(values: Floats, band: NDArray[np.uint8], weights: Floats, squares: Doubles) -> None:
    # Sixteen accumulators: the loop vectorises, and the order of the sums is fixed all the same.
    lanes = np.zeros(16)
    vectorised = values.shape[1] // 16 * 16
    for t in range(values.shape[0]):
        row, weight = values[t], weights[band[t]]
        lanes[:] = 0
        for first in range(0, vectorised, 16):
            for lane in range(16):
                value = np.float64(row[first + lane])
                lanes[lane] += value * value * np.float64(weight[first + lane])
        total = lanes.sum()
        for c in range(vectorised, values.shape[1]):
            total += np.float64(row[c]) * np.float64(row[c]) * np.float64(weight[c])
        squares[t] = total

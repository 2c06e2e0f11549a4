"""Deadzone quantiser: a level is taken one nearer to 0 where that saves more bits than the error is worth.

A decoder needs only the reconstruction offsets: a level stands for a value a few sixteenths of a step nearer to 0,
where most of the values that were rounded to it lie.
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
from lamofc_codecs.klt.quantise.column_costs import ColumnCosts
from lamofc_codecs.runtime import Floats, compiled, lazy
from lamofc_codecs.stats import mean_offset

SIXTEENTHS = 16
"""Unit of reconstructed values: a step has so many. Reconstruction offsets are at most half of them."""
ERROR_PER_BIT = 0.09
"""Squared steps of error that one bit is worth."""
_TABLED = 16
"""Magnitudes whose thresholds and costs are tabled; larger ones are rounded to nearest."""
_MIN_VALUES_PER_OFFSET = 32
"""Calibration values below which a class keeps the offset 0."""
_FIT_ROUNDS = 2


@dataclass(frozen=True)
class Deadzone:
    """Thresholds, reconstructed values and costs of small magnitudes, for each sigma class."""

    offsets: NDArray[np.uint8]
    """48 x 2: reconstruction offsets of magnitude 1 and of larger ones, in sixteenths of a step."""
    values: Floats
    """Classes x magnitudes: the value that each stands for, in steps."""
    bits: Floats
    """Classes x magnitudes: the cost of each."""
    thresholds: Floats
    """Classes x magnitudes: the least value, in steps, that is quantised to this magnitude and not to the one below."""

    @lazy
    def table(self) -> Floats:
        """Classes x magnitudes x (threshold, value, bits), as the compiled loops look them up."""
        return np.stack([self.thresholds, self.values, self.bits], axis=2)

    @classmethod
    def from_offsets(cls, offsets: NDArray[np.uint8], error_per_bit: float = ERROR_PER_BIT) -> Deadzone:
        """Weigh a bit as so many squared steps of error; with 0, round to nearest."""
        magnitudes = np.arange(_TABLED)
        moved = np.zeros((ALL_CLASSES, _TABLED))
        moved[:CLASSES, 1] = offsets[:, 0] / SIXTEENTHS
        moved[:CLASSES, 2:] = offsets[:, 1:] / SIXTEENTHS
        values = magnitudes - moved
        bits = _bits_of_magnitudes(magnitudes)
        thresholds = np.zeros_like(values)
        rise = np.diff(values**2, axis=1) + error_per_bit * np.diff(bits, axis=1)
        thresholds[:, 1:] = rise / (2 * np.diff(values, axis=1)) if error_per_bit else magnitudes[1:] - 0.5
        thresholds[:, 1:] = np.clip(thresholds[:, 1:], magnitudes[1:] - 0.5, magnitudes[1:])
        return cls(offsets, values.astype(np.float32), bits.astype(np.float32), thresholds.astype(np.float32))


def _bits_of_magnitudes(magnitudes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cost of each magnitude in each class, low bits and escapes included."""
    tables, shifts, radii = shape_of_classes()[:, :, None].astype(np.int64)
    high = (magnitudes[None, :] + ((1 << shifts) >> 1)) >> shifts
    inside = high <= radii
    costs = sigma_tables().costs[tables, np.where(inside, high, ESCAPE)].astype(np.float64)
    escape = 2 * np.log2(np.maximum(high - radii, 1)) + 2
    bits: NDArray[np.float64] = shifts + costs + np.where(inside, 0, escape)
    return bits


def quantise(
    coefficients: Floats, group: NDArray[np.uint8], classes: NDArray[np.uint8], step: np.float32, deadzone: Deadzone
) -> tuple[NDArray[np.int32], ColumnCosts]:
    """Quantise tokens x columns; also return the error, the bits and the energy of each column.

    `group` is the row of `classes`, groups x columns, that applies to each token.
    """
    levels = np.empty(coefficients.shape, np.int32)
    costs = ColumnCosts.zeros(coefficients.shape[1])
    inverse, frozen = np.float32(1) / step, sigma_tables().costs
    _quantise(coefficients, group, classes, inverse, deadzone.table, shape_of_classes(), frozen, levels, costs.sums)
    return levels, costs


def quantisation_errors(
    coefficients: Floats, group: NDArray[np.uint8], classes: NDArray[np.uint8], step: np.float32, deadzone: Deadzone
) -> NDArray[np.float64]:
    """Error that quantising leaves in each token, in squared steps."""
    errors = np.zeros(len(coefficients))
    _errors(coefficients, group, classes, np.float32(1) / step, deadzone.table, errors)
    return errors


@compiled
def _errors(
    coefficients: Floats,
    group: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    inverse: np.float32,
    table: Floats,
    errors: NDArray[np.float64],
) -> None:
    for t in range(coefficients.shape[0]):
        row, row_classes = coefficients[t], classes[group[t]]
        for c in range(coefficients.shape[1]):
            scaled = min(abs(row[c] * inverse), np.float32(LARGEST_LEVEL))
            error = _rounded(scaled, row_classes[c], table)[1]
            errors[t] += error * error


@compiled
def _quantise(  # noqa: PLR0913 - compiled code takes arrays, not objects
    coefficients: Floats,
    group: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    inverse: np.float32,
    table: Floats,
    shape: NDArray[np.int32],
    frozen: Floats,
    levels: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None:
    errors, bits, energy = sums[0], sums[1], sums[2]
    for t in range(coefficients.shape[0]):
        row, row_levels, row_classes = coefficients[t], levels[t], classes[group[t]]
        for c in range(coefficients.shape[1]):
            scaled = min(abs(row[c] * inverse), np.float32(LARGEST_LEVEL))
            sigma_class = row_classes[c]
            energy[c] += np.float64(scaled) * np.float64(scaled)
            magnitude, error = _rounded(scaled, sigma_class, table)
            if magnitude < _TABLED:
                bits[c] += np.float64(table[sigma_class, magnitude, 2])
            else:
                bits[c] += _bits_beyond_table(
                    magnitude, shape[0, sigma_class], shape[1, sigma_class], shape[2, sigma_class], frozen
                )
            errors[c] += error * error
            row_levels[c] = -magnitude if row[c] < 0 else magnitude


@compiled
def _rounded(scaled: np.float32, sigma_class: np.uint8, table: Floats) -> tuple[np.int32, np.float64]:
    """Quantise a magnitude in steps; also return the error that this leaves."""
    level = np.int32(scaled + np.float32(0.5))
    if level < _TABLED:
        level -= scaled < table[sigma_class, level, 0]
        return level, np.float64(scaled - table[sigma_class, level, 1])
    return level, np.float64(scaled - np.float32(level))


@compiled
def _bits_beyond_table(
    magnitude: np.int32, table: np.int32, shift: np.int32, radius: np.int32, frozen: Floats
) -> np.float64:
    """Cost of a magnitude that is not tabled."""
    high = (magnitude + ((np.int32(1) << shift) >> np.int32(1))) >> shift
    if high <= radius:
        return np.float64(shift) + np.float64(frozen[table, high])
    beyond: np.float64 = np.float64(2) * np.log2(np.float64(high - radius)) + np.float64(2)
    return np.float64(shift) + np.float64(frozen[table, ESCAPE]) + beyond


def fit_offsets(unit: Floats) -> NDArray[np.uint8]:
    """Fit the reconstruction offsets of every class to values over their spread.

    The offset moves the rounding threshold and the threshold moves the offset, so iterate.
    """
    offsets = np.zeros((CLASSES, 2), np.uint8)
    magnitudes, spreads = np.abs(unit).reshape(-1), class_sigma(np.arange(CLASSES))
    for _ in range(_FIT_ROUNDS):
        distances, counts = np.zeros((CLASSES, 2)), np.zeros((CLASSES, 2), np.int64)
        _sum_distances(magnitudes, spreads, Deadzone.from_offsets(offsets).thresholds, distances, counts)
        fitted = mean_offset(distances, counts, SIXTEENTHS)
        offsets = np.where(counts >= _MIN_VALUES_PER_OFFSET, fitted, offsets)
    return offsets


@compiled
def _sum_distances(
    magnitudes: Floats,
    spreads: Floats,
    thresholds: Floats,
    distances: NDArray[np.float64],
    counts: NDArray[np.int64],
) -> None:
    """Sum how far values lie below magnitude 1, and below larger magnitudes, that they are quantised to."""
    for sigma_class in range(len(spreads)):
        for magnitude in magnitudes:
            scaled = min(magnitude * spreads[sigma_class], np.float32(LARGEST_LEVEL))
            level = np.int32(scaled + np.float32(0.5))
            level -= scaled < thresholds[sigma_class, min(level, np.int32(_TABLED - 1))]
            if level > 0:
                column = min(level, np.int32(2)) - 1
                distances[sigma_class, column] += np.float64(level) - np.float64(scaled)
                counts[sigma_class, column] += 1

"""Redundancy of a plane as LaMoFCBench's appendix defines it: correlation of neighbours, and spectrum of the energy.

A plane is a feature's tokens x channels, rows by columns. All sums are in float64. The plane is processed in blocks of
rows or columns, so that little memory is needed beside it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 20
"""Elements that are processed at once."""
_MIN_ENERGY = 1e-300
"""Keeps logarithms and quotients finite."""


@dataclass(frozen=True)
class Redundancy:
    """Figures of one plane; NaN where a figure is not defined, as for a single row."""

    rho_h: float
    """Correlation of neighbouring columns within a row, averaged over rows that are not constant."""
    rho_v: float
    """Correlation of neighbouring rows within a column."""
    gini: float
    """Gini coefficient of the energies of the two-dimensional cosine transform: 0 if equal, near 1 if one dominates."""
    centroid: float
    """Centroid of these energies: 0 at the lowest frequency, 1 at the highest."""
    flatness: float
    """Geometric mean of these energies over their mean: 1 if all are equal."""


def measure_redundancy(plane: Tensor) -> Redundancy:
    """Measure a plane, rows x columns, of finite values."""
    values = plane.to(torch.float64)
    energies = cosine_transform(values).square_()
    return Redundancy(_neighbour_correlation(values), _neighbour_correlation(values.T), *_spectrum(energies))


def _neighbour_correlation(values: Tensor) -> float:
    """Average over rows the correlation of a row without its last value with the same row without its first."""
    sums, count = 0.0, 0
    for rows in torch.split(values, max(1, _BLOCK_ELEMENTS // max(values.shape[1], 1))):
        left, right = rows[:, :-1], rows[:, 1:]
        if not left.shape[1]:
            break
        left, right = left - left.mean(1, keepdim=True), right - right.mean(1, keepdim=True)
        scale = left.square().sum(1).sqrt() * right.square().sum(1).sqrt()
        valid = _varies(rows[:, :-1]) & _varies(rows[:, 1:]) & (scale > _MIN_ENERGY)
        sums += float(((left * right).sum(1)[valid] / scale[valid]).sum())
        count += int(valid.sum())
    return sums / count if count else math.nan


def _varies(rows: Tensor) -> Tensor:
    """Tell which rows are not constant; by rounding, the variance of a constant row may not be 0."""
    return rows.amax(1) > rows.amin(1)


def _spectrum(energies: Tensor) -> tuple[float, float, float]:
    """Compute Gini coefficient, centroid and flatness of the energies of a transform, rows x columns."""
    total = float(energies.sum())
    rows, columns = energies.shape
    if not total > 0:
        return math.nan, math.nan, math.nan
    row_squares = torch.arange(rows, dtype=torch.float64).square()
    column_squares = torch.arange(columns, dtype=torch.float64).square()
    highest = math.hypot(rows - 1, columns - 1) or 1.0
    step = max(1, _BLOCK_ELEMENTS // columns)
    radial = sum(
        float(
            ((row_squares[first : first + step, None] + column_squares).sqrt() * energies[first : first + step]).sum()
        )
        for first in range(0, rows, step)
    )
    flat, count = energies.reshape(-1), energies.numel()
    logs = sum(float(part.clamp_min(_MIN_ENERGY).log().sum()) for part in torch.split(flat, _BLOCK_ELEMENTS))
    rising, weighted = flat.sort().values, 0.0
    for first in range(0, count, _BLOCK_ELEMENTS):
        part = rising[first : first + _BLOCK_ELEMENTS]
        ranks = torch.arange(first + 1, first + 1 + len(part), dtype=torch.float64)
        weighted += float(((2 * ranks - count - 1) * part).sum())
    return weighted / (count * total), radial / highest / total, math.exp(logs / count) / (total / count)


def cosine_transform(values: Tensor) -> Tensor:
    """Apply the orthonormal cosine transform of the second kind along both axes."""
    return _along_rows(_along_rows(values).T).T


def _along_rows(values: Tensor) -> Tensor:
    """Transform rows by a Fourier transform of the even places, then of the odd places in reverse order."""
    count = values.shape[1]
    angle = torch.arange(count, dtype=torch.float64) * (-math.pi / (2 * count))
    phase = torch.polar(torch.full_like(angle, math.sqrt(2 / count)), angle)
    phase[0] = math.sqrt(1 / count)
    out = torch.empty(values.shape, dtype=torch.float64)
    step = max(1, _BLOCK_ELEMENTS // max(count, 1))
    for first in range(0, len(values), step):
        rows = values[first : first + step]
        folded = torch.cat([rows[:, ::2], rows[:, 1::2].flip(1)], dim=1)
        out[first : first + step] = (torch.fft.fft(folded) * phase).real
    return out

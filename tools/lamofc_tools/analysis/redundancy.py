"""Redundancy of a plane as LaMoFCBench's appendix defines it: correlation of neighbours, and where its energy lies.

A plane is a feature's tokens x channels, rows by columns. All sums are of float64; the plane goes through in blocks of
rows or columns, so that beside it there is little else in memory.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 1 << 20
"""Elements that go through at once."""
_SILENT = 1e-300


@dataclass(frozen=True)
class Redundancy:
    """Of one plane; what cannot be said of it, as of a single row, is NaN."""

    rho_h: float
    """Correlation of neighbouring columns within a row, averaged over rows that are not constant."""
    rho_v: float
    """The same of neighbouring rows within a column."""
    gini: float
    """How unevenly the energies of its two-dimensional cosine transform are spread: 0 evenly, near 1 on one of them."""
    centroid: float
    """Where they lie on the whole: 0 at the lowest frequency, 1 at the highest."""
    flatness: float
    """Their geometric mean over their mean: 1 for noise."""


def redundancy(plane: Tensor) -> Redundancy:
    """Of rows x columns, finite."""
    values = plane.to(torch.float64)
    energies = cosine(values).square_()
    return Redundancy(_neighbours(values), _neighbours(values.T), *_spectrum(energies))


def _neighbours(values: Tensor) -> float:
    """Mean correlation of each row, without its last value, with itself, without its first."""
    sums, count = 0.0, 0
    for rows in torch.split(values, max(1, _BLOCK // max(values.shape[1], 1))):
        here, after = rows[:, :-1], rows[:, 1:]
        if not here.shape[1]:
            break
        here, after = here - here.mean(1, keepdim=True), after - after.mean(1, keepdim=True)
        scale = here.square().sum(1).sqrt() * after.square().sum(1).sqrt()
        valid = _varies(rows[:, :-1]) & _varies(rows[:, 1:]) & (scale > _SILENT)
        sums += float(((here * after).sum(1)[valid] / scale[valid]).sum())
        count += int(valid.sum())
    return sums / count if count else math.nan


def _varies(rows: Tensor) -> Tensor:
    """Which rows are not of one value; their variance, by rounding, may not be nothing."""
    return rows.amax(1) > rows.amin(1)


def _spectrum(energies: Tensor) -> tuple[float, float, float]:
    """Gini coefficient, centroid and flatness of the energies of a transform, rows x columns."""
    whole = float(energies.sum())
    rows, columns = energies.shape
    if not whole > 0:
        return math.nan, math.nan, math.nan
    down = torch.arange(rows, dtype=torch.float64).square()
    along = torch.arange(columns, dtype=torch.float64).square()
    farthest = math.hypot(rows - 1, columns - 1) or 1.0
    step = max(1, _BLOCK // columns)
    radial = sum(
        float(((down[at : at + step, None] + along).sqrt() * energies[at : at + step]).sum())
        for at in range(0, rows, step)
    )
    flat, count = energies.reshape(-1), energies.numel()
    logs = sum(float(part.clamp_min(_SILENT).log().sum()) for part in torch.split(flat, _BLOCK))
    rising, weighted = flat.sort().values, 0.0
    for at in range(0, count, _BLOCK):
        part = rising[at : at + _BLOCK]
        ranks = torch.arange(at + 1, at + 1 + len(part), dtype=torch.float64)
        weighted += float(((2 * ranks - count - 1) * part).sum())
    return weighted / (count * whole), radial / farthest / whole, math.exp(logs / count) / (whole / count)


def cosine(values: Tensor) -> Tensor:
    """The orthonormal cosine transform of the second kind, along both axes."""
    return _along_rows(_along_rows(values).T).T


def _along_rows(values: Tensor) -> Tensor:
    """By a Fourier transform of the even places, then the odd ones backwards."""
    count = values.shape[1]
    turn = torch.arange(count, dtype=torch.float64) * (-math.pi / (2 * count))
    phase = torch.polar(torch.full_like(turn, math.sqrt(2 / count)), turn)
    phase[0] = math.sqrt(1 / count)
    out = torch.empty(values.shape, dtype=torch.float64)
    step = max(1, _BLOCK // max(count, 1))
    for at in range(0, len(values), step):
        rows = values[at : at + step]
        folded = torch.cat([rows[:, ::2], rows[:, 1::2].flip(1)], dim=1)
        out[at : at + step] = (torch.fft.fft(folded) * phase).real
    return out

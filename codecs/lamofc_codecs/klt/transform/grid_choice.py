"""The choice of the token grid on which a sample's block DCT concentrates the most energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.transform.block_dct import BANDS, TokenGrid, forward_dct
from lamofc_codecs.runtime import Doubles, Floats, compiled

_LEADING_COLUMNS = 16
"""Columns that decide: neighbouring tokens share the first ones most."""
_MIN_BAND_SHARE = 1e-6
"""Share of a column's variance below which the variance of a band makes no difference."""


def choose_grid(columns: Floats, grids: Sequence[TokenGrid]) -> TokenGrid:
    """Choose among the grids that the tokens of tokens x columns may lie on."""
    if len(grids) == 1:
        return grids[0]
    leading = leading_columns(columns)
    return min(grids, key=lambda grid: dct_bits(leading, grid))


def leading_columns(columns: Floats) -> Floats:
    """The columns that decide."""
    return columns[:, :_LEADING_COLUMNS]


def dct_bits(columns: Floats, grid: TokenGrid) -> float:
    """Predict the bits of the columns' DCT on a grid, up to a term that is the same for all grids."""
    coefficients = columns.copy()
    forward_dct(coefficients, grid)
    band = grid.bands(len(columns))
    count = np.bincount(band, minlength=BANDS)[:, None]
    power = np.zeros((BANDS, columns.shape[1]))
    _add_squares(coefficients, band, power)
    floor = _MIN_BAND_SHARE * power.sum(0) / max(len(columns), 1) + 1e-300
    return 0.5 * float((count * np.log2(np.maximum(power / np.maximum(count, 1), floor))).sum())


@compiled
def _add_squares(coefficients: Floats, band: NDArray[np.uint8], power: Doubles) -> None:
    """Add the squares of tokens x columns to those of their bands."""
    for t in range(coefficients.shape[0]):
        for c in range(coefficients.shape[1]):
            power[band[t], c] += np.float64(coefficients[t, c]) * np.float64(coefficients[t, c])

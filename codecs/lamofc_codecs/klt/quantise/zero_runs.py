"""Zero runs: the columns of smallest spread are left out of a record where nearly all of their levels are 0.

Their spread is a tenth of the finest step or less, as in the high bands of a block DCT, and coding their zeros takes
time. Levels other than 0 among them are lost, so they are left out only where that loss is worth less than the bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import sigma_tables
from lamofc_codecs.klt.quantise.deadzone import ERROR_PER_BIT
from lamofc_codecs.klt.quantise.token_classes import TokenGroups
from lamofc_codecs.runtime import Floats, compiled

_MIN_SHARE = 1 / 4
"""Share of a record's levels that must be of the narrowest class before anything is left out."""


def prune_zero_runs(
    coefficients: Floats,
    levels: NDArray[np.int32],
    tokens: TokenGroups,
    classes: NDArray[np.uint8],
    step: float,
) -> bool:
    """Set levels of class 0, tokens x columns, to 0 in place if that pays; return whether it does.

    `classes` are the sigma classes, groups x columns.
    """
    narrow = classes == 0
    count = int(np.diff(tokens.bounds) @ narrow.sum(1))
    if count <= _MIN_SHARE * levels.size:
        return False
    zero_bits = count * float(sigma_tables().costs[0, 0])
    if _added_error(coefficients, levels, tokens.group, narrow, np.float32(1 / step)) > ERROR_PER_BIT * zero_bits:
        return False
    _clear(levels, tokens.group, narrow)
    return True


@compiled
def _added_error(
    coefficients: Floats,
    levels: NDArray[np.int32],
    group: NDArray[np.uint8],
    narrow: NDArray[np.bool_],
    inverse: np.float32,
) -> np.float64:
    """Squared steps of error that clearing the levels of narrow runs adds."""
    added = np.float64(0)
    for t in range(levels.shape[0]):
        row, row_levels, row_narrow = coefficients[t], levels[t], narrow[group[t]]
        for c in range(levels.shape[1]):
            if row_narrow[c] and row_levels[c] != 0:
                magnitude = np.float64(abs(row[c] * inverse))
                error = magnitude - np.float64(abs(row_levels[c]))
                added += magnitude * magnitude - error * error
    return added


@compiled
def _clear(levels: NDArray[np.int32], group: NDArray[np.uint8], narrow: NDArray[np.bool_]) -> None:
    for t in range(levels.shape[0]):
        row, row_narrow = levels[t], narrow[group[t]]
        for c in range(levels.shape[1]):
            row[c] *= not row_narrow[c]

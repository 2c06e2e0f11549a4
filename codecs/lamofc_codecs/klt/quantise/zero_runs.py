"""Whether the narrowest runs of a record are left out: nearly all of their numbers are 0, and symbols cost time.

Their spread is a tenth of the finest step or less, as in the high bands of waves. What stands out nevertheless is lost,
so they are left out only where that is worth less than the bits of their zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import sigma_tables
from lamofc_codecs.klt.quantise.deadzone import WEIGHT
from lamofc_codecs.klt.quantise.token_classes import Tokens
from lamofc_codecs.runtime import Floats, compiled

_MANY = 1 / 4
"""Share of a record's numbers that is to be silent, or nothing is left out."""


def prune_zero_runs(
    columns: Floats, rows: NDArray[np.int32], tokens: Tokens, kinds: NDArray[np.uint8], step: float
) -> bool:
    """Set numbers of class 0, tokens x columns, to 0 in place, if that pays; and return whether it does."""
    silent = kinds == 0
    still = int(np.diff(tokens.bounds) @ silent.sum(1))
    if still <= _MANY * rows.size:
        return False
    zeros = still * float(sigma_tables().costs[0, 0])
    if _worth(columns, rows, tokens.group, silent, np.float32(1 / step)) > WEIGHT * zeros:
        return False
    _silence(rows, tokens.group, silent)
    return True


@compiled
def _worth(
    columns: Floats, rows: NDArray[np.int32], group: NDArray[np.uint8], silent: NDArray[np.bool_], inverse: np.float32
) -> np.float64:
    """Squared steps of error that are added where numbers other than 0 are left out."""
    added = np.float64(0)
    for t in range(rows.shape[0]):
        row, there, quiet = columns[t], rows[t], silent[group[t]]
        for c in range(rows.shape[1]):
            if quiet[c] and there[c] != 0:
                away = np.float64(abs(row[c] * inverse))
                left = away - np.float64(abs(there[c]))
                added += away * away - left * left
    return added


@compiled
def _silence(rows: NDArray[np.int32], group: NDArray[np.uint8], silent: NDArray[np.bool_]) -> None:
    for t in range(rows.shape[0]):
        there, quiet = rows[t], silent[group[t]]
        for c in range(rows.shape[1]):
            there[c] *= not quiet[c]

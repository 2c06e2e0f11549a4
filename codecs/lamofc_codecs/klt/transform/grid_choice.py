"""Which field a sample's tokens lie on: that on which turning them into waves gathers most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lamofc_codecs.klt.transform.block_dct import BANDS, TokenGrid, forward_dct
from lamofc_codecs.runtime import Floats

_TOLD = 16
"""The first columns, which neighbours share most, tell."""
_LEAST = 1e-6
"""Of a column's variance: below, a band's makes no difference."""


def choose_grid(columns: Floats, fields: Sequence[TokenGrid]) -> TokenGrid:
    """The field of tokens x columns, of those that so many tokens may lie on."""
    if len(fields) == 1:
        return fields[0]
    seen = told(columns)
    return min(fields, key=lambda field: spread_out(seen, field))


def told(columns: Floats) -> Floats:
    """The columns that tell."""
    return columns[:, :_TOLD]


def spread_out(columns: Floats, field: TokenGrid) -> float:
    """About how many bits more or less the columns take as waves on that field."""
    waves = columns.copy()
    forward_dct(waves, field)
    power = np.square(waves, dtype=np.float64)
    floor = _LEAST * power.mean(0) + 1e-300
    band = field.bands(len(columns))
    bits = [
        int((band == one).sum()) * float(np.log2(np.maximum(power[band == one].mean(0), floor)).sum())
        for one in range(BANDS)
        if (band == one).any()
    ]
    return 0.5 * sum(bits)

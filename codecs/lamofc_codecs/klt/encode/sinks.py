"""Sinks: tokens of massive energy, to which a model attends whatever they say, and whose errors all others feel.

A consumer's metric is measured without them: an error of the first token of a text may count a thousand times as much
as another. A profile knows first tokens that all samples share. Sinks that it does not know, such as the tokens that
begin the second text of a sequence, have the largest gain, which makes their step a fifteenth as wide.

A record on a token grid has no gains. Its levels are those of the DCT of a block, so the gain of one token would raise
all coefficients of its block. A token class raises a spread elevenfold at the most, and not at all in a band whose
spreads are small beside the step, as those of high frequencies are: such coefficients would round to 0, and much of the
error of the sink would stay. A sample with sinks is coded without a grid for that reason, and a fit counts the bits of
such samples where it decides whether a grid pays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.encode.error_measure import ErrorMeasure
from lamofc_codecs.klt.quantise import ItemGains, token_energies
from lamofc_codecs.runtime import Doubles
from lamofc_codecs.source import MAX_GAIN

_MIN_ENERGY_RATIO = 32
"""Energy of a sink over that of the median token of the fit."""
_MAX_SHARE = 1 / 16
"""Share of the tokens that may be sinks, though one always may; more are nothing out of the ordinary."""


def sink_gains(measure: ErrorMeasure, outside: NDArray[np.bool_]) -> ItemGains | None:
    """Return the gain of each token of a source; None without sinks, or where items share a record.

    Entries `outside` the bulk, which are stored exactly, count as well.
    """
    usual, source = measure.parameters.usual_energy, measure.source
    if usual is None or len(source.items) > 1:
        return None
    sinks = _whole_energies(measure, outside) > _MIN_ENERGY_RATIO * usual
    sinks &= ~measure.parameters.space.is_first(source.positions)
    if not sinks.any() or sinks.sum() > max(1, _MAX_SHARE * len(sinks)):
        return None
    return np.where(sinks, MAX_GAIN, 0)


def _whole_energies(measure: ErrorMeasure, outside: NDArray[np.bool_]) -> Doubles:
    """Return the weighted energy of each token, its exact entries included as far as they are finite."""
    source, space, energies = measure.source, measure.parameters.space, measure.energies.copy()
    rows = np.flatnonzero(outside.any(1))
    if len(rows):
        values = source.rows(rows)
        energies[rows] = token_energies(space.enter(values, source.positions[rows], ~np.isfinite(values)))
    return energies

"""Analysis: from a source to its coefficients.

The exact entries and the channel means are taken off, errors are weighted, the nearest typical token is subtracted,
channels are transformed to columns, and tokens that lie on a grid go through the block DCT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.klt.encode.error_measure import ErrorMeasure
from lamofc_codecs.klt.encode.residual import Residual
from lamofc_codecs.klt.encode.sinks import sink_gains
from lamofc_codecs.klt.encode.subsample import Subsample
from lamofc_codecs.klt.format import KltParameters, SideInformation
from lamofc_codecs.klt.gpu import forward
from lamofc_codecs.klt.quantise import ItemGains, TokenGroups, gain_factors
from lamofc_codecs.klt.transform import TokenGrid, choose_grid, forward_dct
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats, devices, lazy
from lamofc_codecs.source import Source
from lamofc_codecs.stats import WaterFilling

_MAX_ROUGH_SHARE = 10**-2.5
"""Share of the signal in the error budget above which a rough transform, 40 dB exact, is good enough."""
_MIN_COLUMN_ERROR = 0.7
"""Columns with a spread below 0.2 step (the error of a step of 0.7) are not analysed: nearly all would round to 0."""
_MAX_TRUNCATED_SHARE = 0.9
"""Share of the error budget that the columns which are not analysed may take."""
_TAIL_DIVISOR, _MAX_TAIL_RATIO = 8, 2.0
"""The last eighth of the columns may have at most twice the spread that the profile makes likely at their end."""
_MIN_COLUMNS = 8
"""Columns that are analysed at the least once more than predicted are needed."""


@dataclass(frozen=True, eq=False)
class Coefficients:
    """A source after all transforms, with what its quantisation depends on."""

    measure: ErrorMeasure
    values: Floats
    """Tokens x columns."""
    index: NDArray[np.int64] | None
    """Codebook index of each token."""
    grid: TokenGrid
    """Grid of the block DCT."""
    exact: tuple[NDArray[np.int64], ...]
    """Positions of the exact entries of each part, rising."""
    subsample: Subsample
    prediction: WaterFilling
    """Rates and errors that the profile predicts of the sample."""
    item_gains: ItemGains | None = None
    """Gain of each token, where items share a step, tokens are sinks or gains are given; the values include it."""

    @property
    def source(self) -> Source:
        """The source that was transformed."""
        return self.measure.source

    @property
    def parameters(self) -> KltParameters:
        """The profile's parameters."""
        return self.measure.parameters

    @lazy
    def band(self) -> NDArray[np.uint8]:
        """Band of each token."""
        return self.grid.bands(len(self.values))

    def side(self, tokens: TokenGroups) -> SideInformation:
        """All that is stored of each token besides its levels."""
        return SideInformation(tokens, self.index, self.grid, self.source.positions, self.item_gains)


def analyse(source: Source, outside: NDArray[np.bool_], parameters: KltParameters, quality: Quality) -> Coefficients:
    """Transform a source; entries `outside` the bulk, tokens x channels, will be stored exactly.

    A sample with sinks lies on no grid, as gains are those of tokens: `sinks` says why.
    """
    residual = Residual(source, outside, parameters)
    measure = ErrorMeasure.of(residual.energies, source, parameters, quality)
    gains = _gains(source, sink_gains(measure, outside))
    values, irreducible, subsample = _project(residual, measure, every=gains is not None)
    plain = len(source.items) > 1 or gains is not None
    grid = TokenGrid() if plain else choose_grid(values, parameters.grids(len(values)))
    if grid.rows:
        forward_dct(values, grid)
        subsample = Subsample.of(values)
    band = grid.bands(len(values))
    prediction = parameters.water_filling(subsample.energy, band, values.shape[1], irreducible)
    exact = tuple(np.flatnonzero(outside[:, first:last]) for first, last in pairwise(parameters.bounds))
    if gains is not None:
        values *= gain_factors(gains)[:, None]
        subsample = Subsample.of(values)
    return Coefficients(measure, values, residual.index, grid, exact, subsample, prediction, gains)


def _gains(source: Source, sinks: ItemGains | None) -> ItemGains | None:
    """Return the gain of each token: that of a sink, or the one that it is given."""
    given = source.placement.gains
    if given is None or sinks is None:
        return sinks if given is None else given
    return np.where(sinks > 0, sinks, given)


def _project(residual: Residual, measure: ErrorMeasure, *, every: bool) -> tuple[Floats, float, Subsample]:
    """Transform to as many columns as the budget needs; return also the squared error that they leave, and a subsample.

    The profile predicts how many. A sample that is unlike the calibration samples may need more, one with sinks needs
    `every` column.
    """
    parameters, budget = measure.parameters, measure.budget
    roughly = measure.signal * _MAX_ROUGH_SHARE < budget < math.inf and not every
    count, spread = _predict_columns(residual, measure)
    count = parameters.columns if every else count
    while True:
        columns = _first_columns(residual, count, roughly=roughly)
        irreducible, subsample = 0.0, Subsample.of(columns)
        for tokens, scale in subsample.pieces:
            irreducible += _truncation_error(residual.rows(tokens), columns[tokens], parameters) * scale
        if count >= parameters.columns or not _truncates_signal(columns, irreducible, budget, spread):
            return columns, irreducible, subsample
        count = min(max(2 * count, _MIN_COLUMNS), parameters.columns)


def _predict_columns(residual: Residual, measure: ErrorMeasure) -> tuple[int, float]:
    """Predict the columns that stand out of the step needed, and the spread of the last of them."""
    parameters, quality, source = measure.parameters, measure.quality, measure.source
    grid = parameters.grids(source.tokens)[0]
    prediction = parameters.water_filling(residual.energy, grid.bands(source.tokens), parameters.columns)
    step = quality.value
    if quality.kind in ("mse", "snr_db", "kl"):
        step = prediction.step_for_error(measure.budget)
    elif quality.kind == "bpfp":
        step = prediction.step_for_bits(quality.value * source.size)
    return prediction.columns(step * _MIN_COLUMN_ERROR), step * _MIN_COLUMN_ERROR / math.sqrt(12)


def _first_columns(residual: Residual, count: int, *, roughly: bool) -> Floats:
    """Transform tokens x channels to the first columns."""
    columns = [_columns_of(piece, count, residual, roughly=roughly) for piece in residual.pieces()]
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _columns_of(piece: Floats, count: int, residual: Residual, *, roughly: bool) -> Floats:
    parameters, device = residual.parameters, residual.source.device
    if parameters.analysis is None:
        return np.ascontiguousarray(piece[:, parameters.order[:count]])
    if device.type in devices.ACCELERATORS:
        return forward.forward_on(device, parameters.analysis, piece, count, roughly=roughly)
    return parameters.analysis.forward(piece, count, roughly=roughly)


def _truncation_error(residual: Floats, columns: Floats, parameters: KltParameters) -> float:
    """Squared error that remains if all columns are exact."""
    if columns.shape[1] >= parameters.channels or not residual.size:
        return 0.0
    if parameters.analysis is None:
        return float(np.square(residual, dtype=np.float64).sum() - np.square(columns, dtype=np.float64).sum())
    return parameters.analysis.truncation_error(residual, columns)


def _truncates_signal(columns: Floats, irreducible: float, budget: float, spread: float) -> bool:
    """Whether more columns are needed: the others take nearly all of the budget, or the last ones have high energy."""
    tail = columns[:, -max(1, columns.shape[1] // _TAIL_DIVISOR) :]
    energy = float(np.square(tail, dtype=np.float64).mean()) if tail.size else 0.0
    return irreducible > _MAX_TRUNCATED_SHARE * budget or energy > (_MAX_TAIL_RATIO * spread) ** 2

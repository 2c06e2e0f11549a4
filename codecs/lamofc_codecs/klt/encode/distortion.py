"""Distortion of what a decoder makes of a sample's levels, and of each prefix of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import CLASSES
from lamofc_codecs.klt.decode import reconstruct, sixteenths_of
from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.quantised import QuantisedLevels
from lamofc_codecs.klt.encode.subsample import SUBSAMPLE_ENTRIES
from lamofc_codecs.klt.format import LayerHead
from lamofc_codecs.klt.layers import COMPLETE, UNREAD, Pass, errors_by_state, state_after
from lamofc_codecs.klt.quantise import gain_factors
from lamofc_codecs.runtime import Doubles, Floats, compiled
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Distortion, interpolate_distortion

_MIN_ERROR = 1e-300
"""Stands for the error that a refinement level takes off, where that is 0."""
_MAX_COARSE_VALUES = 1 << 16
"""Values on which a coarser refinement level is measured, where errors are weighed."""

Positions = tuple[NDArray[np.int64], ...]
"""Positions of the exact entries of each part."""


def decode_level(coefficients: Coefficients, quantised: QuantisedLevels, depth: int) -> list[Tensor]:
    """Decode one refinement level, exact entries aside."""
    decoded = [torch.empty_like(tensor) for tensor in coefficients.source.tensors]
    reconstruct(quantised.decoded(depth), coefficients.parameters, coefficients.side(quantised.tokens), decoded)
    return decoded


def restore_exact(source: Source, exact: Positions, decoded: Sequence[Tensor]) -> None:
    """Put the exact entries of each part into place."""
    for tensor, positions, out in zip(source.tensors, exact, decoded, strict=True):
        places = torch.from_numpy(positions)
        out.view(-1)[places] = tensor.view(-1)[places]


def decode_exactly(
    coefficients: Coefficients, quantised: QuantisedLevels, depth: int, exact: Positions
) -> list[Tensor]:
    """Decode one refinement level, the exact entries in their places."""
    decoded = decode_level(coefficients, quantised, depth)
    restore_exact(coefficients.source, exact, decoded)
    return decoded


def layer_distortions(
    coefficients: Coefficients,
    quantised: QuantisedLevels,
    head: LayerHead,
    exact: Positions,
    decoded: Sequence[Tensor],
    distortion: tuple[Distortion, ...],
) -> tuple[tuple[Distortion, ...], ...]:
    """Distortion of each prefix of the layers: of each part, or of each of several items.

    It is measured at the end of a refinement level, and interpolated within one. Coarser levels of many weighted values
    are measured on some tokens. `decoded` are the parts by all layers, and `distortion` is theirs.
    """
    if len(coefficients.source.items) > 1:
        measure = coefficients.measure.measure_items
        ends = [*map(measure, _coarse_levels(coefficients, quantised, exact)), measure(decoded)]
    else:
        ends = [*_coarse_distortions(coefficients, quantised, exact, decoded, distortion), distortion]
    distortions = [ends[0]]
    for depth, split in enumerate(head.splits, 1):
        shares = _remaining_shares(coefficients, quantised, depth, split.passes) if len(split.passes) > 1 else []
        for share in shares:
            pairs = zip(ends[depth - 1], ends[depth], strict=True)
            distortions.append(tuple(interpolate_distortion(share, worse, better) for worse, better in pairs))
        distortions.append(ends[depth])
    return tuple(distortions)


def _coarse_levels(coefficients: Coefficients, quantised: QuantisedLevels, exact: Positions) -> Iterator[list[Tensor]]:
    """Decode each refinement level but the last."""
    depths = range(len(quantised.levels) - 1)
    return (decode_exactly(coefficients, quantised, depth, exact) for depth in depths)


def _coarse_distortions(
    coefficients: Coefficients,
    quantised: QuantisedLevels,
    exact: Positions,
    decoded: Sequence[Tensor],
    distortion: tuple[Distortion, ...],
) -> Iterator[tuple[Distortion, ...]]:
    """Distortion of each part where the layers end with each refinement level but the last.

    Where errors are weighed, it takes long. That of many tokens is then told from some: these have so much more of it
    than by all layers, and columns say how much more all tokens have.
    """
    parameters, depths = coefficients.parameters, range(len(quantised.levels) - 1)
    stride = -(-coefficients.source.values.size // _MAX_COARSE_VALUES)
    if stride == 1 or coefficients.grid.rows or not parameters.weighs:
        every = _coarse_levels(coefficients, quantised, exact)
        yield from (coefficients.measure.measure(level, roughly=True) for level in every)
        return
    tokens = slice(None, None, stride)
    some = quantised.of_tokens(np.arange(len(coefficients.values))[tokens], parameters)
    finest = coefficients.measure.measure([tensor[tokens] for tensor in decoded], tokens, roughly=True)
    least = _column_errors(coefficients, quantised, len(depths), stride)
    for depth in depths:
        coarse = _decode_some(coefficients, some, depth, exact, tokens)
        found = coefficients.measure.measure(coarse, tokens, roughly=True)
        errors = _column_errors(coefficients, quantised, depth, stride) - least
        factors = [_ratio(gains[:, : errors.shape[1]] @ errors.T) for gains in parameters.part_gains]
        yield tuple(_more_distorted(*five) for five in zip(distortion, found, finest, *factors, strict=True))


def _ratio(errors: Doubles) -> Doubles:
    """Errors of all tokens over those of some, of each part; `errors` are parts x both."""
    ratio: Doubles = np.maximum(errors[:, 0], 0) / np.maximum(errors[:, 1], _MIN_ERROR)
    return ratio


def _more_distorted(
    every: Distortion, found: Distortion, finest: Distortion, plain: float, weighted: float
) -> Distortion:
    """Add to the distortion of the finest level what a coarser one has more."""
    return Distortion(
        max(every.sse + plain * (found.sse - finest.sse), 0.0),
        max(every.bulk_sse + plain * (found.bulk_sse - finest.bulk_sse), 0.0),
        max(every.max_error, found.max_error),
        max((every.weighted_sse or 0.0) + weighted * ((found.weighted_sse or 0.0) - (finest.weighted_sse or 0.0)), 0.0),
    )


def _decode_some(
    coefficients: Coefficients, some: QuantisedLevels, depth: int, exact: Positions, tokens: slice
) -> list[Tensor]:
    """Decode one refinement level of some tokens, one in so many, the exact entries in their places."""
    side = coefficients.side(some.tokens)
    index = None if side.index is None else side.index[tokens]
    gains = None if side.item_gains is None else side.item_gains[tokens]
    side = replace(side, index=index, positions=side.positions[tokens], item_gains=gains)
    tensors = [tensor[tokens] for tensor in coefficients.source.tensors]
    decoded = [torch.empty_like(tensor) for tensor in tensors]
    reconstruct(some.decoded(depth), coefficients.parameters, side, decoded)
    for tensor, positions, out in zip(tensors, exact, decoded, strict=True):
        token, channel = np.divmod(positions, out.shape[1])
        chosen = token % tokens.step == 0
        places = torch.from_numpy(token[chosen] // tokens.step), torch.from_numpy(channel[chosen])
        out[places] = tensor[places]
    return decoded


def _column_errors(coefficients: Coefficients, quantised: QuantisedLevels, depth: int, stride: int) -> Doubles:
    """Squared errors of the analysed columns: over all tokens, and over one token in so many."""
    level, values = quantised.decoded(depth), coefficients.values
    decoded = sixteenths_of(level, coefficients.parameters)
    units = (level.step / decoded.step_scale).astype(np.float32)
    gains = np.ones(len(values), np.float32)
    if coefficients.item_gains is not None:
        gains = gain_factors(coefficients.item_gains)
    sums = np.zeros((2, values.shape[1]))
    _sum_errors(values, decoded.by_token(), units, gains, stride, sums)
    return sums


@compiled
def _sum_errors(
    values: Floats, decoded: NDArray[np.int32], units: Floats, gains: Floats, stride: int, sums: Doubles
) -> None:
    coded = decoded.shape[1]
    for t in range(values.shape[0]):
        row, own, gain = values[t], decoded[t], gains[t]
        for c in range(values.shape[1]):
            error = row[c] - (np.float32(own[c]) * units[c] if c < coded else np.float32(0))
            square = np.float64(error / gain) ** 2
            sums[0, c] += square
            if t % stride == 0:
                sums[1, c] += square


def _remaining_shares(
    coefficients: Coefficients, quantised: QuantisedLevels, depth: int, passes: Sequence[Pass]
) -> list[float]:
    """Share of the error that a refinement level takes off which remains after each of its passes but the last.

    It is predicted from a subsample of the tokens.
    """
    parameters, values = coefficients.parameters, coefficients.values
    rows = np.arange(0, len(values), max(1, values.size // SUBSAMPLE_ENTRIES))
    some = quantised.of_tokens(rows, parameters)
    fine, coarse, runs = some.levels[depth], some.levels[depth - 1], (some.runs[depth], some.runs[depth - 1])
    columns = np.ascontiguousarray(values[rows[some.tokens.order], : len(fine)].T) / some.head.step_of(depth)
    gains = parameters.error_gains
    sums = errors_by_state(columns, fine, coarse, runs, parameters.offsets, gains)
    complete, every = sums[:, COMPLETE].sum(), np.arange(CLASSES)
    removed = max(float(sums[:, UNREAD].sum() - complete), _MIN_ERROR)
    states = [state_after(passes[:count]) for count in range(1, len(passes))]
    return [min(max(float(sums[every, state].sum() - complete) / removed, 0.0), 1.0) for state in states]

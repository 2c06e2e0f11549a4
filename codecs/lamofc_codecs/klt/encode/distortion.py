"""Distortion of what a decoder makes of a sample's levels, and of each prefix of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import CLASSES
from lamofc_codecs.klt.decode import Reconstruction, reconstruct, sixteenths_of
from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.quantised import QuantisedLevels
from lamofc_codecs.klt.encode.subsample import SUBSAMPLE_ENTRIES
from lamofc_codecs.klt.format import LayerHead
from lamofc_codecs.klt.layers import COMPLETE, UNREAD, Pass, errors_by_state, state_after
from lamofc_codecs.klt.quantise import gain_factors
from lamofc_codecs.runtime import Doubles, Floats, compiled
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Distortion, interpolate_distortion

_MIN_TOLD = 1e-2
"""Errors that are predicted of some tokens, over their share of those of all, above which they tell of the others."""
_MIN_ERROR = 1e-300
"""Stands for the error that a refinement level takes off, where that is 0."""
_MAX_COARSE_VALUES = 1 << 16
"""Values on which a coarser refinement level is measured, where errors are weighed."""

Positions = tuple[NDArray[np.int64], ...]
"""Positions of the exact entries of each part."""


def decode_level(coefficients: Coefficients, quantised: QuantisedLevels, depth: int) -> list[Tensor]:
    """Decode one refinement level, exact entries aside."""
    decoded = [torch.empty_like(tensor) for tensor in coefficients.source.tensors]
    record = Reconstruction(quantised.decoded(depth), coefficients.side(quantised.tokens), decoded)
    reconstruct([record], coefficients.parameters)
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
    distortion: tuple[Distortion, ...],
) -> tuple[tuple[Distortion, ...], ...]:
    """Distortion of each prefix of the layers: of each part, or of each of several items.

    It is measured at the end of a refinement level, and interpolated within one. Coarser levels of many weighted values
    are measured on some tokens. `distortion` is that of all layers, of each part.
    """
    depths = range(len(quantised.levels))
    if len(coefficients.source.items) > 1:
        every = (decode_exactly(coefficients, quantised, depth, exact) for depth in depths)
        ends = [coefficients.measure.measure_items(decoded) for decoded in every]
    else:
        ends = [*_coarse_distortions(coefficients, quantised, exact, distortion), distortion]
    distortions = [ends[0]]
    for depth, split in enumerate(head.splits, 1):
        shares = _remaining_shares(coefficients, quantised, depth, split.passes) if len(split.passes) > 1 else []
        for share in shares:
            pairs = zip(ends[depth - 1], ends[depth], strict=True)
            distortions.append(tuple(interpolate_distortion(share, worse, better) for worse, better in pairs))
        distortions.append(ends[depth])
    return tuple(distortions)


def _coarse_distortions(
    coefficients: Coefficients, quantised: QuantisedLevels, exact: Positions, distortion: tuple[Distortion, ...]
) -> Iterator[tuple[Distortion, ...]]:
    """Distortion of each part where the layers end with each refinement level but the last.

    Where errors are weighed, it takes long. That of many tokens is then told from some: these have so much more of it
    than by all layers, and columns say how much more all tokens have.
    """
    depths = range(len(quantised.levels) - 1)
    stride = -(-coefficients.source.size // _MAX_COARSE_VALUES)
    if stride == 1 or coefficients.grid.rows or not coefficients.parameters.weighs:
        every = (decode_exactly(coefficients, quantised, depth, exact) for depth in depths)
        yield from (coefficients.measure.measure(decoded, roughly=True) for decoded in every)
    elif depths:
        sample = _TokenSample(coefficients, quantised, exact, _one_in_so_many(len(coefficients.values), stride))
        yield from (sample.distortion(depth, distortion) for depth in depths)


def _one_in_so_many(tokens: int, stride: int) -> NDArray[np.int64]:
    """Choose a token in each so many, at random, since tokens may have a period, but the same every time."""
    first = np.arange(0, tokens, stride)
    chosen = first + np.random.RandomState(0).randint(stride, size=len(first))
    return np.minimum(chosen, tokens - 1)


class _TokenSample:
    """Some tokens of a sample, by which its coarser refinement levels are measured."""

    def __init__(
        self, coefficients: Coefficients, quantised: QuantisedLevels, exact: Positions, tokens: NDArray[np.int64]
    ) -> None:
        self._coefficients, self._quantised, self._exact, self._tokens = coefficients, quantised, exact, tokens
        self._some = quantised.of_tokens(tokens, coefficients.parameters)
        self._finest = self._measure(len(quantised.levels) - 1)
        self._least = self._column_errors(len(quantised.levels) - 1)

    def distortion(self, depth: int, finest: tuple[Distortion, ...]) -> tuple[Distortion, ...]:
        """Distortion of each part where the layers end with a refinement level, given that by all layers."""
        found, predicted = self._measure(depth), self._column_errors(depth) - self._least
        gains = (gains[:, : predicted.shape[1]] @ predicted.T for gains in self._coefficients.parameters.part_gains)
        parts = zip(finest, found, self._finest, *gains, strict=True)
        return tuple(self._of_every_token(*part) for part in parts)

    def _of_every_token(
        self, finest: Distortion, found: Distortion, least: Distortion, plain: Doubles, weighted: Doubles
    ) -> Distortion:
        """Add to the distortion of a part by all layers what these tokens have more than that, scaled to all tokens.

        Predictions of that are for all tokens and for these.
        """

        def more(by_all: float, some: float, some_by_all: float, predicted: Doubles) -> float:
            every, told = max(float(predicted[0]), 0.0), float(predicted[1])
            telling = told > _MIN_TOLD * every * len(self._tokens) / len(self._coefficients.values)
            return max(by_all + ((some - some_by_all) * every / told if telling else every), 0.0)

        return Distortion(
            more(finest.sse, found.sse, least.sse, plain),
            more(finest.bulk_sse, found.bulk_sse, least.bulk_sse, plain),
            max(finest.max_error, found.max_error),
            more(finest.weighted_sse or 0.0, found.weighted_sse or 0.0, least.weighted_sse or 0.0, weighted),
        )

    def _measure(self, depth: int) -> tuple[Distortion, ...]:
        decoded = _decode_some(self._coefficients, self._some, depth, self._exact, self._tokens)
        return self._coefficients.measure.measure(decoded, self._tokens, roughly=True)

    def _column_errors(self, depth: int) -> Doubles:
        """Squared errors of the analysed columns: over all tokens, and over these."""
        level, values = self._quantised.decoded(depth), self._coefficients.values
        decoded = sixteenths_of(level, self._coefficients.parameters)
        units = (level.step / decoded.step_scale).astype(np.float32)
        gains = self._coefficients.item_gains
        factors = np.ones(len(values), np.float32) if gains is None else gain_factors(gains)
        chosen, sums = np.zeros(len(values), np.bool_), np.zeros((2, values.shape[1]))
        chosen[self._tokens] = True
        _sum_errors(values, decoded.by_token(), units, factors, chosen, sums)
        return sums


def _decode_some(
    coefficients: Coefficients, some: QuantisedLevels, depth: int, exact: Positions, tokens: NDArray[np.int64]
) -> list[Tensor]:
    """Decode one refinement level of some tokens, rising, the exact entries in their places."""
    side = coefficients.side(some.tokens)
    index = None if side.index is None else side.index[tokens]
    gains = None if side.item_gains is None else side.item_gains[tokens]
    side = replace(side, index=index, positions=side.positions[tokens], item_gains=gains)
    tensors = [tensor[torch.from_numpy(tokens)] for tensor in coefficients.source.tensors]
    decoded = [torch.empty_like(tensor) for tensor in tensors]
    reconstruct([Reconstruction(some.decoded(depth), side, decoded)], coefficients.parameters)
    for tensor, positions, out in zip(tensors, exact, decoded, strict=True):
        token, channel = np.divmod(positions, out.shape[1])
        place = np.minimum(np.searchsorted(tokens, token), len(tokens) - 1)
        chosen = tokens[place] == token
        places = torch.from_numpy(place[chosen]), torch.from_numpy(channel[chosen])
        out[places] = tensor[places]
    return decoded


@compiled
def _sum_errors(
    values: Floats,
    decoded: NDArray[np.int32],
    units: Floats,
    factors: Floats,
    chosen: NDArray[np.bool_],
    sums: Doubles,
) -> None:
    coded = decoded.shape[1]
    for t in range(values.shape[0]):
        row, own, factor, among = values[t], decoded[t], factors[t], chosen[t]
        for c in range(values.shape[1]):
            error = row[c] - (np.float32(own[c]) * units[c] if c < coded else np.float32(0))
            square = np.float64(error / factor) ** 2
            sums[0, c] += square
            if among:
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

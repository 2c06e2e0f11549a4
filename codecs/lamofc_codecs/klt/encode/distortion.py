"""Distortion of what a decoder makes of a sample's levels, and of each prefix of its layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import CLASSES
from lamofc_codecs.klt.decode import reconstruct
from lamofc_codecs.klt.encode.coefficients import Coefficients
from lamofc_codecs.klt.encode.quantised import QuantisedLevels
from lamofc_codecs.klt.encode.subsample import SUBSAMPLE_ENTRIES
from lamofc_codecs.klt.format import DecodedLevel, LayerHead
from lamofc_codecs.klt.layers import COMPLETE, UNREAD, Pass, errors_by_state, state_after
from lamofc_codecs.klt.quantise import TokenGroups
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Distortion, interpolate_distortion

_MIN_ERROR = 1e-300
"""Stands for the error that a refinement level takes off, where that is 0."""

Positions = tuple[NDArray[np.int64], ...]
"""Positions of the exact entries of each part."""


def decode_level(coefficients: Coefficients, quantised: QuantisedLevels, depth: int) -> list[Tensor]:
    """Decode one refinement level, exact entries aside."""
    decoded = [torch.empty_like(tensor) for tensor in coefficients.source.tensors]
    runs, step = quantised.runs[depth], quantised.head.step_of(depth)
    level = DecodedLevel(quantised.levels[depth], runs, step)
    reconstruct(level, coefficients.parameters, coefficients.side(runs.tokens), decoded)
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

    It is measured at the end of a refinement level, and interpolated within one. `distortion` is that of all layers, of
    each part.
    """
    depths = range(len(quantised.levels))
    if len(coefficients.source.items) > 1:
        ends = [_item_distortions(coefficients, quantised, depth, exact) for depth in depths]
    else:
        coarse = (decode_exactly(coefficients, quantised, depth, exact) for depth in depths[:-1])
        ends = [*(coefficients.measure.measure(decoded, roughly=True) for decoded in coarse), distortion]
    distortions = [ends[0]]
    for depth, split in enumerate(head.splits, 1):
        shares = _remaining_shares(coefficients, quantised, depth, split.passes) if len(split.passes) > 1 else []
        for share in shares:
            pairs = zip(ends[depth - 1], ends[depth], strict=True)
            distortions.append(tuple(interpolate_distortion(share, worse, better) for worse, better in pairs))
        distortions.append(ends[depth])
    return tuple(distortions)


def _item_distortions(
    coefficients: Coefficients, quantised: QuantisedLevels, depth: int, exact: Positions
) -> tuple[Distortion, ...]:
    """Distortion of each item where the layers end with a refinement level."""
    return coefficients.measure.measure_items(decode_exactly(coefficients, quantised, depth, exact))


def _remaining_shares(
    coefficients: Coefficients, quantised: QuantisedLevels, depth: int, passes: Sequence[Pass]
) -> list[float]:
    """Share of the error that a refinement level takes off which remains after each of its passes but the last.

    It is predicted from a subsample of the tokens.
    """
    parameters, head, values = coefficients.parameters, quantised.head, coefficients.values
    rows = np.arange(0, len(values), max(1, values.size // SUBSAMPLE_ENTRIES))
    tokens = TokenGroups.from_classes(quantised.tokens.token_class[rows], coefficients.band[rows])
    places = np.argsort(quantised.tokens.order)[rows[tokens.order]]
    coarse, fine = (np.ascontiguousarray(quantised.levels[at][:, places]) for at in (depth - 1, depth))
    runs = head.runs_of(depth, tokens, parameters), head.runs_of(depth - 1, tokens, parameters)
    columns = np.ascontiguousarray(values[rows[tokens.order], : len(fine)].T) / head.step_of(depth)
    gains = parameters.error_gains
    sums = errors_by_state(columns, fine, coarse, runs, parameters.offsets, gains)
    complete, every = sums[:, COMPLETE].sum(), np.arange(CLASSES)
    removed = max(float(sums[:, UNREAD].sum() - complete), _MIN_ERROR)
    states = [state_after(passes[:count]) for count in range(1, len(passes))]
    return [min(max(float(sums[every, state].sum() - complete) / removed, 0.0), 1.0) for state in states]

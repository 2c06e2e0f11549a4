"""The coding space of a fit: positions undone, means, error weights, and the first tokens that all samples share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.fit.parts import Parts
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.quantise import token_energies
from lamofc_codecs.klt.transform import MAX_FIRST_TOKENS, CodingSpace, ErrorWeights, Positions, rotary_parts
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import Bulk

_MIN_ALIKE_SAMPLES = 8
"""Samples in which first tokens must be alike."""
_MAX_UNLIKE_SHARE = 1e-3
"""Energy of first tokens about their mean, as a share of that of all tokens, up to which they are alike."""
_TILE = 128
"""Tokens that are turned back at once."""
_MIN_MEDIAN_TOKENS = 4096
"""Tokens, or more, from which the median energy is told."""


@dataclass(frozen=True, eq=False)
class FitTokens:
    """Tokens of a fit in their coding space, those aside that all samples share."""

    space: CodingSpace
    values: Tensor
    """Weighted residuals, tokens x channels."""

    @property
    def median_energy(self) -> float:
        """Median of the tokens' weighted energy, told from some of them."""
        stride = max(1, len(self.values) // _MIN_MEDIAN_TOKENS)
        return float(np.median(token_energies(np.ascontiguousarray(self.values[::stride].numpy()))))


@dataclass(frozen=True, eq=False)
class SampledTokens:
    """Tokens that a fit selected from its samples, and all first tokens of some samples."""

    values: Floats
    positions: Positions
    """Position of each token in its sample."""
    first: Sequence[Tensor]
    """The first tokens of some samples."""


def prepare_tokens(
    tokens: SampledTokens, bulk: Bulk, parts: Parts, quality: Quality | None, options: KltOptions
) -> FitTokens:
    """Settle the coding space of a profile, and bring the tokens of the fit into it.

    First tokens are looked for only in fits with rotary positions or a weighted group, which are of language models.
    """
    widths = [count for _, count in parts] or [tokens.values.shape[1]]
    weights = _weights_of(options, parts)
    rotary = rotary_parts(options.rotations or [None] * len(widths), widths)
    space = CodingSpace.plain(bulk, ErrorWeights(np.ones(sum(widths), np.float32)))
    if parts and weights:
        space = replace(space, error_weights=ErrorWeights.of_parts(weights, options.weight_floor, widths))
    elif weights:
        space = replace(space, error_weights=ErrorWeights.from_values(weights[0], options.weight_floor, widths[0]))
    if rotary or (parts and weights):
        space, residual = _enter_without_first(tokens, replace(space, rotary=rotary))
    else:
        residual = space.enter(tokens.values, tokens.positions)
    if not weights:
        space = replace(space, error_weights=_even_weights(residual, parts, quality))
        space.error_weights.apply(residual)
    return FitTokens(space, torch.from_numpy(residual))


def enter_sample(sample: Tensor, space: CodingSpace) -> Floats:
    """Bring a sample into the coding space, from position 0 on, without the first tokens that all samples share."""
    values = sample.detach().cpu().to(torch.float32).numpy()
    return space.enter(values, np.arange(len(values)))[len(space.first_tokens) :]


def _enter_without_first(tokens: SampledTokens, space: CodingSpace) -> tuple[CodingSpace, Floats]:
    """Find the centre and the first tokens that all samples share; return also the weighted residuals of the others."""
    some = np.arange(0, len(tokens.positions), max(1, len(tokens.positions) // _MIN_MEDIAN_TOKENS))
    turned = _turned_back(tokens, some, space)
    energies = token_energies(_centred(turned, space).weigh_turned(turned))
    first_tokens = _shared_first_tokens(tokens, space, _MAX_UNLIKE_SHARE * float(np.median(energies)))
    turned = _turned_back(tokens, np.flatnonzero(tokens.positions >= len(first_tokens)), space)
    space = _centred(turned, replace(space, first_tokens=first_tokens))
    return space, space.weigh_turned(turned)


def _turned_back(tokens: SampledTokens, rows: NDArray[np.int64], space: CodingSpace) -> Floats:
    """Return some tokens without their positions, the mean in place of exact entries; tile by tile, in the cache."""
    turned = np.empty((len(rows), space.channels), np.float32)
    for start in range(0, len(rows), _TILE):
        tile = rows[start : start + _TILE]
        values = tokens.values[tile]
        part = np.where(space.bulk.outside(values), space.bulk.mean, values)
        space.turn_back(part, tokens.positions[tile])
        turned[start : start + _TILE] = part
    return turned


def _centred(turned: Floats, space: CodingSpace) -> CodingSpace:
    """Return the space with the mean of tokens that are turned back."""
    return replace(space, centre=turned.mean(0, dtype=np.float64).astype(np.float32)) if space.rotary else space


def _shared_first_tokens(tokens: SampledTokens, space: CodingSpace, limit: float) -> Floats:
    """Return the means of the first tokens that are alike in all samples: positions x channels.

    Their weighted energy about their mean is at most `limit`. A model that reads from left to right makes the same of
    the same first token, such as the one that begins each text.
    """
    positions = tokens.positions
    means: list[Floats] = []
    for position in range(MAX_FIRST_TOKENS):
        alike = [first[position].numpy() for first in tokens.first if len(first) > position]
        if len(alike) < _MIN_ALIKE_SAMPLES or 2 * (positions > position).sum() < len(positions):
            break
        stacked = np.stack(alike)
        mean = stacked.mean(0, dtype=np.float64).astype(np.float32)
        unlike = space.weigh_errors(stacked - mean, np.full(len(stacked), position))
        if not float(token_energies(unlike).mean()) <= limit:
            break
        means.append(mean)
    return np.stack(means) if means else space.first_tokens


def _even_weights(residual: Floats, parts: Parts, quality: Quality | None) -> ErrorWeights:
    """Weigh the features of a group so that they count alike, by their signals.

    If the quality states an error or a step, all errors have the same weight.
    """
    by_channel = np.ones(residual.shape[1], np.float32)
    if quality is not None and quality.kind not in ("snr_db", "bpfp"):
        return ErrorWeights(by_channel)
    first = 0
    for _, channels in parts:
        spread = float(torch.from_numpy(residual)[:, first : first + channels].square().mean().sqrt())
        by_channel[first : first + channels] = 1 / spread if spread > 0 else 1.0
        first += channels
    return ErrorWeights(by_channel)


def _weights_of(options: KltOptions, parts: Parts) -> list[Tensor]:
    """Return the weight of each part; none where errors are not weighed."""
    weight, names = options.weight, [name for name, _ in parts]
    if weight is None:
        return []
    listed = [weight.get(name) for name in names] if isinstance(weight, Mapping) else [weight]
    tensors = [one for one in listed if isinstance(one, Tensor)]
    if len(tensors) != max(len(parts), 1):
        given = (
            {name: type(one).__name__ for name, one in weight.items()} if isinstance(weight, Mapping) else "a tensor"
        )
        raise UnsupportedInput(
            f"weights {given} for {names or 'one feature'}",
            "give a tensor for one feature, and a mapping with all features of a group",
        )
    if (options.transform == "none" or options.ranges > 1) and any(one.dim() > 1 for one in tensors):
        raise UnsupportedInput(
            f"a weight of shape {tuple(tensors[0].shape)}, transform={options.transform}, ranges={options.ranges}",
            "give a matrix for features that are transformed as a whole, or a weight for each channel",
        )
    return tensors

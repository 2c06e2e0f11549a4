"""The coding space of a fit: positions undone, means, error weights, and the first tokens that all samples share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.klt.fit.parts import Parts
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.quantise import token_energies
from lamofc_codecs.klt.transform import MAX_FIRST_TOKENS, CodingSpace, ErrorWeights, Positions, Rotary, rotary_parts
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Floats
from lamofc_codecs.stats import Bulk

_MIN_ALIKE_SAMPLES = 8
"""Samples in which first tokens must be alike."""
_MAX_UNLIKE_SHARE = 1e-3
"""Energy of first tokens about their mean, as a share of that of all tokens, up to which they are alike."""


@dataclass(frozen=True, eq=False)
class FitTokens:
    """Tokens of a fit in their coding space, those aside that all samples share."""

    space: CodingSpace
    values: Tensor
    """Weighted residuals, tokens x channels."""


def prepare_tokens(
    values: Floats, positions: Positions, bulk: Bulk, parts: Parts, quality: Quality | None, options: KltOptions
) -> FitTokens:
    """Settle the coding space of a profile, and bring the tokens of the fit into it, in place."""
    widths = [count for _, count in parts] or [values.shape[1]]
    weights, rotary = _weights_of(options, parts), rotary_parts(_rotations_of(options, parts), widths)
    space = CodingSpace.plain(bulk, ErrorWeights(np.ones(values.shape[1], np.float32)))
    if parts and weights:
        space = replace(space, error_weights=ErrorWeights.of_parts(weights, options.weight_floor, widths))
    elif weights:
        space = replace(space, error_weights=ErrorWeights.from_values(weights[0], options.weight_floor, widths[0]))
    if rotary:
        space = replace(space, rotary=rotary, centre=_centre_of(values, positions, replace(space, rotary=rotary)))
    if rotary or (parts and weights):
        space = replace(space, first_tokens=_shared_first_tokens(values, positions, space))
        rest = ~space.is_first(positions)
        values, positions = values[rest], positions[rest]
    residual = space.enter(values, space.outside(values, positions), positions)
    if not weights:
        space = replace(space, error_weights=_even_weights(residual, parts, quality))
        space.error_weights.apply(residual)
    return FitTokens(space, torch.from_numpy(residual))


def enter_sample(sample: Tensor, space: CodingSpace) -> Floats:
    """Bring a sample into the coding space, from position 0 on, without the first tokens that all samples share."""
    values = sample.detach().cpu().to(torch.float32).numpy()
    positions = np.arange(len(values))
    return space.enter(values, space.outside(values, positions), positions)[len(space.first_tokens) :]


def _centre_of(values: Floats, positions: Positions, space: CodingSpace) -> Floats:
    """Return the mean of the tokens once they are turned back, exact entries aside."""
    turned = np.where(space.bulk.outside(values), space.bulk.mean, values)
    space.turn_back(turned, positions)
    mean: Floats = turned.mean(0, dtype=np.float64).astype(np.float32)
    return mean


def _shared_first_tokens(values: Floats, positions: Positions, space: CodingSpace) -> Floats:
    """Return the means of the first tokens that are alike in all samples: positions x channels.

    A model that reads from left to right makes the same of the same first token, such as the one that begins each text.
    """
    means: list[Floats] = []
    energies = token_energies(space.enter(values, space.outside(values, positions), positions))
    limit = _MAX_UNLIKE_SHARE * float(np.median(energies))
    for position in range(MAX_FIRST_TOKENS):
        tokens = values[positions == position]
        if len(tokens) < _MIN_ALIKE_SAMPLES or 2 * (positions > position).sum() < len(positions):
            break
        mean = tokens.mean(0, dtype=np.float64).astype(np.float32)
        unlike = space.weigh_errors(tokens - mean, np.full(len(tokens), position))
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


def _rotations_of(options: KltOptions, parts: Parts) -> list[Rotary | None]:
    """Return the rotation of each part, where one is given."""
    rotary = options.rotary
    if isinstance(rotary, Mapping):
        return [rotary.get(name) for name, _ in parts]
    if rotary is not None and parts:
        raise UnsupportedInput(
            f"one rotation for {[name for name, _ in parts]}", "give a mapping of the features that are turned"
        )
    return [rotary] * max(len(parts), 1)


def _weights_of(options: KltOptions, parts: Parts) -> list[Tensor]:
    """Return the weight of each part; none where errors are not weighed."""
    weight, names = options.weight, [name for name, _ in parts]
    if weight is None:
        return []
    listed = [weight.get(name) for name in names] if isinstance(weight, Mapping) else [weight]
    tensors = [one for one in listed if isinstance(one, Tensor)]
    if len(tensors) != max(len(parts), 1):
        given = sorted(weight) if isinstance(weight, Mapping) else type(weight).__name__
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

"""Pooled tokens without the tokens: sum levels over the tokens first, then transform the sums.

Pooling is linear, and so is all that turns levels into channels, except the entries that are stored exactly. Tokens
with such an entry become rows of their own, which gives the value that the entry replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.entropy import exact_values_by_part
from lamofc_codecs.klt.decode.sixteenths import Sixteenths, sixteenths_of
from lamofc_codecs.klt.format import KltParameters, ReadLayers
from lamofc_codecs.klt.quantise import SIXTEENTHS, inverse_gain_factors
from lamofc_codecs.klt.transform import forward_dct
from lamofc_codecs.runtime import Doubles, Floats

_MAX_TOKENS_WITH_EXACT = 64
"""Tokens with exact entries above which decoding all tokens is less work."""
_MIN_WEIGHT_SHARE = 1e-6
"""Share of the largest weight below which a weight is rounding and its token is not read."""


def pooled(
    read: ReadLayers,
    parameters: KltParameters,
    dtypes: Sequence[torch.dtype],
    parts: Sequence[int],
    weights: Doubles,
) -> list[Tensor] | None:
    """Pool the tokens of some parts by `weights`, tokens x rows, into rows x channels, float32.

    None where tokens are turned by their positions, or too many have entries that are stored exactly.
    """
    if parameters.space.rotary:
        return None
    rows, tokens = weights.shape[1], len(weights)
    shapes = [(tokens, last - first) for first, last in pairwise(parameters.bounds)]
    exact = exact_values_by_part(read.exact, shapes, dtypes, parts)
    alone = np.unique(np.concatenate([entries.token for entries in exact.values()])) if exact else np.empty(0, np.int64)
    if len(alone) > _MAX_TOKENS_WITH_EXACT:
        return None
    single = np.zeros((tokens, len(alone)))
    single[alone, np.arange(len(alone))] = 1
    channels = _channels(read, parameters, np.concatenate([weights, single], axis=1))
    outs = []
    for part in parts:
        values = channels[:, parameters.bounds[part] : parameters.bounds[part + 1]]
        sums = values[:rows].copy()
        if part in exact:
            entries = exact[part]
            replaced = values[rows + np.searchsorted(alone, entries.token), entries.channel]
            weight, difference = weights[entries.token], (entries.values - replaced)[:, None]
            # A weight of 0 keeps an infinite entry out of the row; 0 times infinity would not.
            change = np.multiply(weight, difference, out=np.zeros_like(weight), where=weight != 0)
            np.add.at(sums.T, entries.channel, change)
        outs.append(torch.from_numpy(sums.astype(np.float32)))
    return outs


def _channels(read: ReadLayers, parameters: KltParameters, weights: Doubles) -> Doubles:
    """Rows x channels of weighted sums over tokens, exact entries aside."""
    level, side = read.level, read.side
    token_weights = weights.astype(np.float32)
    forward_dct(token_weights, side.grid)
    token_weights *= inverse_gain_factors(side.item_gains, len(token_weights))[:, None]
    unit = float(level.step / np.float32(SIXTEENTHS))
    sums = _weighted_sums(sixteenths_of(level, parameters), token_weights) * unit
    space, positions = parameters.space, side.positions
    out = np.outer(weights.sum(0), space.centre.astype(np.float64))
    first = space.is_first(positions)
    out += weights[first].T @ (space.first_tokens[positions[first]] - space.centre).astype(np.float64)
    if parameters.basis is None:
        chosen = parameters.order[: sums.shape[1]]
        out[:, chosen] += sums / parameters.error_weights.weight[chosen]
    else:
        out += _product(sums, parameters.basis.scaled_rows[: sums.shape[1]])
    if parameters.codebook is not None and side.index is not None:
        typical = parameters.codebook.basis.scaled_rows
        taken = side.index >= 0
        counts = [np.bincount(side.index[taken], weight[taken], len(typical)) for weight in weights.T]
        out += _product(np.stack(counts), typical)
    return out


def _product(rows: Doubles, matrix: Tensor) -> Floats:
    """Multiply by torch, which keeps to the threads that it is given; NumPy's product takes all cores."""
    product: Floats = (torch.from_numpy(rows.astype(np.float32)) @ matrix).numpy()
    return product


def _weighted_sums(sixteenths: Sixteenths, weights: Floats) -> Doubles:
    """Rows x columns of values, each token times its weight, added up; tokens without weight are not read."""
    sorted_weights = weights[sixteenths.tokens.order]
    largest = np.abs(sorted_weights).max(initial=0)
    read = np.flatnonzero(np.abs(sorted_weights).max(axis=1, initial=0) > _MIN_WEIGHT_SHARE * largest)
    out = np.zeros((weights.shape[1], len(sixteenths.levels)))
    sixteenths.add_weighted(read, sorted_weights[read].astype(np.float64), out)
    return out

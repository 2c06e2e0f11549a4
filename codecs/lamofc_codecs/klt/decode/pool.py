"""Pooled tokens without the tokens: numbers are added up where they stand, and the sums alone go through the transform.

Pooling is linear, and so is all that turns whole numbers into channels, but for the entries that are kept exactly.
Tokens with such an entry become rows of their own, so that what the entry takes the place of is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import exact_values_by_part
from lamofc_codecs.klt.decode.reconstruct import Parts, parts_of
from lamofc_codecs.klt.format import KltParameters, Read
from lamofc_codecs.klt.layers import dequantise
from lamofc_codecs.klt.quantise import PARTS, down
from lamofc_codecs.klt.transform import forward_dct
from lamofc_codecs.runtime import Doubles, Floats, compiled

_MOST = 64
"""Tokens with exact entries above which decoding all of them is less work."""
_NOTHING = 1e-6
"""A share of the largest weight that is rounding."""


def pooled(
    read: Read, known: KltParameters, dtypes: Sequence[torch.dtype], parts: Sequence[int], weights: Doubles
) -> list[Tensor] | None:
    """Rows x channels of those parts, float32: what `weights`, tokens x rows, make of the tokens.

    None where too many tokens have entries that are kept exactly.
    """
    rows, tokens = weights.shape[1], len(weights)
    shapes = [(tokens, last - first) for first, last in pairwise(known.bounds)]
    kept = exact_values_by_part(read.exact, shapes, dtypes, parts)
    alone = np.unique(np.concatenate([one.token for one in kept.values()])) if kept else np.empty(0, np.int64)
    if len(alone) > _MOST:
        return None
    single = np.zeros((tokens, len(alone)))
    single[alone, np.arange(len(alone))] = 1
    found = _channels(read, known, np.concatenate([weights, single], axis=1))
    outs = []
    for part in parts:
        here = found[:, known.bounds[part] : known.bounds[part + 1]]
        sums = here[:rows].copy()
        if part in kept:
            one = kept[part]
            more = one.values - here[rows + np.searchsorted(alone, one.token), one.channel]
            np.add.at(sums.T, one.channel, weights[one.token] * more[:, None])
        outs.append(torch.from_numpy(sums.astype(np.float32)))
    return outs


def _channels(read: Read, known: KltParameters, weights: Doubles) -> Doubles:
    """Rows x channels of what the numbers stand for."""
    level, side = read.level, read.side
    turned = weights.astype(np.float32)
    forward_dct(turned, side.field)
    turned *= down(side.lifts, len(turned))[:, None]
    sums = _sums(parts_of(level, known), turned) * float(level.step / np.float32(PARTS))
    out = np.outer(weights.sum(0), known.bulk.mean.astype(np.float64))
    if known.basis is None:
        chosen = known.order[: sums.shape[1]]
        out[:, chosen] += sums / known.metric.weight[chosen]
    else:
        out += _times(sums, known.basis.wide[: sums.shape[1]])
    if known.means is not None and side.index is not None:
        wide = known.means.basis.wide
        out += _times(np.stack([np.bincount(side.index, weight, len(wide)) for weight in weights.T]), wide)
    return out


def _times(rows: Doubles, wide: Tensor) -> Floats:
    """By torch, which keeps to the threads that it was given; NumPy's product takes all cores for the least of work."""
    product: Floats = (torch.from_numpy(rows.astype(np.float32)) @ wide).numpy()
    return product


def _sums(parts: Parts, weights: Floats) -> Doubles:
    """Rows x columns: parts of a step, each token times its weight, added up. Who weighs nothing is not read."""
    tokens = parts.tokens
    sorted_weights = weights[tokens.order]
    largest = np.abs(sorted_weights).max(initial=0)
    there = np.flatnonzero(np.abs(sorted_weights).max(axis=1, initial=0) > _NOTHING * largest)
    group = np.searchsorted(tokens.bounds, there, "right") - 1
    out = np.zeros((weights.shape[1], len(parts.numbers)))
    _add(parts.numbers, parts.inwards, parts.of_one, there, group, sorted_weights[there].astype(np.float64), out)
    return out


@compiled
def _add(  # noqa: PLR0913 - compiled code takes arrays, not objects
    numbers: NDArray[np.int32],
    inwards: NDArray[np.int32],
    of_one: NDArray[np.int32],
    there: NDArray[np.int64],
    group: NDArray[np.int64],
    weights: Doubles,
    out: Doubles,
) -> None:
    for c in range(numbers.shape[0]):
        here = numbers[c]
        for i in range(len(there)):
            number = here[there[i]]
            if number != 0:
                part = dequantise(number, of_one[c], inwards[group[i], c, 0], inwards[group[i], c, 1])
                for row in range(out.shape[0]):
                    out[row, c] += weights[i, row] * part

"""Gains of tokens: a finer step for those by whose errors a consumer's answers to this sample diverge more.

A profile weighs channels alike in all samples, and all tokens alike. The tokens of a sample differ by orders of
magnitude: a text is continued from its last tokens, and few others are looked at again. At the least bits for a
small divergence the squared error of each token is inverse to its sensitivity, the mean square of drawn gradients. At a
larger one sensitivities count less: an answer that is nearly certain has none, and yet breaks under large errors. So
they are raised to a power of 1/2 or 1, whichever is measured to save more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lamofc_codecs.measured.coding import Coding, WeightedSpace, check_gradient, gradients_of
from lamofc_codecs.source import MAX_GAIN

Draw = Callable[[], Sequence[Tensor]]
"""Draws a gradient of a consumer's answers by the tensors of all records as they were, one after another.

The mean square of the draws is the Fisher matrix of the answers, up to a factor.
"""
_DRAWS = 12
_PER_OCTAVE = 8
"""Gain for twice the sensitivity: a half-octave of the step."""
_EXPONENTS = (0.5, 1.0)


def weighings(codings: Sequence[Coding], draw: Draw) -> list[list[Coding]]:
    """Return the records with the gain of each token, by each power of its sensitivity; none where no token is felt."""
    octaves = token_octaves(codings, draw)
    return [] if octaves is None else [with_gains(codings, octaves, exponent) for exponent in _EXPONENTS]


def token_octaves(codings: Sequence[Coding], draw: Draw) -> list[Tensor] | None:
    """Return the sensitivity of each record's tokens in octaves above the median of all; None without any.

    A token that no draw feels has that of the token which is felt least. A draw that is not finite is left out.
    """
    spaces = [WeightedSpace.of(coding) for coding in codings]
    energies = [torch.zeros(len(space.values), dtype=torch.float64) for space in spaces]
    for _ in range(_DRAWS):
        drawn = draw()
        check_gradient(spaces, drawn)
        if not all(bool(torch.isfinite(slope).all()) for slope in drawn):
            continue
        for energy, space, gradient in zip(energies, spaces, gradients_of(spaces, drawn), strict=True):
            energy += space.weigh_gradient(gradient).double().square().mean(1)
    octaves = torch.cat(energies).log2()
    felt = octaves.isfinite()
    if not felt.any():
        return None
    above = octaves.where(felt, octaves[felt].min()) - octaves[felt].median()
    return list(torch.split(above, [len(energy) for energy in energies]))


def with_gains(codings: Sequence[Coding], octaves: Sequence[Tensor], exponent: float) -> list[Coding]:
    """Return the records with the gain of each token, by a power of its sensitivity."""
    gains = [(_PER_OCTAVE * exponent * own).round().clamp(-MAX_GAIN, MAX_GAIN).long() for own in octaves]
    return [coding._replace(gains=own.numpy()) for coding, own in zip(codings, gains, strict=True)]

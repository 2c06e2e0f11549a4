"""Gains of tokens: a finer step for those by whose errors a consumer's answers to this sample diverge more.

A profile weighs channels alike in all samples, and all tokens alike. The tokens of a sample differ by orders of
magnitude: a text is continued from its last tokens, and few others are looked at again. At the least bits for a
divergence the squared error of each token is inverse to its sensitivity, the mean square of drawn gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.measured.coding import Coding, WeightedSpace, gradients_of

Draw = Callable[[], Sequence[Tensor]]
"""Draws a gradient of a consumer's answers by the tensors of all records as they were, one after another.

The mean square of the draws is the Fisher matrix of the answers, up to a factor.
"""
_DRAWS = 12
_MAX_GAIN = 63
"""The largest gain in either direction."""
_PER_OCTAVE = 8
"""Gain for twice the sensitivity: a half-octave of the step."""


def with_gains(codings: Sequence[Coding], draw: Draw) -> list[Coding] | None:
    """Return the records with the gain of each token; None where no gradient says anything.

    Gains are relative to the median of all tokens, whose step stays as it is.
    """
    spaces = [WeightedSpace.of(coding) for coding in codings]
    energies = [torch.zeros(len(space.values), dtype=torch.float64) for space in spaces]
    for _ in range(_DRAWS):
        for energy, space, gradient in zip(energies, spaces, gradients_of(spaces, draw()), strict=True):
            if gradient.shape != space.values.shape:
                raise UnsupportedInput(
                    f"a gradient of {tuple(gradient.shape)} by values of {tuple(space.values.shape)}",
                    "return one for each tensor, of its shape",
                )
            energy += space.weigh_gradient(gradient).double().square().mean(1)
    octaves = torch.cat(energies).log2()
    felt = octaves.isfinite()
    if not felt.any():
        return None
    least = octaves[felt].min()
    gains = (_PER_OCTAVE * (octaves.where(felt, least) - octaves[felt].median())).round().clamp(-_MAX_GAIN, _MAX_GAIN)
    own = torch.split(gains.long(), [len(energy) for energy in energies])
    return [coding._replace(gains=part.numpy()) for coding, part in zip(codings, own, strict=True)]

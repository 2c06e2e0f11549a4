"""Tokens that a language model draws from its own answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Drawn(NamedTuple):
    """Continuations of a prefix that a model drew, and what its last block leaves on the way."""

    ids: Tensor
    """Drawn tokens, continuations x tokens."""
    before: Tensor
    """At every token of the prefix, tokens x channels."""
    after: Tensor
    """At every drawn token, continuations x tokens x channels."""


def draw_tokens(likelihoods: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw a token of each row, rows x 1, by the generator of the row."""
    ends = likelihoods.double().cumsum(-1)
    places = [torch.rand(1, generator=one, dtype=torch.float64) for one in generators]
    drawn = torch.searchsorted(ends, torch.stack(places).to(ends) * ends[:, -1:], right=True)
    return drawn.clamp_max(likelihoods.shape[-1] - 1)

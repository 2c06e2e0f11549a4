"""Gradients of what is drawn from an answer: sums under random signs, of log-likelihoods or of values.

Each item has a random generator of its own, so that the draws do not depend on how items share batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import torch
from torch import Tensor


def generators_for(names: Sequence[str], seed: int) -> list[torch.Generator]:
    """Return a generator for each item of these ids."""
    return [torch.Generator().manual_seed(crc32(name.encode(), seed)) for name in names]


def fisher_draws(
    logits: Tensor, generators: Sequence[torch.Generator], draws: int, answered: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield gradients by logits, items x ... x classes, whose mean square is the Fisher matrix of their softmax.

    Each is the sum over classes of the gradient of their log-likelihood times the root of their probability, under
    random signs. One label drawn from the softmax has the same mean square, but where an answer is nearly certain only
    one label in many says anything. With `answered`, items x ..., only those answers count for which it is true.
    """
    chances = logits.detach().float().softmax(-1)
    counted = torch.ones(chances.shape[:-1]) if answered is None else answered
    for _ in range(draws):
        roots = _signs(chances, generators) * chances.sqrt()
        yield ((roots - chances * roots.sum(-1, keepdim=True)) * counted.to(chances)[..., None]).to(logits)


def sign_draws(answer: Tensor, scale: Tensor, generators: Sequence[torch.Generator], draws: int) -> Iterator[Tensor]:
    """Yield random signs times a scale for the values of an answer, items first.

    The mean square of the gradients of their sums is J'J, where J is the Jacobian of the scaled answer.
    """
    for _ in range(draws):
        yield _signs(answer, generators) * scale.to(answer)


def _signs(answer: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Return random signs for the values of an answer, items first, each item by its own generator."""
    signs = [torch.randint(0, 2, answer.shape[1:], generator=generator) * 2 - 1 for generator in generators]
    return torch.stack(signs).to(answer)

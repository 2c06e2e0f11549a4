"""Gradients of what is drawn from an answer: the likelihood of labels, or a sum under random signs.

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


def label_draws(
    logits: Tensor, generators: Sequence[torch.Generator], draws: int, answered: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield the gradient by logits, items x ... x classes, of the log-likelihood of labels drawn from their softmax.

    Its mean square is the Fisher matrix. With `answered`, items x ..., only those answers count for which it is true.
    """
    chances = logits.detach().float().softmax(-1)
    rows = chances.cpu().reshape(len(generators), -1, chances.shape[-1])
    drawn = [torch.multinomial(row, draws, True, generator=own) for row, own in zip(rows, generators, strict=True)]
    counted = torch.ones(chances.shape[:-1]) if answered is None else answered
    for labels in torch.stack(drawn).to(logits.device).unbind(-1):
        chosen = torch.zeros_like(chances).scatter_(-1, labels.view(*chances.shape[:-1], 1), 1)
        yield ((chosen - chances) * counted.to(chances)[..., None]).to(logits)


def sign_draws(answer: Tensor, scale: Tensor, generators: Sequence[torch.Generator], draws: int) -> Iterator[Tensor]:
    """Yield random signs times a scale for the values of an answer, items first.

    The mean square of the gradients of their sums is J'J, where J is the Jacobian of the scaled answer.
    """
    for _ in range(draws):
        signs = [torch.randint(0, 2, answer.shape[1:], generator=generator) * 2 - 1 for generator in generators]
        yield torch.stack(signs).to(answer) * scale.to(answer)

"""Linear classifiers trained on the same batches, each at a learning rate of its own.

Learning rates, momentum, the absence of weight decay and the cosine schedule are those by which DINOv2 is evaluated;
its rates are meant for batches of 256. One matrix product takes the step of all classifiers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)
_REFERENCE_BATCH = 256
"""Batch size that the rates are meant for; they are scaled in proportion to the actual one."""
_MOMENTUM = 0.9


@dataclass(frozen=True)
class LearningRateSweep:
    """Learning rates, epochs and batch size of a sweep."""

    rates: tuple[float, ...] = RATES
    epochs: int = 10
    batch: int = 64
    seed: int = 0

    @torch.no_grad()
    def run(self, rows: Tensor, targets: Tensor, classes: int, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Train from zero; return weights, rates x channels x classes, and biases, rates x classes."""
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        weights = rows.new_zeros(len(rates), rows.shape[1], classes)
        velocity, expected = torch.zeros_like(weights), one_hot(targets, classes).to(rows.dtype)
        step_sizes = rows.new_tensor(rates)[:, None, None] * (self.batch / _REFERENCE_BATCH)
        batches = self.batches(len(rows))
        for step, batch in enumerate(batches):
            part = rows[batch]
            gradient = ((part @ weights).softmax(2) - expected[batch]) / len(part)
            velocity.mul_(_MOMENTUM).add_(part.T @ gradient)
            weights -= step_sizes * (0.5 * (1 + math.cos(math.pi * step / len(batches)))) * velocity
        return weights[:, :-1], weights[:, -1]

    def batches(self, count: int) -> list[Tensor]:
        """Return the numbers of the rows of each step, over all epochs."""
        generator = torch.Generator().manual_seed(self.seed)
        epochs = [torch.randperm(count, generator=generator) for _ in range(self.epochs)]
        return [batch for epoch in epochs for batch in torch.split(epoch, self.batch)]

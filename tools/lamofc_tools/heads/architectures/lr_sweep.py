"""Many rates of learning at once: linear classifiers of the same batches, each with a rate of its own.

The rates are those by which DINOv2 is judged, for batches of 256, and so are momentum, decay (none) and the cosine by
which rates fall. All of them take each step in one matrix product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

RATES = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1)
_OF_BATCH = 256
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Sweep:
    """How long, and in what steps."""

    rates: tuple[float, ...] = RATES
    epochs: int = 10
    batch: int = 64
    seed: int = 0

    @torch.no_grad()
    def run(self, rows: Tensor, targets: Tensor, classes: int, rates: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Weights, rates x channels x classes, and biases, rates x classes, of classifiers of these rows."""
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)
        weights = rows.new_zeros(len(rates), rows.shape[1], classes)
        speed, wanted = torch.zeros_like(weights), one_hot(targets, classes).to(rows.dtype)
        steps = rows.new_tensor(rates)[:, None, None] * (self.batch / _OF_BATCH)
        order = self._order(len(rows))
        for number, chosen in enumerate(order):
            part = rows[chosen]
            excess = ((part @ weights).softmax(2) - wanted[chosen]) / len(part)
            speed.mul_(_MOMENTUM).add_(part.T @ excess)
            weights -= steps * (0.5 * (1 + math.cos(math.pi * number / len(order)))) * speed
        return weights[:, :-1], weights[:, -1]

    def _order(self, count: int) -> list[Tensor]:
        """Which rows each step sees."""
        draw = torch.Generator().manual_seed(self.seed)
        epochs = [torch.randperm(count, generator=draw) for _ in range(self.epochs)]
        return [chosen for epoch in epochs for chosen in torch.split(epoch, self.batch)]

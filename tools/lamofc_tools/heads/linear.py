"""A linear head: logistic regression on standardised features, by full-batch L-BFGS, so that it has no luck in it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lamofc_tools.heads.head import Head
from lamofc_tools.heads.task import Task
from lamofc_tools.heads.tokens import Given, check_pool, pooled_all, pooled_width

ITERATIONS = 100
DECAYS = (1e-5, 1e-4, 1e-3, 1e-2)
_HELD_OUT = 5
"""Every so-manieth sample chooses the decay."""


class LinearHead(Head):
    """Pooled tokens, standardised as those of the fit were, times a matrix."""

    kind = "linear"
    tasks = ("classes",)

    def __init__(
        self, widths: Sequence[int], task: Task, *, pool: str = "mean", prefix: int = 0, **options: Any
    ) -> None:
        super().__init__(widths, task, pool=pool, prefix=prefix, **options)
        self._pool, self._prefix = check_pool(pool), prefix
        inputs = sum(pooled_width(width, self._pool) for width in widths)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.weight = torch.nn.Parameter(torch.zeros(inputs, task.outputs))
        self.bias = torch.nn.Parameter(torch.zeros(task.outputs))

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x classes."""
        return self.scores(self.rows(features))

    def rows(self, features: Sequence[Given]) -> Tensor:
        """What is multiplied: samples x pooled channels."""
        return pooled_all(features, self._pool, self._prefix)

    def scores(self, rows: Tensor) -> Tensor:
        """Of pooled rows."""
        return (rows - self.mean) / self.scale @ self.weight + self.bias

    def accuracy(self, rows: Tensor, targets: Tensor) -> float:
        """Share of pooled rows whose class is the target."""
        return (self.scores(rows).argmax(1) == targets).float().mean().item()

    def fit(self, rows: Tensor, targets: Tensor, decay: float) -> None:
        """Fit to pooled rows; `decay` weighs the squared weights against the mean loss."""
        rows = rows.float()
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0).clamp_min(1e-6))
        with torch.no_grad():
            self.weight.zero_()
            self.bias.zero_()
        optimiser = torch.optim.LBFGS(self.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = cross_entropy(self.scores(rows), targets) + decay * self.weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]

    def fit_best(self, rows: Tensor, targets: Tensor, decays: Sequence[float] = DECAYS) -> float:
        """Fit with the decay that does best on every fifth row, held out meanwhile; that decay."""
        held = torch.arange(len(rows)) % _HELD_OUT == 0
        scores = {}
        for decay in decays if len(decays) > 1 else ():
            self.fit(rows[~held], targets[~held], decay)
            with torch.no_grad():
                loss = cross_entropy(self.scores(rows[held].float()), targets[held]).item()
                scores[decay] = (-self.accuracy(rows[held].float(), targets[held]), loss)
        best = min(scores, key=scores.__getitem__) if scores else decays[0]
        self.fit(rows, targets, best)
        return best


def fit_linear(inputs: Tensor, targets: Tensor, *, classes: int, decay: float = 1e-3) -> LinearHead:
    """A head for rows that are pooled already, samples x channels, and their classes."""
    head = LinearHead([inputs.shape[1]], Task("classes", classes))
    head.fit(inputs, targets, decay)
    return head.requires_grad_(False)

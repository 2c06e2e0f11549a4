"""A linear head: logistic regression on standardised features, fitted by full-batch L-BFGS, hence deterministic."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lamofc_tools.heads.architectures.lr_sweep import LearningRateSweep
from lamofc_tools.heads.architectures.pooled import PooledHead, PooledOptions
from lamofc_tools.heads.contract import DECAYS, Task, TrainingConfig

ITERATIONS = 100
"""Most iterations of L-BFGS."""
_HELD_OUT_EVERY = 5
"""One row in five is held out while a weight decay or a learning rate is chosen."""
_MIN_SCALE = 1e-6
"""Lower bound of a channel's standard deviation, so that constant channels do not divide by zero."""


class LinearHead(PooledHead):
    """Pooled tokens, standardised by the mean and deviation of the training rows, times a matrix."""

    kind = "linear"
    options_type = PooledOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(self.inputs))
        self.register_buffer("scale", torch.ones(self.inputs))
        self.weight = torch.nn.Parameter(torch.zeros(self.inputs, task.outputs))
        self.bias = torch.nn.Parameter(torch.zeros(task.outputs))

    def scores(self, rows: Tensor) -> Tensor:
        """Return logits of pooled rows, rows x classes."""
        return self._standardised(rows) @ self.weight + self.bias

    def fit_rows(self, rows: Tensor, targets: Tensor, config: TrainingConfig) -> float:
        """Fit to pooled rows: by L-BFGS with the best decay, or by SGD at the best learning rate."""
        if config.sweep:
            sweep = LearningRateSweep(epochs=config.epochs, batch=config.batch, seed=config.seed)
            self.fit_best_rate(rows, targets, sweep)
        else:
            self.fit_best_decay(rows, targets, config.decays)
        with torch.no_grad():
            return float(self.task.loss(self.scores(rows), targets))

    def accuracy(self, rows: Tensor, targets: Tensor) -> float:
        """Return the share of pooled rows that are classified correctly."""
        return (self.scores(rows).argmax(1) == targets).float().mean().item()

    def fit(self, rows: Tensor, targets: Tensor, decay: float) -> None:
        """Fit to pooled rows by L-BFGS; `decay` weighs the squared weights against the mean loss."""
        rows = rows.float()
        self._set_standardisation(rows)
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

    def fit_best_decay(self, rows: Tensor, targets: Tensor, decays: Sequence[float] = DECAYS) -> float:
        """Fit to all rows with the decay that is best on held-out rows, and return it."""
        held_out = _held_out(rows)
        costs = {}
        for decay in decays if len(decays) > 1 else ():
            self.fit(rows[~held_out], targets[~held_out], decay)
            with torch.no_grad():
                costs[decay] = self._cost(rows[held_out], targets[held_out])
        best = min(costs, key=costs.__getitem__) if costs else decays[0]
        self.fit(rows, targets, best)
        return best

    @torch.no_grad()
    def fit_best_rate(self, rows: Tensor, targets: Tensor, sweep: LearningRateSweep) -> float:
        """Fit to all rows at the learning rate that is best on held-out rows, and return it."""
        held_out = _held_out(rows)
        costs = {}
        self._set_standardisation(rows[~held_out].float())
        seen = self._standardised(rows[~held_out])
        weights, biases = sweep.run(seen, targets[~held_out], self.task.outputs, sweep.rates)
        for rate, weight, bias in zip(sweep.rates, weights, biases, strict=True):
            self.weight.copy_(weight)
            self.bias.copy_(bias)
            costs[rate] = self._cost(rows[held_out], targets[held_out])
        best = min(costs, key=costs.__getitem__)
        self._set_standardisation(rows.float())
        weights, biases = sweep.run(self._standardised(rows), targets, self.task.outputs, [best])
        self.weight.copy_(weights[0])
        self.bias.copy_(biases[0])
        return best

    def _cost(self, rows: Tensor, targets: Tensor) -> tuple[float, float]:
        """Return minus accuracy, then the loss, which decides between equal accuracies."""
        loss = cross_entropy(self.scores(rows.float()), targets).item()
        return -self.accuracy(rows.float(), targets), loss

    def _set_standardisation(self, rows: Tensor) -> None:
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0).clamp_min(_MIN_SCALE))

    def _standardised(self, rows: Tensor) -> Tensor:
        return (rows.float() - self.mean) / self.scale


def _held_out(rows: Tensor) -> Tensor:
    return torch.arange(len(rows)) % _HELD_OUT_EVERY == 0


def fit_linear(inputs: Tensor, targets: Tensor, *, classes: int, decay: float = 1e-3) -> LinearHead:
    """Fit a linear head to pooled rows, samples x channels, and their classes."""
    head = LinearHead([inputs.shape[1]], Task("classes", classes))
    head.fit(inputs, targets, decay)
    return head.requires_grad_(False)

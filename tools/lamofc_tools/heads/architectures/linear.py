"""A linear head: logistic regression on standardised features, by full-batch L-BFGS, so that it has no luck in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lamofc_tools.heads.architectures.lr_sweep import Sweep
from lamofc_tools.heads.architectures.pooled import PooledHead
from lamofc_tools.heads.contract import DECAYS, Task

if TYPE_CHECKING:
    from lamofc_tools.heads.contract import TrainingConfig

ITERATIONS = 100
_HELD_OUT = 5
"""Every so-manieth sample chooses the decay."""


class LinearHead(PooledHead):
    """Pooled tokens, standardised as those of the fit were, times a matrix."""

    kind = "linear"

    def __init__(
        self, widths: Sequence[int], task: Task, *, pool: str = "mean", prefix: int = 0, **options: Any
    ) -> None:
        super().__init__(widths, task, pool=pool, prefix=prefix, **options)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(self.inputs))
        self.register_buffer("scale", torch.ones(self.inputs))
        self.weight = torch.nn.Parameter(torch.zeros(self.inputs, task.outputs))
        self.bias = torch.nn.Parameter(torch.zeros(task.outputs))

    def scores(self, rows: Tensor) -> Tensor:
        """Of pooled rows."""
        return self._standard(rows) @ self.weight + self.bias

    def learn(self, rows: Tensor, targets: Tensor, course: "TrainingConfig") -> float:
        """By a solver that sweeps decays, or by gradients that sweep rates."""
        if course.sweep:
            self.fit_swept(rows, targets, Sweep(epochs=course.epochs, batch=course.batch, seed=course.seed))
        else:
            self.fit_best(rows, targets, course.decays)
        with torch.no_grad():
            return float(self.task.loss(self.scores(rows), targets))

    def accuracy(self, rows: Tensor, targets: Tensor) -> float:
        """Share of pooled rows whose class is the target."""
        return (self.scores(rows).argmax(1) == targets).float().mean().item()

    def fit(self, rows: Tensor, targets: Tensor, decay: float) -> None:
        """Fit to pooled rows; `decay` weighs the squared weights against the mean loss."""
        rows = rows.float()
        self._standardise(rows)
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

    def _standardise(self, rows: Tensor) -> None:
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0).clamp_min(1e-6))

    @torch.no_grad()
    def fit_swept(self, rows: Tensor, targets: Tensor, sweep: Sweep) -> float:
        """Fit by gradients at the rate that does best on every fifth row, held out meanwhile; that rate."""
        held = torch.arange(len(rows)) % _HELD_OUT == 0
        scores = {}
        self._standardise(rows[~held].float())
        weights, biases = sweep.run(self._standard(rows[~held]), targets[~held], self.task.outputs, sweep.rates)
        for rate, weight, bias in zip(sweep.rates, weights, biases, strict=True):
            self.weight.copy_(weight)
            self.bias.copy_(bias)
            scores[rate] = self._judged(rows[held], targets[held])
        best = min(scores, key=scores.__getitem__)
        self._standardise(rows.float())
        weights, biases = sweep.run(self._standard(rows), targets, self.task.outputs, [best])
        self.weight.copy_(weights[0])
        self.bias.copy_(biases[0])
        return best

    def _judged(self, rows: Tensor, targets: Tensor) -> tuple[float, float]:
        """The less, the better."""
        loss = cross_entropy(self.scores(rows.float()), targets).item()
        return -self.accuracy(rows.float(), targets), loss

    def _standard(self, rows: Tensor) -> Tensor:
        return (rows.float() - self.mean) / self.scale

    def fit_best(self, rows: Tensor, targets: Tensor, decays: Sequence[float] = DECAYS) -> float:
        """Fit with the decay that does best on every fifth row, held out meanwhile; that decay."""
        held = torch.arange(len(rows)) % _HELD_OUT == 0
        scores = {}
        for decay in decays if len(decays) > 1 else ():
            self.fit(rows[~held], targets[~held], decay)
            with torch.no_grad():
                scores[decay] = self._judged(rows[held], targets[held])
        best = min(scores, key=scores.__getitem__) if scores else decays[0]
        self.fit(rows, targets, best)
        return best


def fit_linear(inputs: Tensor, targets: Tensor, *, classes: int, decay: float = 1e-3) -> LinearHead:
    """A head for rows that are pooled already, samples x channels, and their classes."""
    head = LinearHead([inputs.shape[1]], Task("classes", classes))
    head.fit(inputs, targets, decay)
    return head.requires_grad_(False)

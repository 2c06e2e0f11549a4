"""A linear head: logistic regression on standardised features, by full-batch L-BFGS, so that it has no luck in it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

ITERATIONS = 100


@dataclass(frozen=True)
class LinearHead:
    """Weights of a fitted head; it standardises its inputs as those of the fit were."""

    mean: Tensor
    scale: Tensor
    weight: Tensor
    """Features x classes."""
    bias: Tensor

    def predict(self, inputs: Tensor) -> Tensor:
        """The class of each row of samples x features."""
        return _logits((inputs - self.mean) / self.scale, self.weight, self.bias).argmax(1)

    def accuracy(self, inputs: Tensor, targets: Tensor) -> float:
        """Share of rows whose class is the target."""
        return (self.predict(inputs) == targets).float().mean().item()


def fit_linear(inputs: Tensor, targets: Tensor, *, classes: int, decay: float = 1e-3) -> LinearHead:
    """Fit on samples x features and their classes; `decay` weighs the squared weights against the mean loss."""
    inputs = inputs.float()
    mean, scale = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    rows = (inputs - mean) / scale
    weight = torch.zeros(inputs.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = cross_entropy(_logits(rows, weight, bias), targets) + decay * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return LinearHead(mean, scale, weight.detach(), bias.detach())


def _logits(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return rows @ weight + bias

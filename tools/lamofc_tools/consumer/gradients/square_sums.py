"""Sums of g g' over the rows of features, for answers of which a gradient is drawn several times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, to_tokens


@dataclass(frozen=True)
class Reading:
    """One pass of a consumer: the features that it read, and what it answered."""

    features: Mapping[str, Tensor]
    """Tensors that require gradients."""
    answer: Tensor
    draws: Iterable[Tensor]
    """Gradients by the answer, one after another, each of something that is drawn from the answer."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """The pattern of each feature that has not the default one."""
    counted: Callable[[str, Tensor], Tensor] | None = None
    """A function that makes of a feature's name and gradient, tokens x channels, the rows that count; all if None."""


@dataclass(frozen=True)
class MeasuredMatrices:
    """Measured squares of a consumer, with the meaning that the fields of a `ModelMetric` have."""

    consumer: str
    matrices: Mapping[str, Tensor]
    tokens: int
    positions: int
    consumer_digest: str


@dataclass
class SquareSums:
    """The sums of some features, in memory that does not depend on how many readings are added."""

    _sums: dict[str, Tensor] = field(default_factory=dict)
    _draws: int = 0

    def add(self, reading: Reading) -> None:
        """Add the gradients of all draws of a reading; BadArgument if a feature has none."""
        names, leaves = list(reading.features), list(reading.features.values())
        drawn = list(reading.draws)
        for by_answer in drawn:
            found = torch.autograd.grad(reading.answer, leaves, by_answer, retain_graph=True, allow_unused=True)
            for name, gradient in zip(names, found, strict=True):
                if gradient is None:
                    raise BadArgument(
                        f"no gradient of the answer leads to {name!r}, of shape {tuple(reading.features[name].shape)}",
                        "run the model without kernels that have no backward pass",
                    )
                rows = to_tokens(gradient, pattern_for(name, gradient.shape, {}, reading.patterns))
                self._add_rows(name, rows if reading.counted is None else reading.counted(name, rows))
        self._draws = len(drawn)

    def _add_rows(self, name: str, gradient: Tensor) -> None:
        rows = gradient.double()
        self._sums[name] = self._sums.get(name, 0) + (rows.T @ rows).cpu()

    def means(self, count: int) -> dict[str, Tensor]:
        """Return the mean of a draw's sum over `count` tokens, float32."""
        return {name: (total / (count * self._draws)).float() for name, total in self._sums.items()}

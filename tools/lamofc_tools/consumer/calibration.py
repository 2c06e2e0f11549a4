"""Calibration of a Fisher metric: divergence as it is measured after errors, over the divergence that was foretold.

A Fisher matrix foretells small errors that are independent of each other. A codec's errors are neither: it leaves out
weak directions in every token alike. So texts that were held out get errors like those of a codec, and the rest of the
model says what they do to its answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_tools.consumer.decoder import Split
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.models import Features

_DIVERGENCES = (0.01, 0.05)
"""Foretold divergences at which the whole metric is calibrated, in nats."""
_DIVERGENCE_OF_PARTS = 0.03
"""The same for the hidden state alone, and for caches alone."""
_FLOOR = 0.03
"""Share of a matrix's mean diagonal that is added to it, as a codec does."""
_ROUNDS = 60
"""Halvings by which the water level is found."""
_STRIDE = 4
"""Tokens of the prefix between two whose answers are compared."""


@dataclass
class Signal:
    """Means and covariances of features, over the tokens of texts; of keys, without their rotation."""

    tokens: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    squares: dict[str, Tensor] = field(default_factory=dict)

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Add the features of some tokens, each tokens x channels in float64."""
        self.tokens += len(next(iter(rows.values())))
        for name, values in rows.items():
            self.sums[name] = self.sums.get(name, 0) + values.sum(0)
            self.squares[name] = self.squares.get(name, 0) + values.T @ values

    def mean(self, name: str) -> Tensor:
        """Return the mean of a feature."""
        return self.sums[name] / self.tokens

    def covariance(self, name: str) -> Tensor:
        """Return the covariance of the channels of a feature."""
        mean = self.mean(name)
        return self.squares[name] / self.tokens - torch.outer(mean, mean)


@dataclass(frozen=True)
class _Space:
    """A feature in the directions in which a codec decides how much of it to keep."""

    mean: Tensor
    forward: Tensor
    """Channels x directions: error weights, then the principal directions of what is weighed."""
    back: Tensor
    variance: Tensor
    """Weighted variance of each direction."""

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor, matrix: Tensor) -> _Space:
        matrix = matrix.double()
        weighed = matrix + _FLOOR * matrix.diagonal().mean() * torch.eye(len(matrix), dtype=matrix.dtype)
        sizes, vectors = torch.linalg.eigh(weighed)
        roots = sizes.clamp_min(torch.finfo(sizes.dtype).tiny).sqrt()
        root = (vectors * roots) @ vectors.T
        variance, directions = torch.linalg.eigh(root @ covariance @ root)
        return cls(mean, root @ directions, directions.T @ (vectors / roots) @ vectors.T, variance.clamp_min(0))

    def error(self, values: Tensor, level: float, generator: torch.Generator) -> Tensor:
        """Return weighted errors of tokens x channels: weak directions are lost, the others get noise of a level."""
        noise = torch.randn(values.shape, generator=generator, dtype=torch.float64) * level**0.5
        return torch.where(self.variance > level, noise, -((values - self.mean) @ self.forward))


@dataclass(frozen=True)
class Calibration:
    """Texts held out, and what is needed to disturb their features."""

    split: Split
    rotary: Mapping[str, Rotary]
    signal: Signal
    held_out: Sequence[tuple[Features, Tensor]]
    """The features of the prefix of each text, and the token ids of prefix and continuation."""
    _unbroken: dict[int, Tensor] = field(default_factory=dict)
    """What the last block leaves at every token of each text, its features as they were."""

    @torch.no_grad()
    def calibrated(self, metric: ModelMetric) -> ModelMetric:
        """Return the metric times the ratio of measured to foretold divergence.

        Errors of the hidden state and those of caches have ratios of their own: the one is felt by all answers, the
        others by the continuation alone. A third ratio is that of all errors together.
        """
        caches = [name for name in metric.matrices if name != self.split.output]
        for part in ([self.split.output], caches) if caches else ():
            metric = metric.scaled(self._ratio(metric, part, (_DIVERGENCE_OF_PARTS,)), part)
        everything = list(metric.matrices)
        return metric.scaled(self._ratio(metric, everything, _DIVERGENCES), everything)

    def _ratio(self, metric: ModelMetric, disturbed: Sequence[str], divergences: Sequence[float]) -> float:
        """Return the ratio where some features get the errors that they have when all together have a divergence.

        Of several divergences it is the geometric mean. Texts whose answers nothing changes leave the metric as it is.
        """
        ratios = [self._ratio_at(metric, disturbed, divergence) for divergence in divergences]
        known = [math.log(ratio) for ratio in ratios if math.isfinite(ratio) and ratio > 0]
        return math.exp(sum(known) / len(known)) if known else 1.0

    def _ratio_at(self, metric: ModelMetric, disturbed: Sequence[str], divergence: float) -> float:
        spaces = {
            name: _Space.of(self.signal.mean(name), self.signal.covariance(name), matrix)
            for name, matrix in metric.matrices.items()
        }
        nats = metric.nats or 1.0
        level, generator = _water_level(spaces, divergence / nats), torch.Generator().manual_seed(0)
        chosen = {name: spaces[name] for name in disturbed}
        measured = foretold = 0.0
        for number, (sample, ids) in enumerate(self.held_out):
            moved, error = self._disturbed(sample, chosen, level, generator)
            foretold += nats * error
            measured += self._divergence(number, sample, moved, ids)
        return measured / foretold if foretold > 0 else math.nan

    def _disturbed(
        self, sample: Features, spaces: Mapping[str, _Space], level: float, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], float]:
        """Return features with errors in all tokens but the first, and the mean weighted squared error of a token."""
        disturbed, total = dict(sample), 0.0
        for name, space in spaces.items():
            values = sample[name]
            rows = rearrange(values, self.split.patterns[name]).double().cpu()
            turned = turned_back(rows, self.rotary.get(name))
            error = space.error(turned, level, generator)
            error[0] = 0
            total += float(error.square().sum()) / len(error)
            moved = error @ space.back
            moved = moved if name not in self.rotary else self.rotary[name].turned(moved)
            disturbed[name] = rows_to_feature(rows + moved, values)
        return disturbed, total

    def _divergence(self, number: int, sample: Features, moved: Features, ids: Tensor) -> float:
        """Return the mean divergence of the answers, those to the prefix and those to the continuation alike."""
        prefix = sample[self.split.output].shape[1]
        if number not in self._unbroken:
            self._unbroken[number] = self.split.run(ids, prefix, [sample])[0]
        wanted, found = self._unbroken[number], self.split.run(ids, prefix, [moved])[0]
        parts = [slice(0, prefix, _STRIDE), slice(prefix, None)][: 1 + (ids.shape[1] > prefix)]
        return sum(self._compared(wanted[part], found[part]) for part in parts) / len(parts)

    def _compared(self, wanted: Tensor, found: Tensor) -> float:
        total = 0.0
        for one, other in zip(self.split.chunks(wanted), self.split.chunks(found), strict=True):
            logs, moved = self.split.logits(one).log_softmax(-1), self.split.logits(other).log_softmax(-1)
            total += float((logs.exp() * (logs - moved)).sum())
        return total / len(wanted)


def turned_back(rows: Tensor, rotary: Rotary | None) -> Tensor:
    """Return keys without their rotation; other features as they are."""
    return rows if rotary is None else rotary.turned(rows, back=True)


def rows_to_feature(rows: Tensor, like: Tensor) -> Tensor:
    """Bring tokens x channels back into the shape of a feature: 1 x tokens x channels, or 1 x heads x tokens x size."""
    shaped = rows[None] if like.dim() == 3 else rearrange(rows, "t (h d) -> 1 h t d", h=like.shape[1])
    return shaped.to(like)


def _water_level(spaces: Mapping[str, _Space], error: float) -> float:
    """Return the weighted squared error of a direction of which all together have this error of a token."""
    variance = torch.cat([space.variance for space in spaces.values()])
    low, high = 0.0, float(variance.max())
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        low, high = (low, middle) if float(variance.clamp_max(middle).sum()) > error else (middle, high)
    return high

"""Replay: the rest of a model answers again to what is decoded of a sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from lamofc_tools.models import Features


class ReplayedSample(Protocol):
    """A sample on the device of a model, which knows its answers to the features as they were."""

    def divergence(self, decoded: Features) -> float:
        """Return the divergence of the answers to decoded features; those that are left out stay as they were."""

    def gradient(self, decoded: Features, step: int) -> Features:
        """Return the gradient of the divergence by what is decoded.

        Where the model continues a sample, it looks at other continuations than `divergence` does, and at some of the
        answers at each step.
        """

    def draw(self, step: int) -> Features:
        """Draw a gradient of the answers by the features as they were; each step draws another.

        The mean square of the draws is the Fisher matrix of the answers, which `gradient` looks at, too.
        """


@dataclass(frozen=True)
class _Opened:
    """A sample that was opened, or could not be."""

    sample: str
    features: Features
    replayed: ReplayedSample | None


class Replay(ABC):
    """The rest of a model, which measures any coding of a sample's features by its answers.

    A replay is a `measure=` of `Store.ingest`, its `draws` are a `draw=` and its `gradient` a `guide=`. The latest
    sample is remembered, so that it goes to the device once for all of them. One thread at a time may use a model.
    """

    _latest: _Opened | None = None

    @abstractmethod
    def open(self, sample: str, features: Features) -> ReplayedSample | None:
        """Open a sample, given its id and its features; None for one that the model cannot read."""

    def __call__(self, sample: str, features: Features) -> Callable[[Features], float] | None:
        """Return the function from decoded features of a sample to the divergence of the answers."""
        replayed = self._opened(sample, features)
        return None if replayed is None else replayed.divergence

    def gradient(self, sample: str, features: Features) -> Callable[[Features], Features] | None:
        """Return the function from decoded features of a sample to the gradient of that divergence, step by step."""
        replayed, steps = self._opened(sample, features), count()
        return None if replayed is None else lambda decoded: replayed.gradient(decoded, next(steps))

    def draws(self, sample: str, features: Features) -> Callable[[], Features] | None:
        """Return the function that draws gradients of the answers by the features of a sample."""
        replayed, steps = self._opened(sample, features), count()
        return None if replayed is None else lambda: replayed.draw(next(steps))

    def _opened(self, sample: str, features: Features) -> ReplayedSample | None:
        """Open a sample, unless it is the latest."""
        latest = self._latest
        if latest is None or latest.sample != sample or latest.features is not features:
            latest = self._latest = _Opened(sample, features, self.open(sample, features))
        return latest.replayed


@dataclass(eq=False)
class SharedReplay(Replay):
    """Measures several models that read the same samples: the mean of their divergences, as their metric foretells."""

    replays: Sequence[Replay]

    def open(self, sample: str, features: Features) -> SharedSample | None:
        """Open a sample for all models; None for one that any of them cannot read."""
        opened = [replayed for replay in self.replays if (replayed := replay.open(sample, features)) is not None]
        return SharedSample(opened) if len(opened) == len(self.replays) else None


@dataclass(frozen=True)
class SharedSample:
    """A sample that several models read."""

    opened: Sequence[ReplayedSample]

    def divergence(self, decoded: Features) -> float:
        """Return the mean of the models' divergences."""
        return sum(sample.divergence(decoded) for sample in self.opened) / len(self.opened)

    def gradient(self, decoded: Features, step: int) -> dict[str, Tensor]:
        """Return the gradient of that mean."""
        total: dict[str, Tensor] = {}
        for sample in self.opened:
            for name, slope in sample.gradient(decoded, step).items():
                total[name] = total.get(name, torch.zeros_like(slope)) + slope / len(self.opened)
        return total

    def draw(self, step: int) -> Features:
        """Draw a gradient of one of the models, each in its turn."""
        number = len(self.opened)
        return self.opened[step % number].draw(step // number)

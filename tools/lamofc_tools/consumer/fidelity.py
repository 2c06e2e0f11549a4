"""Measure what the rest of a language model loses by coded features: divergence, agreement and perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lamofc_store.errors import NotFound
from lamofc_tools.consumer.passages import Passages
from lamofc_tools.consumer.split import Split
from lamofc_tools.models import Features

Decoded = Mapping[str, Features] | Callable[[str, Features], Features]
"""Decoded features of each text by its id, or a function that makes them of its id and its features.

A feature that is left out stays as it was.
"""
_BYTES_OF_AN_ANSWER = 4
_MOST_BYTES_OF_ANSWERS = 2 << 30
"""Most memory for the answers of the unbroken model; where they need more, they are computed again for each codec."""


@dataclass(frozen=True)
class Agreement:
    """How alike the answers to original and to decoded features are, over some positions of all texts."""

    kl: float
    """Mean divergence of the answers to decoded features from those to the original ones, in nats."""
    top1: float
    """Share of positions at which the likeliest token is the same."""
    perplexity: float
    """Perplexity of the true text by the answers to decoded features."""
    unbroken_perplexity: float
    """The same by the answers to the original features."""
    positions: int


@dataclass(frozen=True)
class Fidelity:
    """What the answers of the rest of a model are like after coding."""

    prefix: Agreement
    """At the tokens whose features were coded, the first one included."""
    continuation: Agreement
    """At the tokens after them, which read the decoded caches; these tokens are those of the text."""


@dataclass
class _Sums:
    """Sums over positions."""

    positions: int = 0
    divergence: float = 0.0
    agreeing: int = 0
    predicted: int = 0
    """Positions whose next token is in the text."""
    surprise: float = 0.0
    unbroken_surprise: float = 0.0

    def add(self, wanted: Tensor, found: Tensor, labels: Tensor) -> None:
        """Add the log-probabilities at some positions, and the tokens that follow as far as there are any."""
        self.positions += len(wanted)
        self.divergence += float((wanted.exp() * (wanted - found)).sum(-1).double().sum())
        self.agreeing += int((wanted.argmax(-1) == found.argmax(-1)).sum())
        self.predicted += len(labels)
        rows = torch.arange(len(labels), device=labels.device)
        self.surprise -= float(found[rows, labels].sum(dtype=torch.float64))
        self.unbroken_surprise -= float(wanted[rows, labels].sum(dtype=torch.float64))

    def agreement(self) -> Agreement:
        """Return the means."""
        return Agreement(
            self.divergence / self.positions,
            self.agreeing / self.positions,
            math.exp(self.surprise / self.predicted),
            math.exp(self.unbroken_surprise / self.predicted),
            self.positions,
        )


@dataclass
class FidelityMeter:
    """Compares the answers to decoded features with those of the unbroken model, which is run once for all codecs."""

    split: Split
    passages: Passages
    batch: int = 4
    every: int = 1
    """Of the prefix, answers are compared at every so many-th token, the first one included."""
    features: dict[str, dict[str, Tensor]] = field(init=False, default_factory=dict)
    """The original features of each text's prefix."""
    _unbroken: dict[str, Tensor] = field(init=False, default_factory=dict)
    """What the last block leaves at the compared tokens of each text, or the answers if all of these fit in memory."""

    def __post_init__(self) -> None:
        prefix = self.passages.prefix
        with torch.no_grad():
            for names in self.passages.batches(self.batch):
                ids = self.passages.batch(names)
                self.features |= zip(names, self.split.features(ids[:, :prefix]), strict=True)
                self._unbroken |= zip(names, self.split.run(ids, prefix)[:, self._places], strict=True)
            if self._answers_fit:
                self._unbroken = {name: self._answers(hidden) for name, hidden in self._unbroken.items()}

    @cached_property
    def _places(self) -> Tensor:
        """The compared tokens of each text."""
        prefix = torch.arange(0, self.passages.prefix, self.every)
        return torch.cat([prefix, torch.arange(self.passages.prefix, self.passages.length)])

    @cached_property
    def _answers_fit(self) -> bool:
        vocabulary: int = self.split.loaded.config.vocab_size
        texts = len(self.passages.ids)
        return texts * len(self._places) * vocabulary * _BYTES_OF_AN_ANSWER <= _MOST_BYTES_OF_ANSWERS

    def _answers(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, positions x vocabulary."""
        return torch.cat([self.split.logits(chunk).log_softmax(-1) for chunk in self.split.chunks(hidden)])

    @torch.no_grad()
    def measure(self, decoded: Decoded) -> Fidelity:
        """Run the rest of the model on decoded features of every text, in their own shapes."""
        prefix, continuation = _Sums(), _Sums()
        boundary = int((self._places < self.passages.prefix).sum())
        for names in self.passages.batches(self.batch):
            samples = [self._decoded(decoded, name) for name in names]
            hidden = self.split.run(self.passages.batch(names), self.passages.prefix, samples)
            for name, found in zip(names, hidden[:, self._places], strict=True):
                self._compare(prefix, name, found, slice(0, boundary))
                self._compare(continuation, name, found, slice(boundary, None))
        return Fidelity(prefix.agreement(), continuation.agreement())

    def _decoded(self, decoded: Decoded, name: str) -> Features:
        original = self.features[name]
        if not callable(decoded) and name not in decoded:
            raise NotFound(f"no decoded features of {name!r} among {len(decoded)} texts", "decode every text")
        given = decoded(name, original) if callable(decoded) else decoded[name]
        return {feature: given[feature].to(value) if feature in given else value for feature, value in original.items()}

    def _compare(self, sums: _Sums, name: str, found: Tensor, part: slice) -> None:
        """Add some of the compared tokens of a text to the sums."""
        places, ids = self._places[part], self.passages.ids[name]
        labels = ids[places[places + 1 < len(ids)] + 1]
        chunks = zip(self.split.chunks(self._unbroken[name][part]), self.split.chunks(found[part]), strict=True)
        for wanted, got in chunks:
            logs = wanted if self._answers_fit else self._answers(wanted)
            sums.add(logs, self._answers(got), labels[: len(got)])
            labels = labels[len(got) :]

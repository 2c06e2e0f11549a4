"""Measure what the rest of a language model loses by coded features: divergence, agreement and perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lamofc_store.errors import NotFound
from lamofc_tools.consumer.decoder import Passages, Split
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
    """Answers of the rest of a model after coding, beside those without it."""

    prefix: Agreement
    """At the tokens whose features were coded."""
    continuation: Agreement
    """At the tokens after them, which read the decoded caches; these tokens are those of the text."""


@dataclass
class AnswerSums:
    """Sums over positions at which answers to original and to decoded features are compared."""

    positions: int = 0
    divergence: float = 0.0
    agreeing: int = 0

    def compare(self, wanted: Tensor, found: Tensor) -> None:
        """Add the log-probabilities of both answers at some positions."""
        self.positions += len(wanted)
        likelihood = wanted.exp()
        surprise = torch.where(likelihood > 0, likelihood * (wanted - found), 0)  # a class that is left out may be -inf
        self.divergence += float(surprise.sum(-1).double().sum())
        self.agreeing += int((wanted.argmax(-1) == found.argmax(-1)).sum())

    @property
    def kl(self) -> float:
        """Mean divergence in nats: never below 0, where rounding would put it."""
        return max(self.divergence / self.positions, 0.0)

    @property
    def top1(self) -> float:
        """Share of positions at which the likeliest answer is the same."""
        return self.agreeing / self.positions


@dataclass
class _Sums(AnswerSums):
    """The same, with the surprise by the tokens that follow."""

    predicted: int = 0
    """Positions whose next token is in the text."""
    surprise: float = 0.0
    unbroken_surprise: float = 0.0

    def add(self, wanted: Tensor, found: Tensor, labels: Tensor) -> None:
        """Add the log-probabilities at some positions, and the tokens that follow as far as there are any."""
        self.compare(wanted, found)
        self.predicted += len(labels)
        rows = torch.arange(len(labels), device=labels.device)
        self.surprise -= float(found[rows, labels].sum(dtype=torch.float64))
        self.unbroken_surprise -= float(wanted[rows, labels].sum(dtype=torch.float64))

    def agreement(self) -> Agreement:
        """Return the means."""
        return Agreement(
            self.kl,
            self.top1,
            math.exp(self.surprise / self.predicted),
            math.exp(self.unbroken_surprise / self.predicted),
            self.positions,
        )


@dataclass
class FidelityTally:
    """Sums over the answers to decoded features that were compared so far."""

    prefix: _Sums = field(default_factory=_Sums)
    continuation: _Sums = field(default_factory=_Sums)

    def fidelity(self) -> Fidelity:
        """Return the means."""
        return Fidelity(self.prefix.agreement(), self.continuation.agreement())


@dataclass
class FidelityMeter:
    """Compares the answers to decoded features with those of the unbroken model, which is run once for all codecs."""

    split: Split
    passages: Passages | Sequence[Passages]
    """Texts of one length, or several groups of such texts."""
    batch: int = 4
    every: int = 1
    """Answers to the prefix are compared at the middle one of every so many tokens."""
    progress: Callable[[int], None] | None = None
    """Receives the number of texts that the unbroken model has answered to since the last call."""
    _unbroken: dict[str, Tensor] = field(init=False, default_factory=dict)
    """Output of the last block at the compared tokens of each text, or the answers if all of these fit in memory."""

    @torch.no_grad()
    def __post_init__(self) -> None:
        for passages, names in self.batches():
            hidden = self.split.run(passages.batch(names), passages.prefix)[:, self._places(passages)]
            kept = map(self._answers, hidden) if self._answers_fit else hidden
            self._unbroken |= zip(names, kept, strict=True)
            if self.progress is not None:
                self.progress(len(names))

    @cached_property
    def groups(self) -> tuple[Passages, ...]:
        """The texts, in groups of one length."""
        return (self.passages,) if isinstance(self.passages, Passages) else tuple(self.passages)

    @cached_property
    def features(self) -> dict[str, dict[str, Tensor]]:
        """The original features of each text's prefix."""
        found: dict[str, dict[str, Tensor]] = {}
        with torch.no_grad():
            for passages, names in self.batches():
                ids = passages.batch(names)[:, : passages.prefix]
                found |= zip(names, self.split.features(ids), strict=True)
        return found

    def batches(self) -> Iterator[tuple[Passages, list[str]]]:
        """Yield the ids of texts that go through the model together, each time with the group that they belong to."""
        return ((passages, names) for passages in self.groups for names in passages.batches(self.batch))

    @torch.no_grad()
    def measure(self, decoded: Decoded) -> Fidelity:
        """Run the rest of the model on decoded features of every text, in their own shapes."""
        tally = FidelityTally()
        for passages, names in self.batches():
            samples = [self._decoded(decoded, name) for name in names]
            self.compare(tally, passages, names, self.split.run(passages.batch(names), passages.prefix, samples))
        return tally.fidelity()

    def compare(self, tally: FidelityTally, passages: Passages, names: Sequence[str], hidden: Tensor) -> None:
        """Add some texts of a group to a tally, given what the last block leaves at all of their tokens."""
        places = self._places(passages)
        boundary = int((places < passages.prefix).sum())
        for name, found in zip(names, hidden[:, places], strict=True):
            following = places[places + 1 < passages.length] + 1
            labels = passages.ids[name][following]
            for sums, part in ((tally.prefix, slice(0, boundary)), (tally.continuation, slice(boundary, None))):
                self._add(sums, self._unbroken[name][part], found[part], labels[part])

    def _add(self, sums: _Sums, unbroken: Tensor, found: Tensor, labels: Tensor) -> None:
        """Add some compared tokens of a text to the sums; the last of them may be without a label."""
        for wanted, got in zip(self.split.chunks(unbroken), self.split.chunks(found), strict=True):
            logs = wanted if self._answers_fit else self._answers(wanted)
            sums.add(logs, self._answers(got), labels[: len(got)])
            labels = labels[len(got) :]

    def _places(self, passages: Passages) -> Tensor:
        """Return the compared tokens of each text of a group."""
        first = min(self.every // 2, passages.prefix - 1)
        prefix = torch.arange(first, passages.prefix, self.every)
        return torch.cat([prefix, torch.arange(passages.prefix, passages.length)])

    @cached_property
    def _answers_fit(self) -> bool:
        vocabulary: int = self.split.loaded.config.vocab_size
        positions = sum(len(passages.ids) * len(self._places(passages)) for passages in self.groups)
        return positions * vocabulary * _BYTES_OF_AN_ANSWER <= _MOST_BYTES_OF_ANSWERS

    def _answers(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities, positions x vocabulary."""
        return torch.cat([self.split.logits(chunk).log_softmax(-1) for chunk in self.split.chunks(hidden)])

    def _decoded(self, decoded: Decoded, name: str) -> Features:
        original = self.features[name]
        if not callable(decoded) and name not in decoded:
            raise NotFound(f"no decoded features of {name!r} among {len(decoded)} texts", "decode every text")
        given = decoded(name, original) if callable(decoded) else decoded[name]
        return {feature: given[feature].to(value) if feature in given else value for feature, value in original.items()}

"""Replay of the rest of a language model on decoded features of one text: the divergence of its answers.

A replay of any kind of model is a `Replay`: it makes of a sample's id and features a function that measures what is
decoded of them. That of encoders is in `media`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from lamofc_store.errors import StoreError
from lamofc_tools.consumer.answers import AnswerSums
from lamofc_tools.consumer.decoder import CONTINUATION, Split
from lamofc_tools.consumer.gradients import generators_for
from lamofc_tools.models import Features


class Replay(Protocol):
    """The rest of a model, which answers again to what is decoded of a sample."""

    def __call__(self, sample: str, features: Features) -> Callable[[Features], float] | None:
        """Return the measure of a sample, given its id and its features; None for one that the model cannot read.

        The measure returns the divergence of the answers to decoded features, in nats; those that are left out stay as
        they were.
        """

    def guide(self, sample: str, features: Features) -> Callable[[Features], Features] | None:
        """Return the gradient of a sample's divergence by what is decoded of it; None for one that cannot be read.

        Where the model continues a sample, it looks at other continuations than the measure does, and at some of the
        answers each time.
        """


_STRIDE = 4
"""Tokens of the prefix between two whose answers are compared."""
_GUIDES = 12
"""Continuations by which a sample is guided. With few of them, errors move to where these alone do not feel
them."""
_LIKELIEST = 128
"""Tokens of each answer that guide a sample: these of all answers together are told apart at each."""
_SEED = 1
"""Seed of continuations; other ones than those that a metric was measured on."""


@dataclass(frozen=True)
class UnbrokenText:
    """A text, and the answers of the rest of a model to its features as they were."""

    split: Split
    features: Features
    """Features of the prefix."""
    ids: Tensor
    """Token ids of prefix and continuation, 1 x tokens."""

    @cached_property
    def _prefix(self) -> int:
        return self.features[self.split.output].shape[1]

    @cached_property
    @torch.no_grad()
    def _hidden(self) -> Tensor:
        """What the last block leaves at every token."""
        return self.split.run(self.ids, self._prefix, [self.features])[0]

    @cached_property
    @torch.no_grad()
    def _tokens(self) -> Tensor:
        """Tokens of which all answers that guide are made: the likeliest ones of some answers."""
        count = min(_LIKELIEST, self.split.loaded.config.vocab_size)
        parts = [self._hidden[part] for part in self._parts(0, len(self._hidden))]
        answers = (self.split.logits(chunk) for part in parts for chunk in self.split.chunks(part))
        found = [torch.unique(answer.topk(count).indices) for answer in answers]
        tokens: Tensor = torch.unique(torch.cat(found))
        return tokens

    @torch.no_grad()
    def divergence(self, decoded: Features) -> float:
        """Return the divergence of the answers to decoded features; those that are not among them stay as they were.

        The answers to the prefix count as much as those to its continuation.
        """
        given = {name: value.to(self.features[name]) for name, value in decoded.items() if name in self.features}
        moved = self.split.run(self.ids, self._prefix, [{**self.features, **given}])[0]
        parts = self._parts(0, len(moved))
        return sum(self._divergence(self._hidden[part], moved[part]) for part in parts) / len(parts)

    @torch.enable_grad()
    def gradient(self, decoded: Features, first: int = 0) -> dict[str, Tensor]:
        """Return the gradient of the divergence by decoded features, in float32 on the CPU.

        The prefix answers at every few tokens, from the `first` on. A feature of which all answers are independent has
        gradient 0.
        """
        given = {
            name: value.to(self.features[name]).detach().clone().requires_grad_()
            for name, value in decoded.items()
            if name in self.features
        }
        if not given:
            return {}
        moved = self.split.run(self.ids, self._prefix, [{**self.features, **given}])[0]
        parts = self._parts(first, len(moved))
        by_hidden = torch.zeros_like(moved, dtype=torch.float32)
        for part in parts:
            by_hidden[part] += self._gradient(self._hidden[part], moved[part].detach()) / len(parts)
        unit = by_hidden.abs().max().clamp_min(torch.finfo(torch.float32).tiny)  # float16 would lose small gradients
        by_unit = (by_hidden / unit).to(moved)
        gradients = torch.autograd.grad(moved, list(given.values()), by_unit, allow_unused=True)
        return {
            name: torch.zeros(value.shape) if one is None else (one.float() * unit).cpu()
            for (name, value), one in zip(given.items(), gradients, strict=True)
        }

    def _parts(self, first: int, tokens: int) -> list[slice]:
        """Return the tokens whose answers are compared: some of the prefix, and all that continue it."""
        return [slice(first, self._prefix, _STRIDE), slice(self._prefix, None)][: 1 + (tokens > self._prefix)]

    def _gradient(self, wanted: Tensor, found: Tensor) -> Tensor:
        """Return the gradient of the mean divergence of some answers by what the last block leaves for them."""
        gradients = []
        for one, other in zip(self.split.chunks(wanted), self.split.chunks(found), strict=True):
            leaf = other.float().requires_grad_()
            with torch.no_grad():
                likelihood = self.split.logits(one, self._tokens).softmax(-1)
            answers = self.split.logits(leaf.to(other), self._tokens)
            surprise = -(likelihood * answers.log_softmax(-1)).sum() / len(wanted)
            gradients.append(torch.autograd.grad(surprise, leaf)[0])
        return torch.cat(gradients)

    def _divergence(self, wanted: Tensor, found: Tensor) -> float:
        """Return the mean divergence of some answers."""
        sums = AnswerSums()
        for one, other in zip(self.split.chunks(wanted), self.split.chunks(found), strict=True):
            sums.compare(self.split.logits(one).log_softmax(-1), self.split.logits(other).log_softmax(-1))
        return sums.kl


@dataclass(frozen=True)
class TextReplay:
    """Measures the divergence of a language model's answers to any coding of a sample's features.

    The model continues each sample by tokens of its own drawing, as nothing but its features need be known.
    """

    split: Split
    continuation: int = CONTINUATION

    def __call__(self, sample: str, features: Mapping[str, Tensor]) -> Callable[[Features], float] | None:
        """Return the measure of a sample, given its id; None for one that the model cannot read.

        Such a sample lacks its hidden state or some of the caches or states, caches of it lack tokens, or it is not
        finite.
        """
        prefix = self._prefix_of(features)
        return None if prefix is None else self._continued(sample, prefix, [_SEED])[0].divergence

    def guide(self, sample: str, features: Mapping[str, Tensor]) -> Callable[[Features], Features] | None:
        """Return the gradient of a sample's divergence by what is decoded of it; None for one that cannot be read."""
        prefix = self._prefix_of(features)
        if prefix is None:
            return None
        texts = self._continued(sample, prefix, range(_SEED + 1, _SEED + 1 + _GUIDES))
        calls = count()

        def gradient(decoded: Features) -> Features:
            call = next(calls)
            return texts[call % len(texts)].gradient(decoded, call % _STRIDE)

        return gradient

    def _prefix_of(self, features: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Return the features of a sample on the model's device; None for a sample that the model cannot read."""
        split = self.split
        known = {name: value for name, value in features.items() if name in split.channels}
        if split.output not in known or not split.is_whole(known) or not all(map(_is_readable, known.values())):
            return None
        try:
            whole = split.prefix_of(known, _every_token(known))
        except StoreError:
            return None
        return {name: value.to(split.loaded.device) for name, value in whole.items()}

    @torch.no_grad()
    def _continued(self, sample: str, prefix: dict[str, Tensor], seeds: Sequence[int]) -> list[UnbrokenText]:
        """Let the model continue a sample as it draws by each seed; a hidden state alone is not continued."""
        split = self.split
        ids = torch.zeros(1, prefix[split.output].shape[1], dtype=torch.int64, device=split.loaded.device)
        if len(prefix) == 1:
            return [UnbrokenText(split, prefix, ids)]
        drawn = split.generate(prefix, self.continuation, [generators_for([sample], seed)[0] for seed in seeds])
        return [UnbrokenText(split, prefix, torch.cat([ids, own[None]], 1)) for own in drawn]


def _is_readable(value: Tensor) -> bool:
    """Whether a feature is of one text, and all of its values are finite."""
    return value.dim() > 1 and value.numel() > 0 and value.shape[0] == 1 and bool(torch.isfinite(value).all())


def _every_token(features: Features) -> int:
    """Return a number of tokens that is at least that of any feature."""
    return max(value.shape[-2] for value in features.values())


@dataclass(frozen=True)
class SharedReplay:
    """Measures several models that read the same samples: the mean of their divergences, as their metric foretells."""

    replays: Sequence[Replay]

    def __call__(self, sample: str, features: Features) -> Callable[[Features], float] | None:
        """Return the measure of a sample, given its id; None for one that any of the models cannot read."""
        measures = [measure for replay in self.replays if (measure := replay(sample, features)) is not None]
        if len(measures) < len(self.replays):
            return None
        return lambda decoded: sum(measure(decoded) for measure in measures) / len(measures)

    def guide(self, sample: str, features: Features) -> Callable[[Features], Features] | None:
        """Return the gradient of that mean; None for a sample that any of the models cannot read."""
        guides = [guide for replay in self.replays if (guide := replay.guide(sample, features)) is not None]
        if len(guides) < len(self.replays):
            return None

        def gradient(decoded: Features) -> dict[str, Tensor]:
            total: dict[str, Tensor] = {}
            for guide in guides:
                for name, slope in guide(decoded).items():
                    total[name] = total.get(name, torch.zeros_like(slope)) + slope / len(guides)
            return total

        return gradient

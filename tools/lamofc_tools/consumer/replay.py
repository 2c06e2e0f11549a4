"""Replay of the rest of a language model on decoded features of one text: the divergence of its answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, StoreError
from lamofc_tools.consumer.answers import AnswerSums, Replay
from lamofc_tools.consumer.decoder import CONTINUATION, Split
from lamofc_tools.consumer.gradients import fisher_draws, generators_for
from lamofc_tools.models import Features

_STRIDE = 4
"""Tokens of the prefix between two whose answers are compared."""
_GUIDING = 12
"""Continuations by which a sample is guided. With few of them, errors move to where these alone do not feel
them."""
_KEPT_LOGITS = 1 << 26
"""Most logits of a text's unbroken answers that are kept from one measurement to the next."""
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
    hidden: Tensor
    """Outputs of the last block at every token, tokens x channels."""
    _kept: dict[int, list[Tensor]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Unbroken answers from a token on, chunk by chunk."""

    @classmethod
    @torch.no_grad()
    def of(cls, split: Split, features: Features, ids: Tensor) -> UnbrokenText:
        """Run the rest of the model on the features of a prefix, and on what continues it."""
        return cls(split, features, ids, split.run(ids, features[split.output].shape[1], [features])[0])

    @cached_property
    def _prefix(self) -> int:
        return self.features[self.split.output].shape[1]

    @torch.no_grad()
    def likeliest_tokens(self) -> Tensor:
        """Return the likeliest tokens of some answers, all of them together."""
        count = min(_LIKELIEST, self.split.loaded.config.vocab_size)
        some = torch.cat([self.hidden[: self._prefix : _STRIDE], self.hidden[self._prefix :: _STRIDE]])
        found = [torch.unique(self.split.logits(chunk).topk(count).indices) for chunk in self.split.chunks(some)]
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
        return sum(self._divergence(part, moved[part]) for part in parts) / len(parts)

    @torch.enable_grad()
    def gradient(self, decoded: Features, first: int = 0, tokens: Tensor | None = None) -> dict[str, Tensor]:
        """Return the gradient of the divergence by decoded features, in float32 on the CPU.

        The prefix answers at every few tokens, from the `first` on. With `tokens`, answers are compared over these
        alone. A feature of which all answers are independent has gradient 0.
        """

        def slope(wanted: Tensor, found: Tensor) -> Tensor:
            with torch.no_grad():
                likelihood = self.split.logits(wanted, tokens).softmax(-1)
            leaf = found.float().requires_grad_()
            surprise = -(likelihood * self.split.logits(leaf.to(found), tokens).log_softmax(-1)).sum()
            return torch.autograd.grad(surprise, leaf)[0]

        return self._back(decoded, first, slope, lambda share: share)

    def draw(self, generator: torch.Generator, first: int = 0, tokens: Tensor | None = None) -> dict[str, Tensor]:
        """Draw a gradient of the answers by the features as they were, as `gradient` looks at them."""

        def slope(wanted: Tensor, found: Tensor) -> Tensor:
            leaf = found.float().requires_grad_()
            logits = self.split.logits(leaf.to(found), tokens)
            (along,) = fisher_draws(logits[None], [generator], 1)
            return torch.autograd.grad(logits, leaf, along[0])[0]

        return self._back(self.features, first, slope, math.sqrt)

    def _back(
        self,
        decoded: Features,
        first: int,
        slope: Callable[[Tensor, Tensor], Tensor],
        weight: Callable[[float], float],
    ) -> dict[str, Tensor]:
        """Take gradients of answers, each weighed by a function of its share, back to decoded features.

        `slope` makes them of what the last block left, and leaves now, at some tokens.
        """
        given = {
            name: value.to(self.features[name]).detach().clone().requires_grad_()
            for name, value in decoded.items()
            if name in self.features
        }
        if not given:
            return {}
        with self.split.gradients():
            gradients, unit = self._by_features(given, first, slope, weight)
        return {
            name: torch.zeros(value.shape) if one is None else (one.float() * unit).cpu()
            for (name, value), one in zip(given.items(), gradients, strict=True)
        }

    def _by_features(
        self,
        given: Mapping[str, Tensor],
        first: int,
        slope: Callable[[Tensor, Tensor], Tensor],
        weight: Callable[[float], float],
    ) -> tuple[Sequence[Tensor | None], Tensor]:
        """Return gradients by given features, over the largest entry of that by what the last block leaves."""
        moved = self.split.run(self.ids, self._prefix, [{**self.features, **given}])[0]
        parts = self._parts(first, len(moved))
        by_hidden = torch.zeros_like(moved, dtype=torch.float32)
        for part in parts:
            chunks = zip(self.split.chunks(self.hidden[part]), self.split.chunks(moved[part].detach()), strict=True)
            slopes = torch.cat([slope(wanted, found) for wanted, found in chunks])
            by_hidden[part] += slopes * weight(1 / (len(slopes) * len(parts)))
        unit = by_hidden.abs().max().clamp_min(torch.finfo(torch.float32).tiny)  # float16 would lose small gradients
        by_unit = (by_hidden / unit).to(moved)
        return torch.autograd.grad(moved, list(given.values()), by_unit, allow_unused=True), unit

    def _parts(self, first: int, tokens: int) -> list[slice]:
        """Return the tokens whose answers are compared: some of the prefix, and all that continue it."""
        begin = first % min(_STRIDE, self._prefix)
        return [slice(begin, self._prefix, _STRIDE), slice(self._prefix, None)][: 1 + (tokens > self._prefix)]

    def _divergence(self, part: slice, moved: Tensor) -> float:
        """Return the mean divergence of the answers at some tokens."""
        sums = AnswerSums()
        for wanted, found in zip(self._answers(part), self.split.chunks(moved), strict=True):
            sums.compare(wanted, self.split.logits(found).log_softmax(-1))
        return sums.kl

    def _answers(self, part: slice) -> Iterable[Tensor]:
        """Return the unbroken answers at some tokens, chunk by chunk; few are kept, many are made again."""
        kept = self._kept.get(part.start)
        if kept is not None:
            return kept
        answers = (self.split.logits(chunk).log_softmax(-1) for chunk in self.split.chunks(self.hidden[part]))
        positions = sum(len(self.hidden[own]) for own in self._parts(0, len(self.hidden)))
        if positions * self.split.loaded.config.vocab_size > _KEPT_LOGITS:
            return answers
        return self._kept.setdefault(part.start, list(answers))


@dataclass(frozen=True)
class ReplayedText:
    """A text whose features are on the model's device, and which the model continues by itself."""

    split: Split
    sample: str
    prefix: Features
    continuation: int

    def divergence(self, decoded: Features) -> float:
        """Return the divergence of the answers to decoded features."""
        return self._measured.divergence(decoded)

    def gradient(self, decoded: Features, step: int) -> dict[str, Tensor]:
        """Return the gradient of the divergence along another continuation at each step."""
        texts = self._guiding
        return texts[step % len(texts)].gradient(decoded, step % _STRIDE, self._tokens)

    def draw(self, step: int) -> dict[str, Tensor]:
        """Draw a gradient of the answers, along another continuation at each step."""
        texts, generator = self._guiding, generators_for([self.sample], step)[0]
        return texts[step % len(texts)].draw(generator, step % _STRIDE, self._tokens)

    @cached_property
    def _measured(self) -> UnbrokenText:
        text = self._continued([_SEED])[0]
        return UnbrokenText.of(text.split, text.features, text.ids)  # at once, as decoded features are run

    @cached_property
    def _guiding(self) -> list[UnbrokenText]:
        return self._continued(range(_SEED + 1, _SEED + 1 + _GUIDING))

    @cached_property
    def _tokens(self) -> Tensor:
        """Tokens of which the answers that guide are made."""
        return self._guiding[0].likeliest_tokens()

    @torch.no_grad()
    def _continued(self, seeds: Sequence[int]) -> list[UnbrokenText]:
        """Let the model continue the text as it draws by each seed; a hidden state alone is not continued."""
        split, prefix = self.split, dict(self.prefix)
        ids = torch.zeros(1, prefix[split.output].shape[1], dtype=torch.int64, device=split.loaded.device)
        if len(prefix) == 1:
            return [UnbrokenText.of(split, prefix, ids)]
        drawn = split.generate(prefix, self.continuation, [generators_for([self.sample], seed)[0] for seed in seeds])
        return [
            UnbrokenText(split, prefix, torch.cat([ids, own[None]], 1), torch.cat([drawn.before, after]))
            for own, after in zip(drawn.ids, drawn.after, strict=True)
        ]


@dataclass(eq=False)
class TextReplay(Replay):
    """Measures the divergence of a language model's answers to any coding of a sample's features.

    The model continues each sample by tokens of its own drawing, as nothing but its features need be known.
    """

    split: Split
    continuation: int = CONTINUATION

    def __post_init__(self) -> None:
        """Refuse a continuation without tokens."""
        if self.continuation < 1:
            raise BadArgument(f"a continuation of {self.continuation} tokens", "give 1 or more")

    def open(self, sample: str, features: Mapping[str, Tensor]) -> ReplayedText | None:
        """Move the features of a sample to the model's device; None for one that the model cannot read.

        Such a sample lacks its hidden state or some of the caches or states, caches of it lack tokens, or it is not
        finite in the model's dtype.
        """
        split = self.split
        known = {name: value for name, value in features.items() if name in split.channels}
        if split.output not in known or not split.is_whole(known) or not all(map(_is_of_one_text, known.values())):
            return None
        try:
            whole = split.prefix_of(known, _every_token(known))
        except StoreError:
            return None
        if not all(bool(torch.isfinite(value).all()) for value in whole.values()):
            return None
        on_device = {name: value.to(split.loaded.device) for name, value in whole.items()}
        return ReplayedText(split, sample, on_device, self.continuation)


def _is_of_one_text(value: Tensor) -> bool:
    return value.dim() > 1 and value.numel() > 0 and value.shape[0] == 1


def _every_token(features: Features) -> int:
    """Return a number of tokens that is at least that of any feature."""
    return max(value.shape[-2] for value in features.values())

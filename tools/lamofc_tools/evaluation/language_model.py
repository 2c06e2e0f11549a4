"""The rest of a causal language model: texts become prefixes, whose features a store has, and what continues them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Store
from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.consumer import (
    CONTINUATION,
    FidelityMeter,
    FidelityTally,
    Passages,
    Question,
    QuestionTally,
    Split,
    token_ids,
)
from lamofc_tools.evaluation.contract import UNBROKEN, Figure, FigureSet, find_stored_inputs, inputs_digest
from lamofc_tools.evaluation.stored_features import stored_shapes
from lamofc_tools.models import BlockSource, Features, ModelInput

FIGURES = FigureSet(
    "text",
    (
        Figure("kl_prefix", "KL prefix", ".3g", "KL of the prefix, nats"),
        Figure("top1_prefix", "top-1 prefix"),
        Figure("kl_continued", "KL cont.", ".3g", "KL of the continuation, nats"),
        Figure("top1_continued", "top-1 cont."),
        Figure("perplexity_prefix", "ppl. prefix", ".4g"),
        Figure("perplexity_continued", "ppl. cont.", ".4g"),
        Figure("accuracy", "accuracy"),
        Figure("accuracy_norm", "accuracy_norm"),
        Figure("exact_match", "exact_match"),
    ),
    {"positions_prefix": "tokens", "positions_continued": "after them"},
)
_LEAST_CONTINUATION = 2
"""Fewest tokens of a continuation; the first is answered by the prefix, so one alone would be followed by nothing."""


@dataclass(frozen=True)
class TextOptions:
    """How texts are cut into prefixes and continuations."""

    tokens: int | None = None
    """Tokens of a prefix; None for all that the store has."""
    continued: int = CONTINUATION
    """Most tokens after a prefix."""

    def __post_init__(self) -> None:
        if self.tokens is not None and self.tokens < 1:
            raise BadArgument(f"a prefix of {self.tokens} tokens", Hint("give [tokens] 1 or more"))
        if self.continued < _LEAST_CONTINUATION:
            raise BadArgument(
                f"{self.continued} tokens after a prefix", Hint(f"give [continued] {_LEAST_CONTINUATION} or more")
            )


@dataclass
class LanguageModel:
    """The rest of a causal language model, which answers to the features of texts and to what continues them."""

    split: Split
    texts: Sequence[ModelInput]
    stored: Mapping[str, int]
    """Number of tokens of each text whose features are stored."""
    options: TextOptions = field(default_factory=TextOptions)
    batch: int = 4

    @classmethod
    def of(
        cls,
        split: Split,
        store: Store,
        options: TextOptions,
        *,
        location: str | None = None,
        where: str | None = None,
        batch: int = 4,
    ) -> LanguageModel:
        """Find the texts whose features a store has; by default those that were extracted into it."""
        source = BlockSource([], split.loaded, (split.block,))
        texts = find_stored_inputs(store, source, "texts", location, where)
        shapes = stored_shapes(store, [text.id for text in texts], [split.output])
        stored = {text.id: shapes[text.id][split.output][-2] for text in texts}
        return cls(split, texts, stored, options, batch)

    @property
    def name(self) -> str:
        """Name of the rest of the model, `MODEL@BLOCK`."""
        return self.split.consumer

    @property
    def figure_set(self) -> FigureSet:
        """Divergence, agreement and perplexity of both parts, and shares of right answers."""
        return FIGURES

    @property
    def settings(self) -> dict[str, Any]:
        """How texts are cut, and the number of those that the model continues."""
        return {**asdict(self.options), "generated": len(self.generated)}

    @cached_property
    def samples(self) -> list[str]:
        """Ids of the texts."""
        return [text.id for text in self.texts]

    @cached_property
    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The shape of each feature of each text."""
        ids = torch.zeros(1, 1, dtype=torch.int64, device=self.split.loaded.device)
        (one,) = self.split.features(ids)
        return {
            sample: {name: self._shape(name, value.shape, tokens) for name, value in one.items()}
            for sample, tokens in self.stored.items()
        }

    def _shape(self, name: str, one: Sequence[int], tokens: int) -> tuple[int, ...]:
        """Return the shape of a feature of so many tokens, given that of one token."""
        return (*one[:-2], tokens, one[-1]) if self.split.has_tokens(name) else tuple(one)

    def config(self) -> dict[str, Any]:
        """Return the model and the texts, by their digests, and how texts are cut."""
        run = BlockSource([], self.split.loaded, (self.split.block,)).run_config()
        kept = {key: run[key] for key in ("model", "weights", "dtype")}
        return {**kept, "block": self.split.block, "texts": inputs_digest(self.texts), **asdict(self.options)}

    def prepare(self, progress: Callable[[int], None]) -> None:
        """Run the unbroken model on all texts; it continues those that end with their stored tokens."""
        self.passages = [
            Passages(ids if own else self._continued(ids), prefix) for (prefix, own), ids in self._cuts.items()
        ]
        self.meter = FidelityMeter(self.split, self.passages, self.batch, progress=progress)
        tally = QuestionTally(self.questions)
        with torch.no_grad():
            for passages, names in self.meter.batches() if self.questions else ():
                hidden, cache = self.split.begin(passages.batch(names)[:, : passages.prefix])
                tally.add(self.split, names, hidden[:, -1], cache)
        self.unbroken_shares = tally.shares()

    def batches(self) -> Iterator[list[str]]:
        """Yield the ids of texts of one length."""
        return (names for _, names in self.meter.batches())

    def tally(self) -> LanguageTally:
        """Return an empty tally."""
        return LanguageTally(self)

    @cached_property
    def questions(self) -> dict[str, Question]:
        """The questions that texts ask, by the id of the text."""
        found = {text.id: Question.of(self.split.loaded, text, self._prefix(text.id)) for text in self.texts}
        return {name: question for name, question in found.items() if question is not None}

    def _prefix(self, name: str) -> int:
        stored = self.stored[name]
        prefix = min(stored, self.options.tokens or stored)
        if prefix < stored and not all(map(self.split.has_tokens, self.shapes[name])):
            raise BadArgument(
                f"a prefix of {prefix} tokens of text {name!r}: states are stored after all of its {stored} tokens",
                Hint("leave [tokens] out"),
            )
        return prefix

    @property
    def generated(self) -> list[str]:
        """Ids of the texts that end with their prefix, which the unbroken model continues."""
        return [name for (_, own), ids in self._cuts.items() if not own for name in ids]

    @cached_property
    def _cuts(self) -> dict[tuple[int, int], dict[str, Tensor]]:
        """Tokens of the texts, grouped by the length of their prefix and of what they have after it."""
        groups: dict[tuple[int, int], dict[str, Tensor]] = {}
        for text in self.texts:
            ids, prefix = token_ids(self.split.loaded, text.text), self._prefix(text.id)
            if len(ids) < self.stored[text.id]:
                raise BadArgument(
                    f"text {text.id!r} has {len(ids)} tokens, and the features of {self.stored[text.id]} are stored",
                    "give the texts that the features were extracted from",
                )
            after = min(len(ids) - prefix, self.options.continued)
            own = after if after >= _LEAST_CONTINUATION else 0
            groups.setdefault((prefix, own), {})[text.id] = ids[: prefix + own]
        return groups

    @torch.no_grad()
    def _continued(self, ids: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Let the unbroken model continue texts of one length."""
        ended = Passages(ids, 0)
        continued: dict[str, Tensor] = {}
        for names in ended.batches(self.batch):
            batch = ended.batch(names)
            hidden, cache = self.split.begin(batch)
            after = self.split.likeliest(hidden[:, -1], cache, self.options.continued)
            continued |= zip(names, torch.cat([batch, after], 1), strict=True)
        return continued


@dataclass
class LanguageTally:
    """The answers of the rest of a language model to the decoded features of one store at one rate."""

    rest: LanguageModel
    fidelity: FidelityTally = field(init=False, default_factory=FidelityTally)
    questions: QuestionTally = field(init=False)

    def __post_init__(self) -> None:
        self.questions = QuestionTally(self.rest.questions)

    @torch.no_grad()
    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Run the rest of the model on the decoded features of a batch of texts of one length."""
        split = self.rest.split
        passages = next(group for group in self.rest.passages if names[0] in group.ids)
        ids, prefix = passages.batch(names), passages.prefix
        hidden, cache = split.begin(ids[:, :prefix], [self._of_prefix(sample, prefix) for sample in samples])
        self.questions.add(split, names, hidden[:, -1], cache)
        whole = torch.cat([hidden, split.go_on(ids[:, prefix:], cache)], 1)
        self.rest.meter.compare(self.fidelity, passages, names, whole)

    def values(self) -> dict[str, float]:
        """Return divergence, agreement and perplexity of both parts, and the shares of right answers."""
        fidelity = self.fidelity.fidelity()
        parts = {"prefix": fidelity.prefix, "continued": fidelity.continuation}
        values = {f"{name}_{part}": value for part, found in parts.items() for name, value in asdict(found).items()}
        unbroken = {f"{UNBROKEN}{name}": share for name, share in self.rest.unbroken_shares.items()}
        return values | self.questions.shares() | unbroken

    def _of_prefix(self, sample: Features, prefix: int) -> dict[str, Tensor]:
        """Return the features of the first tokens, on the model's device and in its dtype."""
        split = self.rest.split
        own = next(split.loaded.model.parameters())
        return {
            name: (value[..., :prefix, :] if split.has_tokens(name) else value).to(own)
            for name, value in sample.items()
        }

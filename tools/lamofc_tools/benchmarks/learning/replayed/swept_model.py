"""A language model at several splits, lengths and numbers of texts: its texts, features and metrics, each made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.benchmarks.learning.peers.feature_coder import ModelFacts
from lamofc_tools.benchmarks.learning.replayed.coded_texts import rows_of
from lamofc_tools.consumer import (
    PREFIX,
    Consumer,
    ModelMetric,
    Passages,
    Split,
    cut_passages,
    find_rotary,
    measure_metric,
)
from lamofc_tools.models import LoadedModel, ModelInput

_BLOCK = "{block}"


@dataclass(frozen=True)
class Setting:
    """One point of a sweep."""

    block: int = 4
    """The model is cut after this block."""
    tokens: int = PREFIX
    """Tokens of a text that are coded."""
    fit_texts: int = 120
    """Most texts that are learned from."""


@dataclass(frozen=True)
class Sweep:
    """The settings that are measured."""

    settings: Sequence[Setting]
    metric_setting: Setting
    """Where the metrics of all blocks are measured."""

    @classmethod
    def of(cls, blocks: Sequence[int], tokens: Sequence[int], fit_texts: Sequence[int]) -> Sweep:
        """Vary one list at a time, while the others stay at their only value or, of several, at the default."""
        if min(tokens) < 2 or min(fit_texts) < 1:
            raise BadArgument(
                f"{min(tokens)} tokens, {min(fit_texts)} texts to learn from",
                "give 2 or more, and 1 or more",
            )
        lists = dict(zip((field.name for field in fields(Setting)), (blocks, tokens, fit_texts), strict=True))
        centre = Setting(**{name: values[0] for name, values in lists.items() if len(values) == 1})
        several = [(name, value) for name, values in lists.items() if len(values) > 1 for value in values]
        varied = [replace(centre, **{name: value}) for name, value in several] or [centre]
        settings = sorted(dict.fromkeys(varied), key=lambda setting: (setting.block, setting.tokens))
        usual = next((setting for setting in varied if setting.tokens == centre.tokens), varied[0])
        return cls(settings, replace(usual, fit_texts=max(setting.fit_texts for setting in varied)))

    @property
    def varying(self) -> list[str]:
        """Names of what differs between settings."""
        names = [field.name for field in fields(Setting)]
        return [name for name in names if len({getattr(setting, name) for setting in self.settings}) > 1]


class SweptModel:
    """A model, and texts of two kinds: to learn from, and to measure on."""

    def __init__(
        self,
        loaded: LoadedModel,
        continued: int,
        fit_texts: Callable[[int], Sequence[ModelInput]],
        measured_texts: Sequence[ModelInput],
    ) -> None:
        """Take a function from a count to texts to learn from, and texts to measure on."""
        self.loaded, self._continued = loaded, continued
        self._fit_texts, self._measured_texts = fit_texts, measured_texts
        self.split = cache(partial(Split, loaded))
        self.fitting = cache(self._passages_to_learn_from)
        self.rotary = find_rotary(loaded)

    def _passages_to_learn_from(self, setting: Setting) -> Passages:
        return self._cut(self._fit_texts(2 * setting.fit_texts), setting.tokens).first(setting.fit_texts)

    def testing(self, tokens: int, count: int, *, packed: bool = False) -> Passages:
        """Return the passages to measure on; packed, each is half a text, and then the beginning of the next."""
        passages = self._cut(self._measured_texts, tokens).first(count)
        return packed_in_pairs(passages) if packed else passages

    def all_testing(self, sweep: Sweep, count: int, *, packed: bool = False) -> dict[int, Passages]:
        """Return the passages to measure on of each length, so that a split or a length that is none fails early."""
        for setting in sweep.settings:
            self.split(setting.block)
            self.fitting(setting)
        lengths = {setting.tokens for setting in sweep.settings}
        return {tokens: self.testing(tokens, count, packed=packed) for tokens in lengths}

    def _cut(self, texts: Sequence[ModelInput], tokens: int) -> Passages:
        return cut_passages(self.loaded, texts, tokens, self._continued)

    def samples(self, setting: Setting) -> list[dict[str, Tensor]]:
        """Return the features to learn from, tokens x channels each."""
        split, passages = self.split(setting.block), self.fitting(setting)
        return [
            rows_of(features, split)
            for texts in passages.batches(4)
            for features in split.features(passages.batch(texts)[:, : passages.prefix])
        ]

    def facts(self, setting: Setting, count: int, file: Path | None) -> Callable[[int], ModelFacts]:
        """Return the function from a block to facts about the model, with a metric over so many passages to learn from.

        The calibrated metric is kept in a file, if one is named, of which each block has its own.
        """
        passages = self.fitting(setting).first(count)

        @cache
        def metric(block: int, calibrated: bool) -> ModelMetric:
            split = self.split(block)
            measure = partial(measure_metric, self.loaded, passages, block, calibrated=calibrated)
            rotary = {name: turn for name, turn in self.rotary.items() if name in split.patterns}
            consumer = Consumer(split.consumer, split.channels, rotary, "", measure, digest=self.loaded.digest)
            kept = consumer if file is None or not calibrated else consumer.kept_in(file_of_block(file, block))
            return kept.measure()

        return lambda block: ModelFacts(self.rotary, partial(metric, block))


def packed_in_pairs(passages: Passages) -> Passages:
    """Return passages that begin with half a prefix and go on with the beginning of the next text, as in training."""
    half, rows = passages.prefix // 2, list(passages.ids.values())
    following = [*rows[1:], *rows[:1]]
    packed = [torch.cat([row[:half], after[: len(row) - half]]) for row, after in zip(rows, following, strict=True)]
    return Passages(dict(zip(passages.ids, packed, strict=True)), passages.prefix)


def file_of_block(pattern: Path, block: int) -> Path:
    """Return the file for a block, where the pattern names it."""
    return Path(str(pattern).replace(_BLOCK, str(block)))


def check_pattern(pattern: Path | None, blocks: Sequence[int]) -> None:
    """Refuse one file for the metrics of several blocks."""
    if pattern is not None and len(blocks) > 1 and _BLOCK not in str(pattern):
        raise BadArgument(
            f"{pattern} for the metrics of blocks {', '.join(map(str, blocks))}",
            Hint(f"name a file for each: [metric] {pattern.with_stem(f'{pattern.stem}-{_BLOCK}')}"),
        )

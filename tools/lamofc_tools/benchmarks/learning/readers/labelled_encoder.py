"""An encoder with a head, cut after a block: its inputs, its metrics, and the losses after decoded features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_store import Sample
from lamofc_tools.consumer import ModelMetric, measure_consumer
from lamofc_tools.consumer.media import EncoderSplit
from lamofc_tools.evaluation import EncoderModel
from lamofc_tools.heads import LinearHead
from lamofc_tools.models import BlockSource, Features, LoadedModel, ModelInput

HEAD_ENDING = "WithHead"
"""Ending of the name of a class that has an encoder with its head, for the kinds of the models here."""
_DRAWS = 2
_BATCH = 16


class EncoderWithHead(nn.Module):
    """An encoder that answers by classes, in the form of the models of transformers."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, **inputs: Tensor) -> Any:
        """Return the logits of the head of what the encoder ends with."""
        return SimpleNamespace(logits=self.head(self.body(**inputs).last_hidden_state))


@dataclass(frozen=True)
class LabelledEncoder:
    """An encoder cut after a block, with inputs to learn a codec from, and others to measure on."""

    with_head: EncoderSplit
    without_head: EncoderSplit
    learned_from: Sequence[ModelInput]
    measured: Sequence[ModelInput]
    labels: Mapping[str, int]
    """The true class of each input by its id."""
    linear_head: LinearHead | None = None
    """The head, if it is one that reads the final states alone."""

    @classmethod
    def of(
        cls,
        body: LoadedModel,
        head: nn.Module,
        inputs: tuple[Sequence[ModelInput], Sequence[ModelInput]],
        labels: Mapping[str, int],
        linear_head: LinearHead | None = None,
    ) -> LabelledEncoder:
        """Put a head on an encoder; it is cut after its last block."""
        whole = EncoderWithHead(body.model, head).eval().requires_grad_(False)
        loaded = replace(body, name=f"{body.name}-with-head", model=whole)
        last = len(body.blocks) - 1
        return cls(EncoderSplit(loaded, last), EncoderSplit(body, last), *inputs, labels, linear_head)

    def at(self, block: int) -> LabelledEncoder:
        """Return the same encoder, cut after another block, counted from zero."""
        splits = {name: replace(getattr(self, name), block=block) for name in ("with_head", "without_head")}
        return replace(self, **splits)

    @property
    def name(self) -> str:
        """Name of the encoder and the block."""
        return self.without_head.consumer

    @property
    def feature(self) -> str:
        """Name of the feature after the block."""
        return self.without_head.feature

    @property
    def directly_read(self) -> LinearHead | None:
        """The head, if it reads the feature itself."""
        return self.linear_head if self.without_head.block == len(self.without_head.loaded.blocks) - 1 else None

    @cached_property
    def samples(self) -> list[Sample]:
        """Features after the block of the inputs to learn from."""
        return self._samples(self.learned_from)

    @cached_property
    def measured_samples(self) -> list[Sample]:
        """Features after the block of the inputs to measure on."""
        return self._samples(self.measured)

    def _samples(self, items: Sequence[ModelInput]) -> list[Sample]:
        return list(BlockSource(items, self.without_head.loaded, (self.without_head.block,), batch=_BATCH))

    @cached_property
    def head_metric(self) -> ModelMetric:
        """The Fisher matrix of the head's answers."""
        return self._metric(self.with_head)

    @cached_property
    def state_metric(self) -> ModelMetric:
        """J'J of the final states, each channel relative to its deviation."""
        return self._metric(self.without_head)

    def _metric(self, split: EncoderSplit) -> ModelMetric:
        return measure_consumer(split.loaded, self.learned_from, split.block, draws=_DRAWS)

    @cached_property
    def judges(self) -> tuple[EncoderModel, EncoderModel]:
        """The rest of the encoder with its head, and without it; both have answered to the features as they were."""
        head = EncoderModel(self.with_head, self.measured, _BATCH, labels=self.labels)
        states = EncoderModel(self.without_head, self.measured, _BATCH)
        for judge in (head, states):
            judge.prepare(lambda count: None)
        return head, states

    @torch.no_grad()
    def losses(self, decoded: Mapping[str, Features]) -> dict[str, float]:
        """Return all figures of both judges after decoded features of every input, by its id."""
        figures: dict[str, float] = {}
        for judge in self.judges:
            tally = judge.tally()
            for names in judge.batches():
                tally.add(names, [decoded[name] for name in names])
            figures |= tally.values()
        return figures

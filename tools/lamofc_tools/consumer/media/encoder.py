"""The rest of an encoder of images or sounds as the consumer of the features after a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.gradients import (
    Deviations,
    MeasuredMatrices,
    Reading,
    SquareSums,
    fisher_draws,
    generators_for,
    sign_draws,
)
from lamofc_tools.models import BlockSource, LoadedModel, ModelInput, block_outputs, short_name, substitute_features

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class EncoderSplit:
    """An encoder cut after a block, counted from zero."""

    loaded: LoadedModel
    block: int

    def __post_init__(self) -> None:
        self.loaded.require_block(self.block)

    @property
    def consumer(self) -> str:
        """Name of the rest of the model, `MODEL@BLOCK`."""
        return f"{short_name(self.loaded.name)}@{self.block}"

    @property
    def feature(self) -> str:
        """Name of the feature after the block."""
        return self.loaded.output_name(self.block)

    @property
    def patterns(self) -> dict[str, str]:
        """The pattern of the feature, if it is not the default one."""
        pattern = self.loaded.kind.pattern
        return {} if pattern is None else {self.feature: pattern}

    @torch.no_grad()
    def channels(self, item: ModelInput) -> dict[str, int]:
        """Return the channels of the feature; the model runs up to the block on an item."""
        return {self.feature: self.features(self.loaded.inputs([item])).shape[self.channel_axis]}

    def batches(self, items: Sequence[ModelInput], size: int) -> Iterator[list[ModelInput]]:
        """Yield items that go through the model together."""
        return BlockSource(items, self.loaded, (self.block,), batch=size).batches()

    def features(self, inputs: Inputs) -> Tensor:
        """Return what the block leaves of a batch."""
        outputs, _ = block_outputs(self.loaded, inputs, [self.block], caches=False)
        return outputs[self.block]

    @contextmanager
    def substituted(self, features: Tensor) -> Iterator[None]:
        """Make the model's next pass within the context start behind the block, on the features of a batch."""
        with substitute_features(self.loaded, self.block, [{self.feature: features}]):
            yield

    def answer(self, inputs: Inputs, features: Tensor | None = None) -> Tensor:
        """Return the logits of the model's head, or its final states if it has none, to its own features or others."""
        if features is None:
            return self._found(self.loaded.model(**inputs))
        with self.substituted(features):
            return self._found(self.loaded.model(**inputs))

    @property
    def channel_axis(self) -> int:
        """The axis of the channels of final states."""
        return -1 if self.loaded.kind.pattern is None else -3

    def _found(self, output: Any) -> Tensor:
        name = "logits" if self.loaded.has_head else "last_hidden_state"
        found = getattr(output, name, None)
        if not isinstance(found, Tensor):
            raise BadArgument(
                f"a {type(self.loaded.model).__name__} answers by {', '.join(output)}, and not by {name}",
                "load the model without its head",
            )
        return found


@torch.enable_grad()
def measure_encoder(
    loaded: LoadedModel,
    items: Sequence[ModelInput],
    block: int,
    *,
    seed: int = 0,
    batch: int = 8,
    draws: int = 2,
) -> MeasuredMatrices:
    """Measure the rest of an encoder after `block`, counted from zero, over all tokens of some items.

    A model with a head gives Fisher matrices, by `draws` gradients of each answer. Without a head the answer is what
    the last norm leaves; each of its channels counts relative to its deviation over the items, which takes a pass of
    its own. Memory is that of one batch; the result does not depend on the batch.
    """
    split = EncoderSplit(loaded, block)
    batches = list(split.batches(items, batch))
    deviations = None if loaded.has_head else _deviations(split, batches)
    sums, tokens, positions = SquareSums(), 0, 0
    for group in batches:
        inputs = loaded.inputs(group)
        features = split.features(inputs).requires_grad_()
        answer, generators = split.answer(inputs, features), generators_for([item.id for item in group], seed)
        if deviations is None:
            drawn = fisher_draws(answer, generators, draws)
            positions += answer[..., 0].numel()
        else:
            drawn = sign_draws(answer, deviations.scale(answer), generators, draws)
        sums.add(Reading({split.feature: features}, answer, drawn, split.patterns))
        tokens += features.numel() // features.shape[split.channel_axis]
    means = sums.means(tokens if deviations is None else deviations.values)
    return MeasuredMatrices(split.consumer, means, tokens, positions, loaded.digest)


@torch.no_grad()
def _deviations(split: EncoderSplit, batches: Sequence[Sequence[ModelInput]]) -> Deviations:
    """Return the deviations of the channels of the final states of all items."""
    deviations = Deviations(split.channel_axis)
    for group in batches:
        deviations.add(split.answer(split.loaded.inputs(list(group))))
    return deviations

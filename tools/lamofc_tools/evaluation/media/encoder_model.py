"""The rest of an encoder of images or sounds: what its head answers, or the states that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lamofc_tools.consumer import AnswerSums
from lamofc_tools.consumer.media import EncoderSplit
from lamofc_tools.evaluation.contract import UNBROKEN, Figure, FigureSet, Tally, inputs_digest
from lamofc_tools.evaluation.media.error_sums import ErrorSums
from lamofc_tools.models import BlockSource, Features, ModelInput, weights_digest

HEAD_FIGURES = (Figure("kl", "KL", ".3g", "KL, nats"), Figure("top1", "top-1"))
ACCURACY = Figure("accuracy", "accuracy")
STATE_FIGURES = (
    Figure("state_error", "error", ".3g", "relative squared error of final states"),
    Figure("state_cosine", "cosine"),
)
_MOST_BYTES_OF_ANSWERS = 2 << 30
"""Most memory for the answers of the unbroken model; further ones are computed again for each store and rate."""


@dataclass
class EncoderModel:
    """The rest of an encoder, by its head if it has one, else by its final states."""

    split: EncoderSplit
    items: Sequence[ModelInput]
    batch: int = 4
    labels: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    """The true class of each input by its id, where they are known: a head then has an accuracy."""

    @property
    def name(self) -> str:
        """Name of the rest of the model, `MODEL@BLOCK`."""
        return self.split.consumer

    @property
    def figure_set(self) -> FigureSet:
        """Divergence and agreement of the head's answers, or error and cosine of final states."""
        head_figures = (*HEAD_FIGURES, ACCURACY) if self.labels else HEAD_FIGURES
        figures = head_figures if self.split.loaded.has_head else STATE_FIGURES
        return FigureSet(self.split.loaded.kind.inputs.removesuffix("s"), figures)

    @property
    def settings(self) -> dict[str, Any]:
        """Whether a head answers."""
        return {"head": self.split.loaded.has_head}

    @cached_property
    def samples(self) -> list[str]:
        """Ids of the inputs."""
        return list(self.by_id)

    @cached_property
    def by_id(self) -> dict[str, ModelInput]:
        """The inputs by their ids."""
        return {item.id: item for item in self.items}

    @cached_property
    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The shape of the feature of each input; the model runs once for each size of inputs."""
        loaded = self.split.loaded
        lengths = {item.id: loaded.length(item) for item in self.items}
        firsts = {lengths[item.id]: item for item in reversed(self.items)}
        found = {length: tuple(self.split.features(loaded.inputs([item])).shape) for length, item in firsts.items()}
        return {sample: {self.split.feature: found[length]} for sample, length in lengths.items()}

    def config(self) -> dict[str, Any]:
        """Return the model with its head, the block and the inputs by a digest."""
        run = BlockSource([], self.split.loaded, (self.split.block,)).run_config()
        return {
            **{key: run[key] for key in ("model", "processor", "dtype")},
            "weights": weights_digest([self.split.loaded.model]),
            "block": self.split.block,
            "inputs": inputs_digest(self.items),
            **self.settings,
        }

    @torch.no_grad()
    def prepare(self, progress: Callable[[int], None]) -> None:
        """Run the unbroken model on all inputs."""
        self._kept: dict[str, Tensor] = {}
        size = 0
        for names in self.batches():
            answers = self.split.answer(self.inputs(names))
            size += answers.nbytes
            if size <= _MOST_BYTES_OF_ANSWERS:
                self._kept |= zip(names, answers, strict=True)
            progress(len(names))

    def unbroken(self, names: Sequence[str]) -> Tensor:
        """Return the answers of the unbroken model to a batch of inputs."""
        if all(name in self._kept for name in names):
            return torch.stack([self._kept[name] for name in names])
        return self.split.answer(self.inputs(names))

    def batches(self) -> Iterator[list[str]]:
        """Yield the ids of inputs of one size."""
        return ([item.id for item in group] for group in self.split.batches(self.items, self.batch))

    def inputs(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Prepare a batch for the model."""
        return self.split.loaded.inputs([self.by_id[name] for name in names])

    def batched(self, samples: Sequence[Features]) -> Tensor:
        """Return the features of a batch, on the model's device and in its dtype."""
        own = next(self.split.loaded.model.parameters())
        return torch.cat([sample[self.split.feature] for sample in samples]).to(own)

    def tally(self) -> Tally:
        """Return an empty tally."""
        return HeadTally(self) if self.split.loaded.has_head else StateTally(self)


@dataclass
class HeadTally:
    """The answers of a head to the decoded features of one store at one rate."""

    rest: EncoderModel
    sums: AnswerSums = field(init=False, default_factory=AnswerSums)
    right: int = field(init=False, default=0)
    unbroken_right: int = field(init=False, default=0)

    @torch.no_grad()
    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Run the rest of the model on the decoded features of a batch."""
        wanted = self.rest.unbroken(names)
        found = self.rest.split.answer(self.rest.inputs(names), self.rest.batched(samples))
        self.sums.compare(*(answer.float().flatten(0, -2).log_softmax(-1) for answer in (wanted, found)))
        if self.rest.labels:
            labels = torch.tensor([self.rest.labels[name] for name in names], device=found.device)
            self.right += int((found.argmax(-1) == labels).sum())
            self.unbroken_right += int((wanted.argmax(-1) == labels).sum())

    def values(self) -> dict[str, float]:
        """Return divergence and agreement, and accuracy where classes are known."""
        values = {"kl": self.sums.kl, "top1": self.sums.top1, "positions": self.sums.positions}
        if not self.rest.labels:
            return values
        right = {"accuracy": self.right, f"{UNBROKEN}accuracy": self.unbroken_right}
        return values | {name: count / self.sums.positions for name, count in right.items()}


@dataclass
class StateTally:
    """The final states of an encoder after the decoded features of one store at one rate."""

    rest: EncoderModel
    sums: ErrorSums = field(init=False, default_factory=ErrorSums)
    cosines: float = field(init=False, default=0.0)
    tokens: int = field(init=False, default=0)

    @torch.no_grad()
    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Run the rest of the model on the decoded features of a batch."""
        split, wanted = self.rest.split, self.rest.unbroken(names)
        found = split.answer(self.rest.inputs(names), self.rest.batched(samples))
        self.sums.compare(wanted, found)
        cosines = torch.cosine_similarity(wanted.double(), found.double(), split.channel_axis)
        self.cosines += float(cosines.sum())
        self.tokens += cosines.numel()

    def values(self) -> dict[str, float]:
        """Return the relative squared error, and the mean cosine of tokens or positions."""
        return {
            "state_error": self.sums.relative,
            "state_cosine": self.cosines / self.tokens,
            "positions": self.tokens,
        }

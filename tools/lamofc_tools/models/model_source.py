"""The base of sources that run a model on inputs; they can be read again, in another order, or in part."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from lamofc_store import Sample
from lamofc_store.errors import StoreError
from lamofc_store.sources import UnreadableSample, spread_order
from lamofc_tools.models.inputs import ModelInput

_POOLER = "pooler."
"""Prefix of weights behind the final states, which transformers draws anew where a checkpoint lacks them."""
_VALUES_PER_TENSOR = 1024
"""Number of evenly spaced values of each tensor that a digest of weights covers."""


@dataclass(frozen=True)
class ModelSource:
    """A source that makes each sample by running a model on an input. A subclass supplies the model."""

    items: Sequence[ModelInput]
    location: str | None = field(default=None, kw_only=True)
    """Folder or file in which the inputs were found, if they come from one."""

    @property
    def reiterable(self) -> bool:
        """True, because samples can be extracted again."""
        return True

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for batch in self.batches() for sample in self.extract(batch))

    def attempts(self) -> Iterator[Sample | UnreadableSample]:
        """Yield the samples, and an `UnreadableSample` in place of each input that the model cannot take."""
        return (sample for batch in self.batches() for sample in self._attempts(batch))

    def _attempts(self, batch: Sequence[ModelInput]) -> Iterator[Sample | UnreadableSample]:
        """Extract a batch; if it fails, extract its inputs one by one to find the one that fails."""
        try:
            yield from self.extract(batch)
        except StoreError as error:
            if len(batch) == 1:
                yield UnreadableSample(batch[0].id, str(batch[0].path), error)
                return
            for item in batch:
                yield from self._attempts([item])

    def batches(self) -> Iterator[list[ModelInput]]:
        """Yield batches of inputs that go through the model together; by default each input alone."""
        return ([item] for item in self.items)

    @abstractmethod
    def extract(self, batch: Sequence[ModelInput]) -> Sequence[Sample]:
        """Run the model on a batch and return its samples; SourceError if the model cannot take an input."""

    @abstractmethod
    def describe(self) -> str:
        """Describe the inputs and the model in one line."""

    @property
    @abstractmethod
    def features(self) -> list[str]:
        """Names of the features that every sample has."""

    @abstractmethod
    def run_config(self) -> dict[str, Any]:
        """Return the configuration of a run: `model`, `features`, and all that the features' values depend on."""

    def attributes(self, item: ModelInput) -> dict[str, Any]:
        """Return the columns of an input's sample."""
        return item.attributes

    def spread(self) -> Self:
        """Return the source in an order whose every prefix is spread over all inputs, as a fit needs it."""
        return replace(self, items=[self.items[place] for place in spread_order(len(self.items))])

    def without(self, done: set[str]) -> Self:
        """Return the source without the inputs of these ids."""
        return replace(self, items=[item for item in self.items if item.id not in done])


def short_name(model: str) -> str:
    """Return the last part of a model's name, of a folder its name on disk also where it is given as `.` or `..`."""
    return Path(os.path.abspath(model)).name  # noqa: PTH100 - a link keeps its name


def weights_digest(modules: Iterable[nn.Module], dtype: torch.dtype | None = None) -> str:
    """Return a digest of names, shapes, dtypes and some values of weights but poolers, by which models differ.

    With `dtype`, values are rounded to it first: the same weights in a wider dtype then have the same digest.
    """
    digest = hashlib.sha256()
    for module in modules:
        weights = {name: tensor for name, tensor in module.state_dict().items() if not name.startswith(_POOLER)}
        for name, tensor in weights.items():
            values = tensor.flatten()[:: max(1, tensor.numel() // _VALUES_PER_TENSOR)]
            values = values.to(dtype) if dtype is not None and values.is_floating_point() else values
            digest.update(f"{name} {list(tensor.shape)} {values.dtype}".encode())
            digest.update(values.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]

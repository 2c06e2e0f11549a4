"""Samples of a store with the features that a head reads and the target that it predicts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lamofc_store import FeatureDataset, FeatureLoader, Pool, Quality, Store
from lamofc_store.errors import BadArgument, Hint, NotFound
from lamofc_tools.heads.contract.token_maps import tokens_and_mask


@dataclass(frozen=True)
class TrainingSet:
    """Inputs and target of a head, to train on or to evaluate on."""

    dataset: FeatureDataset
    inputs: tuple[str, ...]
    target: str
    """A column of the samples, or a feature: a map of labels or of depths."""
    names: tuple[str, ...] = ()
    """Names of the classes, if the column holds text."""

    @classmethod
    def of(
        cls,
        store: Store,
        inputs: Sequence[str],
        target: str,
        *,
        where: str | None = None,
        quality: Quality | None = None,
        names: Sequence[str] = (),
    ) -> "TrainingSet":
        """Select samples of a store, read whole or at one quality.

        `names` keeps the numbers of the classes equal to those of another set, which need not contain the same classes.
        """
        columns, features = store.sql("FROM samples LIMIT 0").columns, store.features
        if target not in (*features, *columns):
            raise NotFound(
                f"there is no column and no feature {target!r}; columns: {', '.join(columns)}",
                f"name one of these, or add it: lamofc annotate {store.url} TABLE",
            )
        if target in features:
            dataset = store.dataset([*inputs, target], where=where, quality=quality)
        else:
            dataset = store.dataset(list(inputs), target, where, quality=quality)
        values = dataset.targets.get(target, [])
        missing = [sample for sample, value in zip(dataset.samples, values, strict=False) if value is None]
        if missing:
            raise BadArgument(
                f"sample {missing[0]!r} has no {target!r}",
                Hint(f"give [where] '{target} IS NOT NULL', or add the value by lamofc annotate"),
            )
        if not names and any(isinstance(value, str) for value in values):
            names = sorted({str(value) for value in values})
        return cls(dataset, tuple(inputs), target, tuple(names))

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def bpfp(self) -> float:
        """Bits per element that are read of the inputs."""
        return self.dataset.bpfp(self.inputs)

    def classes(self) -> int:
        """Count the classes of a column."""
        values = self.dataset.targets.get(self.target)
        if values is None:
            raise BadArgument(f"how many classes has the feature {self.target!r}?", Hint("give [classes] 150"))
        if self.names:
            return len(self.names)
        if not all(isinstance(value, int) and value >= 0 for value in values):
            raise BadArgument(f"{self.target!r} holds {values[0]!r}: no class", "classes are numbers from 0, or text")
        return max(values, default=0) + 1

    def widths(self) -> list[int]:
        """Return the number of channels of each input."""
        if not len(self):
            raise BadArgument(
                f"no sample to train on has {', '.join(self.inputs)} and {self.target}",
                Hint("widen [where], or name features that all samples have"),
            )
        first = self.dataset[0]
        return [tokens_and_mask(first[name][None])[0].shape[-1] for name in self.inputs]

    def pooled(self, pool: Pool) -> "TrainingSet":
        """Return the same samples with inputs that are pooled while they are decoded."""
        return replace(self, dataset=self.dataset.pooled(pool, self.inputs))

    def batches(self, loader: FeatureLoader) -> Iterator[tuple[list[Any], Tensor]]:
        """Yield the inputs of each batch, in their order, and its targets."""
        numbers = {name: number for number, name in enumerate(self.names)}
        for batch in loader:
            target = batch[self.target]
            if self.names:
                target = torch.tensor([self._number(numbers, text) for text in target], device=loader.device)
            if not isinstance(target, Tensor):
                raise BadArgument(
                    f"targets {self.target!r} differ in shape", Hint("use maps of one size, or give [batch] 1")
                )
            yield [batch[name] for name in self.inputs], target

    def _number(self, numbers: dict[str, int], text: str) -> int:
        if text not in numbers:
            raise BadArgument(
                f"{self.target} {text!r} is none of the classes that the head was trained on", "train the head again"
            )
        return numbers[text]

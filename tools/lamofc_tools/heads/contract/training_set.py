"""What is learned from: features of a store, what they are to tell, and of which samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lamofc_store import FeatureDataset, FeatureLoader, Pool, Quality, Store
from lamofc_store.errors import BadArgument, NotFound
from lamofc_tools.heads.contract.token_maps import tokens_of


@dataclass(frozen=True)
class TrainingSet:
    """Inputs and the target of a head, read from a dataset."""

    dataset: FeatureDataset
    inputs: tuple[str, ...]
    target: str
    """A column of the samples, or a feature: a map of labels, or of depths."""
    names: tuple[str, ...] = ()
    """Of the classes, where the column is of texts."""

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
        """Of a store at one rate on read."""
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
                f"sample {missing[0]!r} has no {target!r}", f"--where '{target} IS NOT NULL', or lamofc annotate"
            )
        if not names and any(isinstance(value, str) for value in values):
            names = sorted({str(value) for value in values})
        return cls(dataset, tuple(inputs), target, tuple(names))

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def rate(self) -> float:
        """Bits of an element of the inputs, as they are read."""
        return self.dataset.bpfp(self.inputs)

    def classes(self) -> int:
        """How many classes a column has."""
        values = self.dataset.targets.get(self.target)
        if values is None:
            raise BadArgument(f"how many classes has the feature {self.target!r}?", "--classes 150")
        if self.names:
            return len(self.names)
        if not all(isinstance(value, int) and value >= 0 for value in values):
            raise BadArgument(f"{self.target!r} holds {values[0]!r}: no class", "numbers from 0, or texts")
        return max(values, default=0) + 1

    def widths(self) -> list[int]:
        """Channels of each input."""
        if not len(self):
            raise BadArgument("there is no sample to train on", "widen --where, or name features that all samples have")
        first = self.dataset[0]
        return [tokens_of(first[name][None])[0].shape[-1] for name in self.inputs]

    def pooled(self, pool: Pool) -> "TrainingSet":
        """The same with inputs that are read as pooled vectors."""
        return replace(self, dataset=self.dataset.pooled(pool, self.inputs))

    def batches(self, loader: FeatureLoader) -> Iterator[tuple[list[Any], Tensor]]:
        """Inputs in their order, and targets."""
        numbers = {name: number for number, name in enumerate(self.names)}
        for batch in loader:
            target = batch[self.target]
            if self.names:
                target = torch.tensor([self._number(numbers, text) for text in target], device=loader.device)
            if not isinstance(target, Tensor):
                raise BadArgument(f"targets {self.target!r} differ in shape", "maps of one size, or --batch 1")
            yield [batch[name] for name in self.inputs], target

    def _number(self, numbers: dict[str, int], text: str) -> int:
        if text not in numbers:
            raise BadArgument(f"{self.target} {text!r} was not there when the head was trained", "train it again")
        return numbers[text]

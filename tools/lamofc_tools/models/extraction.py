"""All items of a folder through a model, as a source of samples that an ingest can read, again and from any place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lamofc_store import Sample
from lamofc_store.errors import SourceError
from lamofc_tools.models.activations import take
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.loaded_model import LoadedModel
from lamofc_tools.models.model_source import ModelSource, weights_of
from lamofc_tools.models.registry import Kind

_WINDOW = 64
"""Batches of texts or sounds that wait for others of their length: a batch is of one, so that none is padded."""


@dataclass(frozen=True)
class Extraction(ModelSource):
    """Samples in the order of their items, or nearly."""

    opened: LoadedModel
    blocks: tuple[int, ...]
    """Counted from zero."""
    caches: bool = True
    batch: int = 8

    def samples(self, given: Sequence[Given]) -> Sequence[Sample]:
        """What stands behind the blocks."""
        return take(self.opened, given, self.blocks, caches=self.caches)

    def describe(self) -> str:
        """What runs through what."""
        return f"{len(self)} items through {self.opened.name}, blocks {', '.join(map(str, self.blocks))} from zero"

    @property
    def features(self) -> list[str]:
        """The names of what comes of an item."""
        outputs = [self.opened.feature(block) for block in self.blocks]
        if not (self.opened.kind.reads and self.caches):
            return outputs
        kept = ("ssm_state", "conv_state") if self.opened.kind is Kind.MAMBA else ("k_cache", "v_cache")
        return outputs + [f"layer.{block}.{name}" for block in range(max(self.blocks) + 1) for name in kept]

    def told(self) -> dict[str, Any]:
        """What a run's config says."""
        return {
            "model": self.opened.name,
            "model_type": self.opened.config.model_type,
            "blocks_from_zero": list(self.blocks),
            "layers_from_one": [block + 1 for block in self.blocks],
            "features": self.features,
            "weights": weights_of([self.opened.model]),
            "processor": self.opened.prepares(),
            "dtype": str(next(self.opened.model.parameters()).dtype).removeprefix("torch."),
        }

    def batches(self) -> Iterator[list[Given]]:
        """Items of one length; one that has none comes by itself."""
        window = self.batch * _WINDOW
        for start in range(0, len(self.items), window):
            alike: dict[int, list[Given]] = {}
            for one in self.items[start : start + window]:
                try:
                    length = self.opened.length(one)
                except SourceError:
                    yield [one]
                    continue
                alike.setdefault(length, []).append(one)
                if len(alike[length]) == self.batch:
                    yield alike.pop(length)
            yield from alike.values()

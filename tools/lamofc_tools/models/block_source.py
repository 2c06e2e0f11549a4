"""Samples with the features after blocks of a model of transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lamofc_store import Sample
from lamofc_store.errors import SourceError
from lamofc_store.exporting import Script, nest_for
from lamofc_tools.models.activations import extract_features
from lamofc_tools.models.inputs import ModelInput, image_views
from lamofc_tools.models.loaded_model import LoadedModel
from lamofc_tools.models.model_source import ModelSource, weights_digest

_BATCHES_PER_WINDOW = 64
"""Number of batches whose inputs are grouped by length at a time.

A larger window delays the first samples; a smaller one leaves more batches incomplete.
"""


@dataclass(frozen=True)
class BlockSource(ModelSource):
    """A source with the outputs of a model's blocks. Batches of equal length may change the order of the inputs."""

    loaded: LoadedModel
    blocks: tuple[int, ...]
    """Numbers of the blocks, counted from zero."""
    caches: bool = True
    """Whether samples have the tensors that blocks keep for later tokens, if the model has any."""
    batch: int = 8
    script: Script | None = None
    """The evaluation script as which images are cut into views, and features nested; one image a batch."""

    def extract(self, batch: Sequence[ModelInput]) -> Sequence[Sample]:
        """Return the features after the blocks."""
        views = None if self.script is None else image_views(self.script.name)
        samples = extract_features(self.loaded, batch, self.blocks, caches=self.caches, views=views)
        return samples if self.script is None else [_nested_for(self.script, sample) for sample in samples]

    def describe(self) -> str:
        """Describe the inputs and the model in one line."""
        return f"{len(self)} items through {self.loaded.name}, blocks {', '.join(map(str, self.blocks))} from zero"

    @property
    def features(self) -> list[str]:
        """Names of the features that every sample has."""
        outputs = [self.loaded.output_name(block) for block in self.blocks]
        cache = self.loaded.kind.cache
        if cache is None or not self.caches:
            return outputs
        blocks = range(max(self.blocks) + 1)
        return outputs + [f"layer.{block}.{state.feature}" for block in blocks for state in cache.states]

    def run_config(self) -> dict[str, Any]:
        """Return the configuration of a run."""
        return {
            "model": self.loaded.name,
            "model_type": self.loaded.config.model_type,
            "blocks_from_zero": list(self.blocks),
            "layers_from_one": [block + 1 for block in self.blocks],
            "features": self.features,
            "weights": weights_digest([self.loaded.body]),
            "processor": self.loaded.preprocessing_digest() + ("" if self.script is None else f" {self.script.name}"),
            "dtype": str(next(self.loaded.model.parameters()).dtype).removeprefix("torch."),
        }

    def batches(self) -> Iterator[list[ModelInput]]:
        """Yield batches of inputs of equal length, since padding would change the features."""
        if self.script is not None:
            yield from super().batches()
            return
        window = self.batch * _BATCHES_PER_WINDOW
        for start in range(0, len(self.items), window):
            by_length: dict[int, list[ModelInput]] = {}
            for item in self.items[start : start + window]:
                try:
                    length = self.loaded.length(item)
                except SourceError:
                    yield [item]  # a batch of its own, so that the error names this input alone
                    continue
                by_length.setdefault(length, []).append(item)
                if len(by_length[length]) == self.batch:
                    yield by_length.pop(length)
            yield from by_length.values()


def _nested_for(script: Script, sample: Sample) -> Sample:
    """Return a sample with the nesting that a script reads."""
    return replace(sample, structure=nest_for(script, sample.structure, sample.features, measured=False).structure)

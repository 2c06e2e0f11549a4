"""Weights for a fit: what errors of each feature count for in the eyes of heads."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from lamofc_store import Sample
from lamofc_store.errors import BadArgument
from lamofc_tools.heads.sensitivity import joined, sensitivity
from lamofc_tools.heads.serialisation import load

SAMPLES = 64
"""Of a source, by which heads are asked what they look at."""


def weights_for(files: Iterable[str], source: Iterable[Sample]) -> dict[str, Tensor]:
    """By feature, for the features that any of the heads sees."""
    found: dict[str, list[Tensor]] = {}
    for file in files:
        head, told = load(Path(file))
        inputs: list[str] = told["inputs"]
        batches = list(islice(_batches(source, inputs), SAMPLES))
        if not batches:
            raise BadArgument(
                f"{file} sees {', '.join(inputs)}: no sample of the source has them all", "take them in, too: --feature"
            )
        for feature, one in zip(inputs, sensitivity(head, batches), strict=True):
            found.setdefault(feature, []).append(one)
    return {feature: joined(several) for feature, several in found.items()}


def _batches(source: Iterable[Sample], inputs: list[str]) -> Iterator[list[Any]]:
    for sample in source:
        if all(name in sample.features for name in inputs):
            yield [sample.features[name][None] for name in inputs]

"""Error weights for a fit, from the sensitivities of heads to the features that they read."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from lamofc_store import Sample
from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.heads.jacobian import combined_weights, sensitivity
from lamofc_tools.heads.serialisation import load

SAMPLES = 64
"""Samples of a source on which the sensitivity of a head is measured."""


def weights_for_heads(files: Iterable[str], source: Iterable[Sample]) -> dict[str, Tensor]:
    """Return the error weights of each feature that any of the heads reads."""
    sensitivities: dict[str, list[Tensor]] = {}
    for file in files:
        head, provenance = load(Path(file))
        inputs: list[str] = provenance["inputs"]
        batches = list(islice(_batches(source, inputs), SAMPLES))
        if not batches:
            raise BadArgument(
                f"{file} reads {', '.join(inputs)}: no sample of the source has them all",
                Hint("give [features] so that they are taken, too"),
            )
        for feature, matrix in zip(inputs, sensitivity(head, batches), strict=True):
            sensitivities.setdefault(feature, []).append(matrix)
    return {feature: combined_weights(matrices) for feature, matrices in sensitivities.items()}


def _batches(source: Iterable[Sample], inputs: list[str]) -> Iterator[list[Any]]:
    for sample in source:
        if all(name in sample.features for name in inputs):
            yield [sample.features[name][None] for name in inputs]

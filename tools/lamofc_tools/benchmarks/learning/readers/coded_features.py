"""Features as a store gives them back after a codec, with the bits that they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality
from lamofc_store import Sample
from lamofc_tools.comparison import spread_profile
from lamofc_tools.consumer import Consumer, ModelMetric
from lamofc_tools.models import Features


@dataclass(frozen=True)
class CodedFeatures:
    """Decoded features of each sample by its id, each in its own shape."""

    decoded: Mapping[str, Features]
    bits: float
    """Bits per element, whole records."""
    profile_bits: float
    """Bits per element of what was fitted, spread over 10 000 samples."""


def fit_profile(
    samples: Sequence[Sample], codec: str, quality: Quality, metric: ModelMetric | None = None, **options: Any
) -> Profile:
    """Fit a codec to the one feature of some samples, by a metric for its consumer."""
    weights = {} if metric is None else Consumer.of_metric(metric).codec_options()
    (profile,) = lamofc.fit_profiles(
        samples, codec, quality, fit_samples=len(samples), codec_options={**weights, **options}
    ).values()
    return profile


def code_features(samples: Sequence[Sample], profile: Profile, quality: Quality) -> CodedFeatures:
    """Store the one feature of some samples, small ones several to a record, and read it back."""
    (feature,) = samples[0].features
    with TemporaryDirectory() as folder, lamofc.open(str(Path(folder) / "store"), "a") as store:
        store.ingest(list(samples), profile.codec, quality, profile=profile)
        dataset = store.dataset([feature])
        names = [sample.id for sample in samples]
        examples = dataset.__getitems__(dataset.locate(names))
        decoded = {name: {feature: example[feature]} for name, example in zip(names, examples, strict=True)}
        return CodedFeatures(decoded, dataset.bpfp(), profile_bits(samples, len(profile.data)))


def profile_bits(samples: Sequence[Sample], size: int) -> float:
    """Return the bits per element of so many bytes, spread over 10 000 samples."""
    elements = sum(value.numel() for sample in samples for value in sample.features.values())
    return spread_profile(size, elements / len(samples))

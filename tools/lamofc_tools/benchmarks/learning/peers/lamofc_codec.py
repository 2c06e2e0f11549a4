"""This project's codecs, each feature by itself at one quality, as a store codes features whose names say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

import lamofc_codecs
from lamofc_codecs import Profile, Quality
from lamofc_tools.benchmarks.learning.peers.feature_coder import FeatureCoder, ModelFacts, Sample


class LamofcCodec(FeatureCoder):
    """A codec of this project."""

    def __init__(self, codec: str, quality: Quality | None = None) -> None:
        self.codec, self.quality = codec, quality
        self.setting = "-" if quality is None else str(quality)

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Fit a profile to each feature."""
        super().fit(samples, facts)
        self._profiles: dict[str, Profile] = {
            name: lamofc_codecs.fit(self.codec, [sample[name] for sample in samples], self.quality)
            for name in self.widths
        }
        self.profile_bytes = sum(len(profile.data) for profile in self._profiles.values())

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Code each feature to a record."""
        return {
            name: lamofc_codecs.encode([value], self._profiles[name], quality=self.quality)[0].data
            for name, value in sample.items()
        }

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Decode each record."""
        return {name: lamofc_codecs.decode([data], self._profiles[name])[0].float() for name, data in record.items()}

"""`klt` for the model that reads: one group of all features, positions undone, errors weighed by the model's metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

from torch import Tensor

import lamofc_codecs
from lamofc_codecs import Guide, Profile, Quality
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, CACHES, FeatureCoder, ModelFacts, Sample
from lamofc_tools.consumer import USUAL_KL, Consumer


@dataclass
class OneFit:
    """The profile of a group, fitted once for all qualities."""

    codec: ClassVar[str] = "klt for model"
    quality: ClassVar[Quality] = USUAL_KL
    only_caches: bool = False
    profile: Profile | None = None

    def names(self, sample: Iterable[str]) -> list[str]:
        """Return the features of the group."""
        return sorted(name for name in sample if "cache" in name or not self.only_caches)

    def profile_for(self, samples: Sequence[Sample], facts: ModelFacts) -> Profile:
        """Fit at the first call."""
        if self.profile is None:
            names = self.names(samples[0])
            group = [{name: sample[name] for name in names} for sample in samples]
            self.profile = self.fitted(group, facts)
        return self.profile

    def fitted(self, group: Sequence[Sample], facts: ModelFacts) -> Profile:
        """Fit to the samples of the group."""
        options = self.options(group, facts)
        return lamofc_codecs.fit("klt", group, self.quality, features=list(group[0]), **options)

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options of the fit: those that an ingest for the model has."""
        return Consumer.of_metric(facts.metric()).codec_options()


class KltForModel(FeatureCoder):
    """All features of a text in one record, or all keys and values."""

    profile: Profile

    def __init__(self, quality: Quality, one_fit: OneFit) -> None:
        self.codec, self.setting = one_fit.codec, str(quality)
        self.quality, self._one_fit = quality, one_fit
        self.scopes = (CACHES if one_fit.only_caches else ALL,)

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Take the weights and the rotary positions from the facts about the model."""
        super().fit(samples, facts)
        self.profile = self._one_fit.profile_for(samples, facts)
        self.profile_bytes = len(self.profile.data)

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Write one record."""
        group = {name: sample[name] for name in self._one_fit.names(sample)}
        (record,) = lamofc_codecs.encode([group], self.profile, quality=self.quality)
        return {self.scopes[0]: record.data}

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Read its parts."""
        parts = lamofc_codecs.decode([record[self.scopes[0]]], self.profile)
        return {name: part.float() for name, part in zip(self._one_fit.names(self.widths), parts, strict=True)}


class KltByReplay(KltForModel):
    """The same, each text at a rate of its own, at which the divergence is measured.

    With `gains`, tokens of a text have steps of their own; `guided`, it is rounded by the gradient of the answers, too.
    """

    def __init__(self, quality: Quality, one_fit: OneFit, *, gains: bool = False, guided: bool = False) -> None:
        super().__init__(quality, one_fit)
        self.codec = "klt guided" if guided else "klt with gains" if gains else "klt by replay"
        self._guided, self._gains = guided, gains or guided

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Write one record; the model continues the text by itself, not as it is measured on."""
        if self.facts.replay is None:
            raise BadArgument("a coder by replay without a model", "give the replay of one")
        names, replayed = self._one_fit.names(sample), self.facts.replay(sample)
        steps, draws = count(), count()

        def named(parts: Sequence[Tensor]) -> dict[str, Tensor]:
            return {name: part.float() for name, part in zip(names, parts, strict=True)}

        def listed(gradient: Mapping[str, Tensor]) -> list[Tensor]:
            return [gradient[name] for name in names]

        guide = Guide(lambda parts: listed(replayed.gradient(named(parts), next(steps))))
        record, _ = lamofc_codecs.encode_measured(
            {name: sample[name] for name in names},
            self.profile,
            self.quality,
            lambda parts: replayed.divergence(named(parts)),
            guide=guide if self._guided else None,
            draw=(lambda: listed(replayed.draw(next(draws)))) if self._gains else None,
        )
        return {self.scopes[0]: record.data}

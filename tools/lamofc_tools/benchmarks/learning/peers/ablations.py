"""`klt` for the model that reads with one step of its coding left out, which shows how many bits the step saves.

Those that know errors in nats are asked for divergences, the others for signal-to-noise ratios: compare them at the
divergence that is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

import lamofc_codecs
from lamofc_codecs import Profile, Quality, Rotary
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, FeatureCoder, ModelFacts, Sample
from lamofc_tools.benchmarks.learning.peers.klt_for_model import KltForModel, OneFit
from lamofc_tools.consumer import USUAL_KL, Consumer, ModelMetric

_DIVERGENCES = (0.2, 0.1, 0.05, 0.02, 0.01)
_DIVERGENCES_APART = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02)
"""Rates of features by themselves, whose small ones cost less divergence than is asked for."""
_RATIOS_OF_EQUAL_FEATURES = (10, 15, 20, 25)
_RATIOS_OF_PLAIN_ERRORS = (15, 20, 25, 30)
_STILL = Rotary((0.0,))
"""A rotation by nothing: first tokens that texts share are looked for only where there are positions or a group."""


def ablations() -> list[FeatureCoder]:
    """Return the coders, a step left out of each, not fitted yet."""
    in_nats: list[OneFit] = [NoRotation(), NoFirstTokens(), NoSinks(), NoCalibration(), NoCodebook()]
    apart, equal, plain = OneFitEach(), NoScales(), NoWeights()
    return [
        *(KltForModel(Quality(kl=kl), fit) for fit in in_nats for kl in _DIVERGENCES),
        *(KltApart(kl, apart) for kl in _DIVERGENCES_APART),
        *(KltForModel(Quality(snr_db=ratio), equal) for ratio in _RATIOS_OF_EQUAL_FEATURES),
        *(KltForModel(Quality(snr_db=ratio), plain) for ratio in _RATIOS_OF_PLAIN_ERRORS),
    ]


class NoRotation(OneFit):
    """Keys stay rotated, and their weights are those of rotated keys."""

    codec = "ablation: rotation"

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options for a metric of keys as they are cached."""
        tokens = max(len(value) for sample in group for value in sample.values())
        consumer = Consumer.of_metric(_of_rotated_keys(facts.metric(), tokens))
        return {**consumer.codec_options(), "sinks": True}


def _of_rotated_keys(metric: ModelMetric, tokens: int) -> ModelMetric:
    """Return the metric of keys with their rotation: the mean over so many positions."""
    matrices = dict(metric.matrices)
    for name, rotary in metric.rotary.items():
        root = metric.weights(0)[name]
        turned = rotary.turned(root[:, None].expand(-1, tokens, -1)).flatten(0, 1)
        matrices[name] = (turned.T @ turned / tokens).float()
    return replace(metric, matrices=matrices, rotary={})


class NoWeights(OneFit):
    """Plain squared error, the same for all features."""

    codec = "ablation: weights"
    quality = Quality(snr_db=25)

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the rotation, and weights of 1, without which a group's features are weighed to count alike."""
        rotary = {name: turn for name, turn in facts.rotary.items() if name in group[0]}
        ones = {name: torch.ones(value.shape[1]) for name, value in group[0].items()}
        return {"weight": ones, "rotary": rotary, "sinks": True}


class NoScales(OneFit):
    """Weights of each feature are normalised by themselves, so that all features have one signal-to-noise ratio."""

    codec = "ablation: scales"
    quality = Quality(snr_db=20)

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options for a metric by which the tokens of each feature, but the first ones, weigh the same."""
        metric = facts.metric()
        for name in group[0]:
            tokens = torch.cat([_without_position(sample[name], metric.rotary.get(name))[1:] for sample in group])
            signal = metric.divergence({name: (tokens - tokens.mean(0)).double()}) / tokens.shape[1]
            metric = metric.scaled(1 / signal, [name])
        options = Consumer.of_metric(metric).codec_options()
        del options["weight_nats"]
        return options


def _without_position(value: Tensor, rotary: Rotary | None) -> Tensor:
    return value if rotary is None else rotary.turned(value, back=True)


class NoFirstTokens(OneFit):
    """The profile holds no tokens that all texts begin with, as it is fitted to texts without their first ones."""

    codec = "ablation: first tokens"

    def fitted(self, group: Sequence[Sample], facts: ModelFacts) -> Profile:
        """Fit to what follows the first token of each text."""
        rest = [{name: value[1:] for name, value in sample.items()} for sample in group]
        options = self.options(group, facts)
        places = [1] * len(rest)
        return lamofc_codecs.fit("klt", rest, self.quality, features=list(rest[0]), first_positions=places, **options)


class NoSinks(OneFit):
    """Tokens of massive energy, but those that the profile holds, have the step of all others."""

    codec = "ablation: sinks"

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options of a fit that does not look for sinks."""
        return {**super().options(group, facts), "sinks": False}


class NoCalibration(OneFit):
    """The metric is that of the Fisher matrices alone."""

    codec = "ablation: calibration"

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options for the metric without calibration."""
        return Consumer.of_metric(facts.metric(calibrated=False)).codec_options()


class NoCodebook(OneFit):
    """There are no typical tokens."""

    codec = "ablation: codebook"

    def options(self, group: Sequence[Sample], facts: ModelFacts) -> dict[str, Any]:
        """Return the options without a codebook."""
        return {**super().options(group, facts), "means": 0}


@dataclass
class OneFitEach:
    """The profiles of the features, each fitted once by itself."""

    codec: ClassVar[str] = "ablation: group"
    profiles: Mapping[str, Profile] | None = None

    def profiles_for(self, samples: Sequence[Sample], facts: ModelFacts) -> Mapping[str, Profile]:
        """Fit at the first call."""
        if self.profiles is None:
            options = Consumer.of_metric(facts.metric()).codec_options()
            rotary = {name: facts.metric().rotary.get(name, _STILL) for name in samples[0]}
            options |= {"rotary": rotary}
            self.profiles = {
                name: lamofc_codecs.fit("klt", [s[name] for s in samples], USUAL_KL, features=[name], **options)
                for name in samples[0]
            }
        return self.profiles


class KltApart(FeatureCoder):
    """Each feature in a record of its own, all with the step that this divergence takes at a high rate."""

    scopes = (ALL,)

    def __init__(self, kl: float, one_fit: OneFitEach) -> None:
        self.codec, self.setting = one_fit.codec, f"step of kl={kl:g}"
        self._kl, self._one_fit = kl, one_fit

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Fit each feature, and find the step in the units of each."""
        super().fit(samples, facts)
        self._profiles = self._one_fit.profiles_for(samples, facts)
        self.profile_bytes = sum(len(profile.data) for profile in self._profiles.values())
        error = 12 * self._kl / sum(self.widths.values())
        self._steps = {
            name: Quality(step=(error / profile.config["nats"]) ** 0.5) for name, profile in self._profiles.items()
        }

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Code each feature."""
        return {
            name: lamofc_codecs.encode([value], self._profiles[name], quality=self._steps[name])[0].data
            for name, value in sample.items()
        }

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Decode each feature."""
        return {name: lamofc_codecs.decode([data], self._profiles[name])[0].float() for name, data in record.items()}

"""Calibration of a Fisher metric: divergence as it is measured after coding, over the divergence that was foretold.

A Fisher matrix foretells errors that are small and independent of each other. A codec's errors are neither, and the
matrix is an estimate from few texts. So texts that were held out are coded by the metric, and the rest of the model
says what that does to its answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import lamofc_codecs
from lamofc_codecs import OutOfReach, Profile, Quality
from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout, to_tokens
from lamofc_tools.consumer.decoder import Split
from lamofc_tools.consumer.metric import ModelMetric
from lamofc_tools.consumer.replay import UnbrokenText
from lamofc_tools.models import Features

_DIVERGENCES = (0.02, 0.1)
"""Divergences that are asked for where the whole metric is calibrated, in nats."""
_DIVERGENCE_OF_PARTS = 0.05
"""The same where the hidden state and the caches are compared."""
_DOUBLINGS = 8
"""Most times that a divergence is doubled which a profile does not reach."""
_CACHE_FACTOR = 2.0
"""Factor of what errors of caches count: every further token reads them, also those beyond the measured ones."""


@dataclass(frozen=True)
class MetricCalibration:
    """Texts to learn a codec from, and texts held out: features of a prefix, and token ids of it and what follows."""

    split: Split
    learned: Sequence[tuple[Features, Tensor]]
    held_out: Sequence[tuple[Features, Tensor]]

    @torch.no_grad()
    def calibrated(self, metric: ModelMetric) -> ModelMetric:
        """Return the metric times the ratio of measured to foretold divergence.

        The hidden state and the caches have ratios of their own: the one is felt by all answers, the others by the
        continuation alone. Then caches get a factor, and a third ratio is that of all errors together.
        """
        names = sorted(metric.matrices)
        caches = [name for name in names if name != self.split.output]
        if caches:
            profile = self._profile(metric)
            decoded, _ = self._coded(profile, metric, _DIVERGENCE_OF_PARTS)
            ratios = [self._ratio_of_part(metric, decoded, part) for part in ([self.split.output], caches)]
            metric = metric.scaled(ratios[0], [self.split.output]).scaled(ratios[1] * _CACHE_FACTOR, caches)
        profile, logs = self._profile(metric), []
        for divergence in _DIVERGENCES:
            decoded, reached = self._coded(profile, metric, divergence)
            logs.append(_log(self._measured(decoded) / reached))
        return metric.scaled(math.exp(sum(logs) / len(logs)), names)

    def _ratio_of_part(self, metric: ModelMetric, decoded: Sequence[Features], part: Sequence[str]) -> float:
        """Return measured over foretold divergence where some features are decoded, and the others as they were."""
        foretold = 0.0
        for (features, _), found in zip(self.held_out, decoded, strict=True):
            errors = {name: self._rows(name, found[name] - features[name]).double() for name in part}
            turned = {
                name: metric.rotary[name].turned(rows, back=True) if name in metric.rotary else rows
                for name, rows in errors.items()
            }
            foretold += metric.divergence(turned) / len(decoded)
        measured = self._measured([{name: found[name] for name in part} for found in decoded])
        return math.exp(_log(measured / foretold if foretold else math.nan))

    def _profile(self, metric: ModelMetric) -> Profile:
        """Fit a codec to what was learned, without a token codebook, which takes longer than it matters here."""
        samples: list[Any] = [self._sample(metric, features) for features, _ in self.learned]
        return lamofc_codecs.fit(
            "klt",
            samples,
            Quality(kl=_DIVERGENCE_OF_PARTS),
            features=sorted(metric.matrices),
            weight=metric.weights(0),
            weight_nats=metric.nats,
            rotary=metric.rotary,
            means=0,
            waves=False,
        )

    def _coded(
        self, profile: Profile, metric: ModelMetric, divergence: float, doublings: int = _DOUBLINGS
    ) -> tuple[list[dict[str, Tensor]], float]:
        """Code the texts held out at a divergence, or at the least multiple of it by a power of 2 that is reached.

        A profile of thousands of channels that is learned from few texts may not reach a small divergence.
        """
        try:
            decoded = [self._decoded(profile, metric, features, divergence) for features, _ in self.held_out]
        except OutOfReach:
            if not doublings:
                raise
            return self._coded(profile, metric, 2 * divergence, doublings - 1)
        return decoded, divergence

    def _decoded(
        self, profile: Profile, metric: ModelMetric, features: Features, divergence: float
    ) -> dict[str, Tensor]:
        """Return what is decoded of the features of a text, coded at a divergence."""
        sample = self._sample(metric, features)
        (record,) = lamofc_codecs.encode([sample], profile, quality=Quality(kl=divergence))
        parts = lamofc_codecs.decode([record.data], profile)
        return {
            name: layout.from_tokens(part, self.split.patterns[name], features[name].shape).to(features[name])
            for name, part in zip(sorted(metric.matrices), parts, strict=True)
        }

    def _sample(self, metric: ModelMetric, features: Features) -> Tensor | dict[str, Tensor]:
        """Return features as tokens x channels: one alone, or a group of them by name."""
        rows = {name: self._rows(name, features[name]).float() for name in sorted(metric.matrices)}
        return next(iter(rows.values())) if len(rows) == 1 else rows

    def _rows(self, name: str, value: Tensor) -> Tensor:
        return to_tokens(value, self.split.patterns[name]).detach().cpu()

    def _measured(self, decoded: Sequence[Features]) -> float:
        """Return the mean divergence of texts."""
        mean = sum(text.divergence(found) for text, found in zip(self._texts, decoded, strict=True)) / len(decoded)
        if not math.isfinite(mean):
            raise BadArgument(
                f"answers of {self.split.consumer} to decoded features are not finite", "open the model in float32"
            )
        return mean

    @cached_property
    def _texts(self) -> list[UnbrokenText]:
        return [UnbrokenText.of(self.split, features, ids) for features, ids in self.held_out]


def _log(ratio: float) -> float:
    """Return the logarithm of a ratio; 0, which leaves a metric as it is, where nothing was foretold or measured."""
    return math.log(ratio) if math.isfinite(ratio) and ratio > 0 else 0.0

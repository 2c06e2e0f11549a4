"""Features that several consumers share: a profile fitted for each, and the losses of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from lamofc_store import Sample
from lamofc_tools.benchmarks.learning.readers.labelled_encoder import LabelledEncoder
from lamofc_tools.benchmarks.learning.readers.linear_probe import LinearProbe
from lamofc_tools.consumer import FidelityMeter, ModelMetric, Passages, Split, measure_metric_of_features
from lamofc_tools.evaluation.media import ErrorSums
from lamofc_tools.models import Features

ITSELF = "squared error"
"""The consumer that wants the features themselves."""
GENERAL_FLOOR = 0.3
"""Least weight of an error in any direction that keeps general use; 0.03 unless one is named."""
Losses = Callable[[Mapping[str, Features]], dict[str, float]]


@dataclass(frozen=True)
class SharedFeatures:
    """One feature of a model, and those who read it. Each judge has a profile of its own by its name."""

    name: str
    feature: str
    samples: Sequence[Sample]
    """Samples to learn from."""
    measured_samples: Sequence[Sample]
    metrics: Mapping[str, ModelMetric]
    """The metric of each judge that has one."""
    answers: Losses
    """The losses of these judges after decoded features."""
    mixtures: Mapping[str, tuple[ModelMetric, dict[str, Any]]]
    """Further metrics, with options, by which a profile is fitted."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of every fit."""

    @property
    def fits(self) -> dict[str, tuple[ModelMetric | None, dict[str, Any]]]:
        """The metric and the options of each profile."""
        own = {name: (metric, dict(self.options)) for name, metric in self.metrics.items()}
        mixed = {name: (metric, {**self.options, **options}) for name, (metric, options) in self.mixtures.items()}
        return {ITSELF: (None, dict(self.options)), **own, **mixed}

    def losses(self, decoded: Mapping[str, Features]) -> dict[str, float]:
        """Return the loss of each judge after decoded features."""
        sums = ErrorSums()
        for sample in self.measured_samples:
            sums.compare(sample.features[self.feature], decoded[sample.id][self.feature])
        return {ITSELF: sums.relative, **self.answers(decoded)}

    def foretold(self, decoded: Mapping[str, Features]) -> dict[str, float]:
        """Return the loss of each judge as its metric foretells it from the errors."""
        rows = [
            (decoded[sample.id][self.feature] - sample.features[self.feature]).float().flatten(0, -2)
            for sample in self.measured_samples
        ]
        errors = {self.feature: torch.cat(rows)}
        found = {
            name: metric.relative_change(errors) if metric.nats is None else metric.divergence(errors)
            for name, metric in self.metrics.items()
        }
        return {ITSELF: float(errors[self.feature].square().mean()), **found}


def digit_features(encoder: LabelledEncoder) -> SharedFeatures:
    """Share the features of an encoder among its head, its final states, and the features themselves."""

    def answers(decoded: Mapping[str, Features]) -> dict[str, float]:
        figures = encoder.losses(decoded)
        return {"head": figures["kl"], "final states": figures["state_error"]}

    head = encoder.head_metric
    return SharedFeatures(
        encoder.name,
        encoder.feature,
        encoder.samples,
        encoder.measured_samples,
        {"head": head, "final states": encoder.state_metric},
        answers,
        {_with_floor("head"): (head, {"weight_floor": GENERAL_FLOOR})},
        {"waves": False},
    )


def hidden_features(
    split: Split, learned: Passages, measured: Passages, metric_texts: int, every: int
) -> SharedFeatures:
    """Share the hidden state at a split among the rest of a language model, a probe, and the state itself."""
    texts = _hidden(split, learned)
    probe = LinearProbe.fitted(
        split.loaded, split.output, [(learned.ids[name], features) for name, features in texts.items()]
    )
    some = dict(list(texts.items())[:metric_texts])
    rest = measure_metric_of_features(split.loaded, some.items(), split.block, prefix=learned.prefix)
    probed = probe.metric(some)
    meter, originals = FidelityMeter(split, measured, every=every), _hidden(split, measured)

    def answers(decoded: Mapping[str, Features]) -> dict[str, float]:
        return {"rest of model": meter.measure(decoded).prefix.kl, "probe": probe.divergence(originals, decoded)}

    return SharedFeatures(
        split.consumer,
        split.output,
        _samples(texts),
        _samples(originals),
        {"rest of model": rest, "probe": probed},
        answers,
        {
            "rest of model + probe": (rest + probed, {}),
            _with_floor("rest of model"): (rest, {"weight_floor": GENERAL_FLOOR}),
        },
    )


def _with_floor(name: str) -> str:
    return f"{name}, floor {GENERAL_FLOOR:g}"


@torch.no_grad()
def _hidden(split: Split, passages: Passages) -> dict[str, Features]:
    """Return the hidden state of the prefix of each text by its id."""
    return {
        name: {split.output: features[split.output]}
        for names in passages.batches(4)
        for name, features in zip(names, split.features(passages.batch(names)[:, : passages.prefix]), strict=True)
    }


def _samples(texts: Mapping[str, Features]) -> list[Sample]:
    return [Sample(name, dict(features)) for name, features in texts.items()]

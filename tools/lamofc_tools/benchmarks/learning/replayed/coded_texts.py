"""Code the features of texts with one coder, count its bits, and let the rest of the model answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout, to_tokens
from lamofc_tools.benchmarks.learning.peers.feature_coder import (
    ALL,
    CACHES,
    FeatureCoder,
    Gradient,
    Measure,
    Sample,
)
from lamofc_tools.comparison import PROFILE_SAMPLES, spread_profile
from lamofc_tools.consumer import FidelityMeter, Split, TextReplay
from lamofc_tools.models import Features

UNITS = {
    "bits": "bits per element of what the scope codes, whole records",
    "profile_bits": f"bits per element of all features, spread over {PROFILE_SAMPLES} samples",
    "bits_caches": "bits per element of keys and values; none where all features share a record",
    "bits_hidden": "bits per element of the hidden state; none where all features share a record",
    "kl_prefix": "nats",
    "kl_continued": "nats",
    "top1_prefix": "share of positions",
    "top1_continued": "share of positions",
    "seconds": "s, coding and decoding of all texts",
    "training_seconds": "s",
    "training": "step, loss, bits per element, squared error in levels of 256, of texts held out",
}
_HIDDEN = "hidden"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class CodedTexts:
    """What a coder made of the features of all texts."""

    coder: FeatureCoder
    bits: Mapping[str, int]
    """Bits of keys and values, of the hidden state, and of what holds both."""
    elements: Mapping[str, int]
    """Values of keys and values, and of the hidden state."""
    decoded: Mapping[str, Mapping[str, Tensor]]
    """Decoded features of each text, in their own shapes."""
    seconds: float

    @property
    def joint(self) -> bool:
        """Whether all features share a record."""
        return bool(self.bits[ALL])

    def row(self, scope: str, meter: FidelityMeter) -> dict[str, Any]:
        """Return the row of the table; in the scope `caches` the hidden state stays as it was and counts no bits."""
        only_caches = scope == CACHES
        fidelity = meter.measure(
            {
                text: {name: value for name, value in features.items() if _part_of(name) == CACHES or not only_caches}
                for text, features in self.decoded.items()
            }
        )
        total = sum(self.elements.values())
        parts = {part: None if self.joint else self.bits[part] / count for part, count in self.elements.items()}
        return {
            "codec": self.coder.codec,
            "setting": self.coder.setting,
            "scope": scope,
            "bits": parts[CACHES] if only_caches else sum(self.bits.values()) / total,
            "profile_bits": spread_profile(self.coder.profile_bytes, total / len(self.decoded)),
            "kl_prefix": fidelity.prefix.kl,
            "top1_prefix": fidelity.prefix.top1,
            "perplexity_prefix": fidelity.prefix.perplexity,
            "kl_continued": fidelity.continuation.kl,
            "top1_continued": fidelity.continuation.top1,
            "perplexity_continued": fidelity.continuation.perplexity,
            "bits_caches": parts[CACHES],
            "bits_hidden": parts[_HIDDEN],
            "seconds": self.seconds,
        }


def code_texts(coder: FeatureCoder, meter: FidelityMeter) -> CodedTexts:
    """Code the features of every text, and decode them from the bytes alone."""
    started = time.perf_counter()
    bits, elements = dict.fromkeys((CACHES, _HIDDEN, ALL), 0), dict.fromkeys((CACHES, _HIDDEN), 0)
    decoded = {}
    for text, features in meter.features.items():
        sample = rows_of(features, meter.split)
        record = coder.encode(sample)
        for name, data in record.items():
            bits[_part_of(name)] += 8 * len(data)
        for name, value in sample.items():
            elements[_part_of(name)] += value.numel()
        restored = coder.decode(record, len(sample[meter.split.output]))
        decoded[text] = features_of(restored, features, meter.split)
    return CodedTexts(coder, bits, elements, decoded, time.perf_counter() - started)


def rows_of(features: Mapping[str, Tensor], split: Split) -> dict[str, Tensor]:
    """Return the features of a text as tokens x channels."""
    patterns = split.patterns
    return {name: to_tokens(value, patterns[name]).float().contiguous() for name, value in features.items()}


def features_of(rows: Mapping[str, Tensor], like: Mapping[str, Tensor], split: Split) -> dict[str, Tensor]:
    """Return tokens x channels as features of a model, in the shapes of other ones."""
    patterns = split.patterns
    return {name: layout.from_tokens(value, patterns[name], like[name].shape) for name, value in rows.items()}


def replay_of(meter: FidelityMeter) -> Measure:
    """Return the measure of the rest of a model's answers to decoded features of any of a meter's texts."""
    return _by_rows(meter, TextReplay(meter.split))


def gradient_of(meter: FidelityMeter) -> Gradient:
    """Return the gradients of that measure, by other continuations."""
    gradients = _by_rows(meter, TextReplay(meter.split).gradient)

    def of_sample(sample: Sample) -> Callable[[Sample], Sample]:
        gradient = gradients(sample)
        return lambda decoded: rows_of(gradient(decoded), meter.split)

    return of_sample


def _by_rows(
    meter: FidelityMeter, answers: Callable[[str, Features], Callable[[Features], _Answer] | None]
) -> Callable[[Sample], Callable[[Sample], _Answer]]:
    """Return what answers to a text's features as a function of its tokens x channels."""
    like = next(iter(meter.features.values()))

    def of_sample(sample: Sample) -> Callable[[Sample], _Answer]:
        of_text = answers("", features_of(sample, like, meter.split))
        if of_text is None:
            raise BadArgument("a text that cannot be replayed", "give whole caches and the hidden state")
        return lambda decoded: of_text(features_of(decoded, like, meter.split))

    return of_sample


def _part_of(name: str) -> str:
    """Return which part of the features the bytes of this name hold."""
    return ALL if name == ALL else CACHES if "cache" in name else _HIDDEN

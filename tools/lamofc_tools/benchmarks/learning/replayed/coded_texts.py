"""Code the features of texts with one coder, count its bits, and let the rest of the model answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout, to_tokens
from lamofc_tools.benchmarks.learning.peers.feature_coder import ALL, CACHES, FeatureCoder, Replayed, Sample
from lamofc_tools.comparison import PROFILE_SAMPLES, spread_profile
from lamofc_tools.consumer import FidelityMeter, ReplayedSample, Split, TextReplay

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


@dataclass(frozen=True)
class CodedTexts:
    """Features of all texts as one coder gives them back, and their bits."""

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


@dataclass(frozen=True)
class _ReplayedRows:
    """A text that the rest of a model reads, by features of tokens x channels."""

    replayed: ReplayedSample
    like: Mapping[str, Tensor]
    """Features of a text, in the model's own shapes."""
    split: Split

    def divergence(self, decoded: Sample) -> float:
        """Return the divergence of the answers."""
        return self.replayed.divergence(features_of(decoded, self.like, self.split))

    def gradient(self, decoded: Sample, step: int) -> Sample:
        """Return the gradient of that divergence, along another continuation at each step."""
        return rows_of(self.replayed.gradient(features_of(decoded, self.like, self.split), step), self.split)

    def draw(self, step: int) -> Sample:
        """Draw a gradient of the answers."""
        return rows_of(self.replayed.draw(step), self.split)


def replay_of(meter: FidelityMeter) -> Replayed:
    """Return the replay of the rest of a model on any of a meter's texts."""
    like, split = next(iter(meter.features.values())), meter.split
    replay = TextReplay(split)

    def opened(sample: Sample) -> ReplayedSample:
        text = replay.open("", features_of(sample, like, split))
        if text is None:
            raise BadArgument("a text that cannot be replayed", "give whole caches and the hidden state")
        return _ReplayedRows(text, like, split)

    return opened


def _part_of(name: str) -> str:
    """Return which part of the features the bytes of this name hold."""
    return ALL if name == ALL else CACHES if "cache" in name else _HIDDEN

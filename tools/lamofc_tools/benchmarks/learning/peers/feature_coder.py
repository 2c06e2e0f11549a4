"""The contract of the coders that are compared on the features of a language model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import ModelMetric, ReplayedSample

Sample = Mapping[str, Tensor]
"""Features of one text, tokens x channels float32 each."""
Replayed = Callable[[Sample], ReplayedSample]
"""Opens a text for the rest of a model, whose features are tokens x channels there, too."""
ALL, CACHES = "all", "caches"
"""Names of the bytes that hold all features, or all keys and values, together."""
_LARGEST = 2.0**15
"""Largest magnitude of a feature in its unit: half of what float16 holds, which some coders write."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts about the model that a coder may use."""

    rotary: Mapping[str, Rotary] = field(default_factory=dict)
    measure: Callable[[bool], ModelMetric] | None = None
    """Measures the metric of the rest of the model, calibrated or not, or returns what it measured before."""

    replay: Replayed | None = None
    """Replays the rest of the model on decoded features of any text, which it continues by itself."""

    def metric(self, *, calibrated: bool = True) -> ModelMetric:
        """Return the metric, which takes minutes the first time that a coder asks for it."""
        if self.measure is None:
            raise BadArgument("a coder for a model without a metric of the model", "measure one first")
        return self.measure(calibrated)


class FeatureCoder(ABC):
    """A coder of all features of a text, at one setting. Its bytes hold all that is decoded, but the token count."""

    codec: str
    setting: str
    scopes: tuple[str, ...] = (ALL, CACHES)
    """Features whose coding is judged: all of them, or keys and values while the hidden state stays as it was."""
    profile_bytes: int = 0
    """Bytes of what was fitted, which are shared by all texts."""
    figures: Mapping[str, Any] = {}
    """Further figures of the fit, for the document."""

    def lack(self) -> str:
        """Say what this machine lacks for the coder and how to get it; nothing if it can run."""
        return ""

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Learn from features of texts that are not measured; by default channels and unit of each."""
        self.widths = {name: value.shape[1] for name, value in samples[0].items()}
        self.units = {name: _unit([sample[name] for sample in samples]) for name in self.widths}
        self.facts, self.profile_bytes = facts, 0

    @abstractmethod
    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Return the bytes by feature, or of all features as `ALL`."""

    @abstractmethod
    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Return the features of a text of so many tokens."""


class SingleFeatureCoder(FeatureCoder):
    """A coder of each feature by itself."""

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Code each feature."""
        return {name: self.pack(name, (value / self.units[name]).numpy()) for name, value in sample.items()}

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Decode each feature."""
        return {
            name: torch.from_numpy(self.unpack(name, data, tokens)) * self.units[name] for name, data in record.items()
        }

    @abstractmethod
    def pack(self, name: str, values: NDArray[np.float32]) -> bytes:
        """Code one feature."""

    @abstractmethod
    def unpack(self, name: str, data: bytes, tokens: int) -> NDArray[np.float32]:
        """Decode one feature."""


def _unit(values: Sequence[Tensor]) -> float:
    """Return the least power of two, from 1 on, in whose units values are small enough for float16."""
    largest = max(float(value.abs().max()) for value in values)
    return 2.0 ** max(0, math.ceil(math.log2(max(largest / _LARGEST, 1))))


def pack_levels(levels: NDArray[np.uint8], bits: int) -> bytes:
    """Write levels of so many bits each, end to end."""
    planes = levels.reshape(-1, 1) >> np.arange(bits, dtype=np.uint8) & 1
    return np.packbits(planes.astype(np.uint8)).tobytes()


def unpack_levels(data: bytes, count: int, bits: int) -> NDArray[np.uint8]:
    """Read levels that `pack_levels` wrote."""
    planes = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits).reshape(count, bits)
    levels: NDArray[np.uint8] = (planes << np.arange(bits, dtype=np.uint8)).sum(1, dtype=np.uint8)
    return levels

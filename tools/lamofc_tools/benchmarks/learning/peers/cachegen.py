"""CacheGen-like: differences of tokens to an anchor in groups of ten, fewer bins for later layers, an arithmetic
coder.

After CacheGen (Liu et al., 2024): the first token of each group of ten is an anchor of eight bits; the other tokens
are coded as differences to the decoded anchor. Differences are scaled by the largest magnitude of each token in each
layer and rounded to a number of bins, which halves from the first to the middle and to the last third of the layers.
An arithmetic coder has the frequencies of each channel of each layer. One change helps it here: the first token, which
is unlike all others, is an anchor of its own. The hidden state, which CacheGen does not code, has the bins of the
first layers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import constriction
import numpy as np
from numpy.typing import NDArray

from lamofc_tools.benchmarks.learning.peers.feature_coder import ModelFacts, Sample, SingleFeatureCoder

Floats = NDArray[np.float32]
_GROUP = 10
_SMALLEST = np.float32(1e-30)
_BITS_OF_A_FREQUENCY = 12


class CacheGen(SingleFeatureCoder):
    """Anchors, and differences to them under an arithmetic coder."""

    codec = "cachegen"

    def __init__(self, bins: int) -> None:
        self.bins, self.setting = bins, f"{bins}, {bins // 2}, {bins // 4} bins"

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Count the levels of each channel."""
        super().fit(samples, facts)
        self._blocks = 1 + max(int(match[1]) for name in self.widths if (match := re.match(r"layer\.(\d+)\.", name)))
        self._models = {}
        for name, width in self.widths.items():
            half = self._half(name)
            counts = np.full((width, 2 * half + 1), 0.01)
            for sample in samples:
                levels = self._levels(name, (sample[name] / self.units[name]).numpy())[2] + half
                np.add.at(counts, (np.arange(width)[:, None], levels.T), 1)
            shares = (counts / counts.sum(1, keepdims=True)).astype(np.float32)
            self._models[name] = [constriction.stream.model.Categorical(row, perfect=False) for row in shares]
            self.profile_bytes += counts.size * _BITS_OF_A_FREQUENCY // 8

    def pack(self, name: str, values: Floats) -> bytes:
        """Write the anchors, the scales of the differences, then their levels."""
        anchors, scales, levels = self._levels(name, values)
        coder = constriction.stream.queue.RangeEncoder()
        for channel, model in zip(levels.T, self._models[name], strict=True):
            coder.encode(np.ascontiguousarray(channel + self._half(name)), model)
        return bytes(anchors + scales.tobytes() + coder.get_compressed().tobytes())

    def unpack(self, name: str, data: bytes, tokens: int) -> Floats:
        """Add the differences to their anchors."""
        width, places = self.widths[name], anchor_places(tokens)
        start = (4 + width) * len(places)
        out = np.empty((tokens, width), np.float32)
        out[places] = read_anchors(data[:start], len(places))
        others = np.setdiff1d(np.arange(tokens), places)
        scales = np.frombuffer(data[start : start + 2 * len(others)], np.float16).astype(np.float32)[:, None]
        coder = constriction.stream.queue.RangeDecoder(np.frombuffer(data[start + 2 * len(others) :], np.uint32))
        rows = [coder.decode(model, len(others)) for model in self._models[name]]
        levels = np.stack(rows, 1).astype(np.float32) - self._half(name)
        out[others] = out[_anchor_of(others)] + levels * scales / self._half(name)
        return out

    def _levels(self, name: str, values: Floats) -> tuple[bytes, NDArray[np.float16], NDArray[np.int32]]:
        """Return the anchors' bytes, the scale of each difference, and its levels."""
        places = anchor_places(len(values))
        anchors = write_anchors(values[places])
        decoded = np.zeros_like(values)
        decoded[places] = read_anchors(anchors, len(places))
        others = np.setdiff1d(np.arange(len(values)), places)
        differences = values[others] - decoded[_anchor_of(others)]
        scales = np.abs(differences).max(1, keepdims=True).astype(np.float16)
        half = self._half(name)
        levels = np.rint(differences * half / np.maximum(scales.astype(np.float32), _SMALLEST)).clip(-half, half)
        return anchors, scales, levels.astype(np.int32)

    def _half(self, name: str) -> int:
        """Return the largest level of a layer."""
        match = re.match(r"layer\.(\d+)\..*cache", name)
        third = 3 * int(match[1]) // self._blocks if match else 0
        return max(1, (self.bins >> third) // 2 - 1)


def anchor_places(tokens: int) -> NDArray[np.int64]:
    """Return the tokens that are anchors: the first one, and the first of each group after it."""
    return np.concatenate([[0], np.arange(1, tokens, _GROUP)])


def _anchor_of(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    return (tokens - 1) // _GROUP * _GROUP + 1


def write_anchors(values: Floats) -> bytes:
    """Write eight bits a value and a scale for each token."""
    scales = np.maximum(np.abs(values).max(1, keepdims=True), _SMALLEST) / np.float32(127)
    return bytes(scales.tobytes() + np.rint(values / scales).astype(np.int8).tobytes())


def read_anchors(data: bytes, count: int) -> Floats:
    """Read anchors that `write_anchors` wrote."""
    scales = np.frombuffer(data[: 4 * count], np.float32)[:, None]
    return np.frombuffer(data[4 * count :], np.int8).reshape(count, -1).astype(np.float32) * scales

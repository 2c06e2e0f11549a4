"""KVTC-like: principal components across heads and layers, bits allotted by dynamic programming, then DEFLATE.

After KVTC (Staniszewski and Lancucki, 2025): keys without their rotation and values are projected on the principal
components of all layers and heads at once, fitted on other texts. Dynamic programming cuts the components into groups
of 16, 64, 256 or 1024 and gives each 0, 2, 4 or 8 bits, for the least squared error at a budget; each token has a
least value and a step of 16 bits for each group. DEFLATE packs the levels. The first four tokens and the last 128 stay
in float16: at 192 tokens these take eleven bits a value by themselves, so that a variant keeps the first four alone.
One change helps it here: layers are scaled to the same spread before the projection, or those of large values take all
bits. The hidden state, which KVTC does not code, has components of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_tools.benchmarks.learning.peers.feature_coder import (
    FeatureCoder,
    ModelFacts,
    Sample,
    pack_levels,
    unpack_levels,
)
from lamofc_tools.benchmarks.learning.peers.kvtc_budget import Group, allot_bits, least_and_step

Floats = NDArray[np.float32]
_SINKS = 4
_KINDS = ("k_cache", "v_cache", "output")
_BYTES_OF_A_HALF = 2


@dataclass(frozen=True)
class _Projection:
    """Principal components of some features side by side, and the groups that they are coded in."""

    names: tuple[str, ...]
    mean: Floats
    scale: Floats
    """Spread of each channel's feature, so that each layer counts the same."""
    components: Floats
    """Channels x components, rounded to float16."""
    groups: tuple[Group, ...]

    def pack(self, values: Floats) -> bytes:
        """Code tokens x channels."""
        coefficients = (values - self.mean) / self.scale @ self.components
        side, packed = [], []
        for group in self.groups:
            part = coefficients[:, group.start : group.start + group.size]
            low, step = least_and_step(part, group.bits)
            levels = np.rint((part - low) / step).clip(0, 2**group.bits - 1).astype(np.uint8)
            side.append(np.concatenate([low, step], 1).astype(np.float16).tobytes())
            packed.append(pack_levels(levels, group.bits))
        return zlib.compress(b"".join((*side, *packed)), 9)

    def unpack(self, data: bytes, tokens: int) -> Floats:
        """Decode tokens x channels."""
        plain, at = zlib.decompress(data), 0
        count = len(self.groups)
        side = np.frombuffer(plain[: 4 * tokens * count], np.float16).astype(np.float32).reshape(count, tokens, 2)
        at = 4 * tokens * count
        coefficients = np.zeros((tokens, self.components.shape[1]), np.float32)
        for group, scales in zip(self.groups, side, strict=True):
            stop = at + -(-tokens * group.size * group.bits // 8)
            levels = unpack_levels(plain[at:stop], tokens * group.size, group.bits).reshape(tokens, group.size)
            coefficients[:, group.start : group.start + group.size] = scales[:, :1] + scales[:, 1:] * levels
            at = stop
        return coefficients @ self.components.T * self.scale + self.mean


class Kvtc(FeatureCoder):
    """Principal components, and a budget of bits for them."""

    def __init__(self, bits: float, window: int = 0) -> None:
        self.bits, self.window = bits, window
        self.codec = "kvtc, window" if window else "kvtc"
        self.setting = f"{bits:g} bits, {_SINKS}+{window} raw"

    def fit(self, samples: Sequence[Sample], facts: ModelFacts) -> None:
        """Find the components of keys, of values and of the hidden state, and allot the bits."""
        super().fit(samples, facts)
        kinds = [tuple(name for name in self.widths if name.endswith(kind)) for kind in _KINDS]
        self._projections = [self._fitted(names, samples) for names in kinds if names]
        self.profile_bytes = sum(_BYTES_OF_A_HALF * p.components.size + 8 * p.mean.size for p in self._projections)

    def _fitted(self, names: tuple[str, ...], samples: Sequence[Sample]) -> _Projection:
        rows = np.concatenate([self._side_by_side(names, sample)[_SINKS:] for sample in samples])
        mean = rows.mean(0)
        spreads = [part.std() for part in np.split(rows - mean, np.cumsum([self.widths[n] for n in names])[:-1], 1)]
        scale = np.repeat(np.array(spreads, np.float32), [self.widths[name] for name in names])
        scaled = (rows - mean) / scale
        covariance = torch.from_numpy(scaled.T @ scaled / len(rows)).double()
        components = torch.linalg.eigh(covariance)[1].flip(1).half().float().numpy()
        groups = allot_bits(scaled @ components, self.bits)
        used = max((group.start + group.size for group in groups), default=1)
        return _Projection(names, mean, scale, np.ascontiguousarray(components[:, :used]), groups)

    def _side_by_side(self, names: Sequence[str], sample: Sample) -> Floats:
        values = {name: sample[name] / self.units[name] for name in names}
        rotary = self.facts.rotary
        plain = [rotary[n].turned(value, back=True) if n in rotary else value for n, value in values.items()]
        return torch.cat(plain, 1).numpy()

    def encode(self, sample: Sample) -> dict[str, bytes]:
        """Write the raw tokens, then the coded ones; what features share is told by their names, joined."""
        record = {}
        for projection in self._projections:
            values = self._side_by_side(projection.names, sample)
            stop = max(_SINKS, len(values) - self.window)
            raw = np.concatenate([values[:_SINKS], values[stop:]]).astype(np.float16).tobytes()
            record[" ".join(projection.names)] = raw + projection.pack(values[_SINKS:stop])
        return record

    def decode(self, record: Mapping[str, bytes], tokens: int) -> dict[str, Tensor]:
        """Put raw and coded tokens together, and rotate keys again."""
        decoded = {}
        stop = max(_SINKS, tokens - self.window)
        for projection, data in zip(self._projections, record.values(), strict=True):
            width = len(projection.mean)
            start = _BYTES_OF_A_HALF * width * (tokens - stop + _SINKS)
            raw = np.frombuffer(data[:start], np.float16).astype(np.float32).reshape(-1, width)
            coded = projection.unpack(data[start:], stop - _SINKS)
            whole = torch.from_numpy(np.concatenate([raw[:_SINKS], coded, raw[_SINKS:]]))
            widths = [self.widths[name] for name in projection.names]
            for name, part in zip(projection.names, torch.split(whole, widths, 1), strict=True):
                rotary = self.facts.rotary.get(name)
                plain = part.contiguous() if rotary is None else rotary.turned(part)
                decoded[name] = plain * self.units[name]
        return decoded

"""TurboQuant-like: each head's vector is rotated at random, and every coordinate quantised to the levels of a
Gaussian.

After TurboQuant (Zandieh et al., 2025), its variant for squared error: the vector's length is kept apart (as float16),
the rotation makes the coordinates of what remains nearly Gaussian, and a Lloyd-Max quantiser of that distribution
codes each. Nothing is fitted. The rotation comes from a seed that coder and decoder share.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_tools.benchmarks.learning.peers.feature_coder import SingleFeatureCoder, pack_levels, unpack_levels

_LLOYD_ROUNDS = 200


@cache
def random_rotation(size: int) -> NDArray[np.float32]:
    """Return an orthogonal matrix that depends on its size alone."""
    square = torch.randn(size, size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
    return np.asarray(torch.linalg.qr(square)[0].float().numpy())


@cache
def gaussian_levels(bits: int) -> NDArray[np.float32]:
    """Return the Lloyd-Max levels of a standard Gaussian."""
    grid = torch.linspace(-6, 6, 20_001, dtype=torch.float64)
    weight = torch.exp(-(grid**2) / 2)
    levels = torch.linspace(-2, 2, 2**bits, dtype=torch.float64)
    for _ in range(_LLOYD_ROUNDS):
        nearest = torch.bucketize(grid, (levels[1:] + levels[:-1]) / 2)
        mass = torch.zeros_like(levels).index_add(0, nearest, weight)
        levels = torch.zeros_like(levels).index_add(0, nearest, weight * grid) / mass
    return levels.float().numpy()


class TurboQuant(SingleFeatureCoder):
    """A random rotation, then Lloyd-Max levels of a Gaussian."""

    codec = "turboquant"

    def __init__(self, bits: int) -> None:
        self.bits, self.setting = bits, f"{bits} bits"

    def pack(self, name: str, values: NDArray[np.float32]) -> bytes:
        """Write the lengths, then the levels."""
        vectors = values.reshape(len(values), self._heads(name), -1)
        lengths = np.linalg.norm(vectors, axis=2, keepdims=True).astype(np.float16)
        size = vectors.shape[2]
        unit = vectors / np.maximum(lengths.astype(np.float32), np.finfo(np.float16).tiny)
        coordinates = unit @ random_rotation(size) * np.float32(size**0.5)
        levels = gaussian_levels(self.bits)
        nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, coordinates)
        return bytes(lengths.tobytes()) + pack_levels(nearest.astype(np.uint8), self.bits)

    def unpack(self, name: str, data: bytes, tokens: int) -> NDArray[np.float32]:
        """Rotate the levels back, and stretch them to their lengths."""
        heads, width = self._heads(name), self.widths[name]
        size, start = width // heads, 2 * tokens * heads
        lengths = np.frombuffer(data[:start], np.float16).astype(np.float32).reshape(tokens, heads, 1)
        nearest = unpack_levels(data[start:], tokens * width, self.bits).reshape(tokens, heads, size)
        unit = gaussian_levels(self.bits)[nearest] @ random_rotation(size).T / np.float32(size**0.5)
        return np.ascontiguousarray((unit * lengths).reshape(tokens, width), np.float32)

    def _heads(self, name: str) -> int:
        """Heads of a cache, as the keys of its block have; the hidden state is one vector."""
        keys = name.replace("v_cache", "k_cache")
        return self.facts.rotary[keys].heads if keys in self.facts.rotary else 1

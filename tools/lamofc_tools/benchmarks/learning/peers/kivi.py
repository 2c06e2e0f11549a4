"""KIVI-like: few bits, keys scaled by channel in groups of 32 tokens, values by token in groups of 32 channels.

After KIVI (Liu et al., 2024): asymmetric integers of two or four bits, groups of 32, a float16 least value and step
for each group. Its window of the last 32 or 128 tokens in full precision is left out: at 192 tokens it would outweigh
all else. The hidden state, which KIVI does not code, is coded as values are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_tools.benchmarks.learning.peers.feature_coder import SingleFeatureCoder, pack_levels, unpack_levels

_GROUP = 32


class Kivi(SingleFeatureCoder):
    """Integers of a few bits in groups of 32."""

    codec = "kivi"

    def __init__(self, bits: int) -> None:
        self.bits, self.setting = bits, f"{bits} bits"

    def pack(self, name: str, values: NDArray[np.float32]) -> bytes:
        """Write the groups' least values and steps, then the levels."""
        rows = values.T if name.endswith("k_cache") else values
        padding = -rows.shape[1] % _GROUP
        groups = np.pad(rows, ((0, 0), (0, padding)), mode="edge").reshape(-1, _GROUP)
        low = groups.min(1, keepdims=True).astype(np.float16)
        spread = (groups.max(1, keepdims=True) - low) / (2**self.bits - 1)
        step = np.maximum(spread, np.finfo(np.float16).tiny).astype(np.float16)
        levels = np.rint((groups - low.astype(np.float32)) / step.astype(np.float32)).clip(0, 2**self.bits - 1)
        return bytes(low.tobytes() + step.tobytes()) + pack_levels(levels.astype(np.uint8), self.bits)

    def unpack(self, name: str, data: bytes, tokens: int) -> NDArray[np.float32]:
        """Multiply levels by steps and add least values."""
        by_channel, width = name.endswith("k_cache"), self.widths[name]
        rows, length = (width, tokens) if by_channel else (tokens, width)
        count = rows * -(-length // _GROUP)
        low, step = np.frombuffer(data[: 4 * count], np.float16).astype(np.float32).reshape(2, count, 1)
        levels = unpack_levels(data[4 * count :], count * _GROUP, self.bits).reshape(count, _GROUP)
        values = (low + step * levels).reshape(rows, -1)[:, :length]
        return np.ascontiguousarray(values.T if by_channel else values, np.float32)

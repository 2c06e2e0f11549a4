"""Eight bits a value, scaled so that the largest magnitude of each token fits: e4m3 floats, or integers.

The usual formats of quantised caches in serving, with a scale of 32 bits for each token of each feature.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_tools.benchmarks.learning.peers.feature_coder import SingleFeatureCoder

_SMALLEST = np.float32(1e-30)


class Fp8(SingleFeatureCoder):
    """Floats of four bits of exponent and three of mantissa."""

    codec, setting = "fp8", "e4m3 by token"
    largest = np.float32(448)

    def pack(self, name: str, values: NDArray[np.float32]) -> bytes:
        """Write the scales, then a byte a value."""
        scales = np.maximum(np.abs(values).max(1, keepdims=True), _SMALLEST) / self.largest
        return bytes(scales.tobytes()) + self.rounded(values / scales).tobytes()

    def unpack(self, name: str, data: bytes, tokens: int) -> NDArray[np.float32]:
        """Multiply by the scales."""
        scales = np.frombuffer(data[: 4 * tokens], np.float32)[:, None]
        return self.restored(np.frombuffer(data[4 * tokens :], np.uint8)).reshape(tokens, -1) * scales

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the bytes of scaled values."""
        return torch.from_numpy(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()

    def restored(self, rounded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the values of bytes."""
        return torch.from_numpy(rounded.copy()).view(torch.float8_e4m3fn).float().numpy()


class Int8(Fp8):
    """Integers from -127 to 127."""

    codec, setting = "int8", "by token"
    largest = np.float32(127)

    def rounded(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the bytes of scaled values."""
        return np.rint(values).astype(np.int8).view(np.uint8)

    def restored(self, rounded: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the values of bytes."""
        return rounded.view(np.int8).astype(np.float32)

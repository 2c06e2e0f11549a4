"""The interface that a comparison needs of a coder, and a codec of this project behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from lamofc_codecs import Profile, Quality, Quantising, decode, encode, fit, framing, inspect, open_codec


class Coder(Protocol):
    """Encodes tensors, tokens x channels, to bytes and decodes them."""

    profile_bytes: int
    """Bytes of the parameters that were learned from samples."""

    def encode(self, tensor: Tensor) -> bytes:
        """Encode a tensor to all bytes that a decoder needs beside the learned parameters."""

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """Decode to a tensor with the shape and the dtype of another."""

    def payload(self, data: bytes) -> int:
        """Count the bits without headers and containers."""

    def framing(self, data: bytes) -> int:
        """Count the bytes of headers and containers."""

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Return the tensor after quantisation alone, where a second step loses more; None otherwise."""


class CodecCoder:
    """A codec of this project, fitted to samples."""

    def __init__(
        self,
        codec: str,
        quality: Quality | None,
        options: Mapping[str, Any],
        feature: str,
        train: Sequence[Tensor],
    ) -> None:
        self.profile: Profile = fit(codec, train, quality, features=[feature], **options)
        self.profile_bytes = len(self.profile.data)

    def encode(self, tensor: Tensor) -> bytes:
        """Encode to one record."""
        return encode([tensor], self.profile)[0].data

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """Decode one record."""
        return decode([data], self.profile)[0]

    def payload(self, data: bytes) -> int:
        """Count the bits of the sections."""
        return inspect(data).payload_bits

    def framing(self, data: bytes) -> int:
        """Count the bytes of the header, and of a video stream's parameter sets."""
        return framing(data)

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Return the tensor after the levels of a codebook or the range of a clip alone."""
        codec = open_codec(self.profile)
        return codec.quantise(tensor) if isinstance(codec, Quantising) else None

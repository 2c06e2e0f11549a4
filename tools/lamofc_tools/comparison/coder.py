"""What a comparison asks of a coder, and our codecs as such coders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from lamofc_codecs import Profile, Quality, Quantising, decode, encode, fit, framing, inspect, open_codec


class Coder(Protocol):
    """Tensors, tokens x channels, to bytes and back."""

    profile_bytes: int
    """Of what was learned from the samples."""

    def encode(self, tensor: Tensor) -> bytes:
        """All that a decoder needs besides what was learned."""

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """The tensor again, of the shape and the dtype of another."""

    def payload(self, data: bytes) -> int:
        """Bits without what frames them."""

    def framing(self, data: bytes) -> int:
        """Bytes that only frame the rest: headers, containers."""

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """What quantisation alone leaves, where a second step loses more."""


class Ours:
    """One of our codecs, fitted."""

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
        """One record."""
        return encode([tensor], self.profile)[0].data

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """Its tensor."""
        return decode([data], self.profile)[0]

    def payload(self, data: bytes) -> int:
        """Bits of its sections."""
        return inspect(data).payload_bits

    def framing(self, data: bytes) -> int:
        """Its header, and a video stream's parameter sets."""
        return framing(data)

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Of a codebook or a range: what it leaves by itself."""
        codec = open_codec(self.profile)
        return codec.quantise(tensor) if isinstance(codec, Quantising) else None

"""The interface that a comparison needs of a coder, and a codec of this project behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from lamofc_codecs import (
    CODECS,
    Grouped,
    Profile,
    Quality,
    Quantising,
    decode,
    describe,
    encode,
    fit,
    framing,
    inspect,
    open_codec,
)
from lamofc_tools.comparison.splits import SampleSplit


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

    def falls_back(self, data: bytes) -> bool:
        """Tell whether another, lossless coder wrote the bytes because this one's would be more."""

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Return the tensor after quantisation alone, where a second step loses more; None otherwise."""


class CodecCoder:
    """A codec of this project, fitted to samples."""

    def __init__(self, codec: str, quality: Quality | None, options: Mapping[str, Any], split: SampleSplit) -> None:
        self._widths = split.parts if issubclass(CODECS[codec], Grouped) else {}
        planes = {"planes": True} if split.has_planes and "planes" in describe(codec)["options"] else {}
        train: Any = list(map(self._parts_of, split.train)) if self._widths else split.train
        features = list(self._widths) or [split.feature]
        self.profile: Profile = fit(codec, train, quality, features=features, **{**planes, **options})
        self.profile_bytes = len(self.profile.data)

    def encode(self, tensor: Tensor, planes: int = 1) -> bytes:
        """Encode to one record, that of a group if the tensor holds several features."""
        element = self._parts_of(tensor) if self._widths else tensor
        return encode([element], self.profile, planes=[planes])[0].data

    def _parts_of(self, tensor: Tensor) -> dict[str, Tensor]:
        """Divide a tensor among its features."""
        return dict(zip(self._widths, torch.split(tensor, list(self._widths.values()), 1), strict=True))

    def decode(self, data: bytes, like: Tensor) -> Tensor:
        """Decode one record."""
        parts = decode([data], self.profile)
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def payload(self, data: bytes) -> int:
        """Count the bits of the sections."""
        return inspect(data).payload_bits

    def framing(self, data: bytes) -> int:
        """Count the bytes of the header, and of a video stream's parameter sets."""
        return framing(data)

    def falls_back(self, data: bytes) -> bool:
        """Tell whether the record is of another codec than the profile's."""
        return inspect(data).number != CODECS[self.profile.codec].number

    def quantised(self, tensor: Tensor) -> Tensor | None:
        """Return the tensor after the levels of a codebook or the range of a clip alone."""
        codec = open_codec(self.profile)
        return codec.quantise(tensor) if isinstance(codec, Quantising) else None

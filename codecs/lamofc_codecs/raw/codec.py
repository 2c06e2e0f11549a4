"""The codec `raw`, lossless for every dtype: the bytes as they are, or byte planes, each in its shortest form."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, require
from lamofc_codecs.entropy import count_symbols, decode_plane, entropy_bytes, write_plane
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.options import Options
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.raw.byte_planes import bytes_of, merge, split, word_of
from lamofc_codecs.source import Encoding, Source

_BYTES, _PLANES = b"\x00", b"\x01"
"""First byte of a section, which says whether the tensor's bytes or its planes follow."""
_PLANE = struct.Struct("<BQ")
_SAMPLED_WORDS = 4096
"""Values from which the size of a record is estimated."""


class Raw(Codec):
    """Lossless codec that restores every bit, those of NaNs and negative zeros included, without a profile."""

    id = "raw"
    number = 1
    summary = "lossless for every dtype, exponents entropy-coded"
    qualities = ("lossless",)
    needs_profile = False

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: Options) -> Profile:
        """Return the one constant profile; no sample is read."""
        return Profile(cls.id, {}, {})

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Write byte planes if they are shorter than the bytes themselves."""
        data = bytes_of(source.tensor)
        size, rotated = word_of(source.tensor.dtype)
        planes = [write_plane(plane) for plane in split(data, size, rotated)]
        if sum(len(body) + _PLANE.size for _, body in planes) >= len(data):
            return Encoding((_BYTES + data.tobytes(),))
        heads = b"".join(_PLANE.pack(form, len(body)) for form, body in planes)
        return Encoding((b"".join((_PLANES, heads, *(body for _, body in planes))),))

    def keep(self, layers: Sequence[memoryview], decoded: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Code these rows again, without loss."""
        return self.encode(Source.of(decoded[torch.from_numpy(rows)].contiguous(), None), None).layers

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse plain bytes of another length. Planes may be constant, so no length of theirs is too short."""
        if layers[0][:1] == _BYTES:
            require(
                len(layers[0]) == size + 1, f"{len(layers[0])} bytes of which one is a mark, for a tensor of {size}"
            )

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` with the source's bits."""
        data, target = layers[0], bytes_of(out)
        size, rotated = word_of(out.dtype)
        if data[:1] == _BYTES and len(data) == 1 + len(target):
            target[:] = np.frombuffer(data, np.uint8, offset=1)
            return
        at = 1 + size * _PLANE.size
        if data[:1] != _PLANES or len(data) < at:
            raise CorruptRecord(f"{len(data)} bytes beginning with {bytes(data[:1])!r} for {len(target)} bytes raw")
        ends = [at]
        for number in range(size):
            _, length = _PLANE.unpack_from(data, 1 + number * _PLANE.size)
            if length > len(data) - ends[-1]:
                raise CorruptRecord(f"plane {number} of {length} bytes, but {len(data) - ends[-1]} are left")
            ends.append(ends[-1] + length)
        if ends[-1] != len(data):
            raise CorruptRecord(f"{len(data) - ends[-1]} bytes follow the last plane")
        forms = (data[1 + number * _PLANE.size] for number in range(size))
        pieces = (data[first:last] for first, last in pairwise(ends))
        planes = (decode_plane(form, piece, len(target) // size) for form, piece in zip(forms, pieces, strict=True))
        merge(planes, target, size, rotated)


def least_size(tensor: Tensor) -> float:
    """Estimate the fewest bytes that a record of `raw` could have, from some thousands of the values.

    The estimate is cheap and low: the entropy of few values comes out too small.
    """
    size, rotated = word_of(tensor.dtype)
    words = bytes_of(tensor).reshape(-1, size)
    sampled = np.ascontiguousarray(words[:: len(words) // _SAMPLED_WORDS | 1])
    sampled_bytes = sum(entropy_bytes(count_symbols(plane)) for plane in split(sampled.reshape(-1), size, rotated))
    return sampled_bytes * len(words) / max(len(sampled), 1)

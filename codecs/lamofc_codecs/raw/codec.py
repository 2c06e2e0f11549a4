"""Lossless, for every dtype: the bytes as they are, or in planes of like bytes, each in its shortest form."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import Codec, require
from lamofc_codecs.entropy import count_symbols, entropy_bytes, read_plane, write_plane
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.raw.byte_planes import bytes_of, merge, split, word_of
from lamofc_codecs.source import Coded, Source

_WHOLE, _PLANES = b"\x00", b"\x01"
_PLANE = struct.Struct("<BQ")
_SEEN = 4096


class Raw(Codec):
    """Every bit comes back, NaN payloads and negative zeros included. Its profile is empty and no decoder needs it."""

    id = "raw"
    number = 1
    summary = "lossless for every dtype, exponents entropy-coded"
    qualities = ("lossless",)

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None = None, **options: object) -> Profile:
        """Return the one constant profile; no sample is looked at."""
        cls.check_quality(quality)
        cls.check_options(options)
        return Profile(cls.id, {}, {})

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)

    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Write planes where that is shorter than the bytes."""
        self.check_quality(quality)
        data = bytes_of(source.tensor)
        size, turned = word_of(source.tensor.dtype)
        planes = [write_plane(plane) for plane in split(data, size, turned)]
        if sum(len(body) + _PLANE.size for _, body in planes) >= len(data):
            return Coded((_WHOLE + data.tobytes(),))
        heads = b"".join(_PLANE.pack(form, len(body)) for form, body in planes)
        return Coded((b"".join((_PLANES, heads, *(body for _, body in planes))),))

    def keep(self, layers: Sequence[memoryview], whole: Tensor, rows: NDArray[np.int64]) -> Sequence[bytes]:
        """Code those rows."""
        return self.encode(Source.of(whole[torch.from_numpy(rows)].contiguous(), None)).layers

    def check_length(self, layers: Sequence[memoryview], size: int) -> None:
        """Refuse bytes of another number; planes may be constant, and hold anything."""
        if layers[0][:1] == _WHOLE:
            require(
                len(layers[0]) == size + 1, f"{len(layers[0])} bytes of which one is a mark, for a tensor of {size}"
            )

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` with the source's bits."""
        data, target = layers[0], bytes_of(out)
        size, turned = word_of(out.dtype)
        if data[:1] == _WHOLE and len(data) == 1 + len(target):
            target[:] = np.frombuffer(data, np.uint8, offset=1)
            return
        at = 1 + size * _PLANE.size
        if data[:1] != _PLANES or len(data) < at:
            raise CorruptRecord(f"{len(data)} bytes beginning with {bytes(data[:1])!r} for {len(target)} bytes raw")
        planes = np.empty((size, len(target) // size), np.uint8)
        for number, plane in enumerate(planes):
            form, length = _PLANE.unpack_from(data, 1 + number * _PLANE.size)
            if length > len(data) - at:
                raise CorruptRecord(f"plane {number} of {length} bytes, but {len(data) - at} are left")
            read_plane(form, data[at : at + length], plane)
            at += length
        if at != len(data):
            raise CorruptRecord(f"{len(data) - at} bytes follow the last plane")
        merge(planes, target, turned)


def least_size(tensor: Tensor) -> float:
    """Return about how many bytes a record could not go below here, from some thousands of the values.

    It is cheap, and errs to the low side: with few values an entropy comes out too small.
    """
    size, turned = word_of(tensor.dtype)
    words = bytes_of(tensor).reshape(-1, size)
    seen = np.ascontiguousarray(words[:: len(words) // _SEEN | 1])
    seen_bytes = sum(entropy_bytes(count_symbols(plane)) for plane in split(seen.reshape(-1), size, turned))
    return seen_bytes * len(words) / max(len(seen), 1)

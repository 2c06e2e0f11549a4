"""The codec `lloydmax`: one scalar codebook for a whole feature, as in DT-UFC, with entropy-coded level indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codebook.levels import ASSIGN, Levels, Numbers, fit_levels
from lamofc_codecs.codebook.options import LevelOptions
from lamofc_codecs.codec import Codec, check_channels, require
from lamofc_codecs.entropy import Tables, count_symbols, normalise, read_plane, write_plane
from lamofc_codecs.errors import CodecError
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import refuse_unrouted
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import convert
from lamofc_codecs.source import Encoding, Source
from lamofc_codecs.stats import measure_distortion

SYMBOLS = 256
"""Symbols of the entropy table: level indices of more than eight bits are coded by their highest eight."""


class LloydMax(Codec):
    """Codec of 2 to 1024 levels, 256 by default, for all channels; the entropy of the levels determines the rate.

    Options: `bits`, 1 to 10; `levels`, rising numbers to use instead of placing them; `mapping`, a mapping.json with
    levels for features, and `family`, the family of models within it; `assign`, nearest or, as in the published
    code, floor; `device`, the device that sorts the values.
    """

    id = "lloydmax"
    number = 3
    summary = "256 levels placed by k-means, one entropy table"
    options = LevelOptions
    fit_samples = 10

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None, options: LevelOptions) -> Profile:
        """Place the levels on samples, or take those of the options, and fit their entropy table."""
        refuse_unrouted({"mapping": options.mapping})
        levels, values, bulk = fit_levels(samples, options.levels, options.bits, options.device)
        numbers = Levels(levels, options.assign).numbers(values)
        # A level that no sample uses may occur later, so each gets a frequency above 0.
        counts = count_symbols(_high(numbers, levels.size)) * SYMBOLS
        counts[: min(levels.size, SYMBOLS)] += 1
        tensors = {} if bulk is None else bulk.tensors()
        tensors |= {
            "levels": torch.from_numpy(levels),
            "table": torch.from_numpy(normalise(counts).astype(np.int32)),
        }
        channels = None if bulk is None else len(bulk.mean)
        return Profile(cls.id, {**options.to_json(), "channels": channels}, tensors)

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        if set(profile.config) != {"assign", "channels"}:
            raise CodecError(
                f"profile {profile.id[:12]} has config {dict(profile.config)!r}", f"assign: one of {', '.join(ASSIGN)}"
            )
        self._levels = Levels.of(profile)
        check_channels(profile, self.bulk)
        table = profile.tensor("table", torch.int32, SYMBOLS).numpy()
        self._table = Tables.of(table.clip(0, 1 << 15).astype(np.uint16))

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        """Write the level indices of all values, tokens before channels."""
        source = source.for_lossy(self.id, source.channels if self.bulk is None else len(self.bulk.mean))
        if not source.values.size:
            return Encoding((b"",))
        numbers = self._levels.numbers(source.values)
        form, body = write_plane(_high(numbers, len(self._levels.levels)), self._table)
        decoded = torch.empty_like(source.tensor)
        self._levels.restore(numbers, decoded)
        error = measure_distortion(source.values, convert(decoded, torch.float32).numpy(), self.bulk)
        return Encoding((bytes((form,)) + _low(numbers, self._levels.bits) + body,), (error,))

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` with levels."""
        data, size = layers[0], out.numel()
        if not size:
            require(not len(data), f"{len(data)} bytes for a tensor of {tuple(out.shape)}")
            return
        require(len(data) > 0, f"no bytes for a tensor of {tuple(out.shape)}")
        low_bits = max(self._levels.bits - 8, 0)
        low_bytes = (size * low_bits + 7) // 8
        require(len(data) > low_bytes, f"{len(data)} bytes for {size} numbers of {self._levels.bits} bits")
        high = np.empty(size, np.uint8)
        read_plane(data[0], data[1 + low_bytes :], high, self._table)
        numbers: Numbers = high
        if low_bits:
            bits = np.unpackbits(np.frombuffer(data[1 : 1 + low_bytes], np.uint8), bitorder="little")
            low = bits[: size * low_bits].reshape(size, low_bits) @ (1 << np.arange(low_bits, dtype=np.uint16))
            require(not bits[size * low_bits :].any(), f"bits are set behind the {size * low_bits} low bits")
            numbers = ((high.astype(np.uint16) << low_bits) | low.astype(np.uint16)).astype(np.uint16)
        elif len(self._levels.levels) < SYMBOLS:
            require(bool((high < len(self._levels.levels)).all()), f"a number of {len(self._levels.levels)} or more")
        self._levels.restore(numbers, out)


def _high(numbers: Numbers, levels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the highest eight bits of each level index, which are entropy-coded."""
    return (numbers >> max(levels.bit_length() - 9, 0)).astype(np.uint8)


def _low(numbers: Numbers, bits: int) -> bytes:
    """Return the bits below the highest eight, uncoded: adjacent levels among so many are about equally likely."""
    if bits <= 8:
        return b""
    places = np.arange(bits - 8, dtype=np.uint16)
    return np.packbits((numbers[:, None] >> places) & 1, axis=None, bitorder="little").tobytes()

"""A scalar codebook for the whole feature, its levels placed by k-means: the quantiser of DT-UFC, entropy-coded.

The published code gives a value to the level on its left (`assign="floor"`), its paper to the nearest one; the bytes
that a decoder reads mean the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.bulk import Bulk, Floats, distortion
from lamofc_codecs.channels import statistics
from lamofc_codecs.codec import Codec, Coded, Source
from lamofc_codecs.compiled import compiled
from lamofc_codecs.dtypes import convert
from lamofc_codecs.errors import CodecError, CorruptRecord, UnsupportedInput
from lamofc_codecs.histogram import histogram, normalise
from lamofc_codecs.kmeans import place_levels
from lamofc_codecs.order0 import read_plane, write_plane
from lamofc_codecs.profile import Profile
from lamofc_codecs.quality import Quality
from lamofc_codecs.tables import Tables

LEVELS = 256
_ASSIGN = ("nearest", "floor")


class LloydMax(Codec):
    """256 levels for all channels; the rate is what their entropy makes it."""

    id = "lloydmax"
    number = 3
    summary = "256 levels placed by k-means, one entropy table"
    options = ("assign", "levels")

    @classmethod
    def fit(cls, samples: Iterable[Tensor], quality: Quality | None = None, **options: object) -> Profile:
        """Place the levels on samples. Options: `levels`, 256 rising numbers to use instead; `assign`."""
        cls.check_quality(quality)
        cls.check_options(options)
        assign, levels = options.get("assign", "nearest"), options.get("levels")
        if assign not in _ASSIGN:
            raise UnsupportedInput(f"assign={assign!r}", f"one of {_ASSIGN}")
        collected = statistics(samples)
        tensors: dict[str, Tensor] = {}
        counts = np.zeros(LEVELS, np.int64)
        if collected.tokens or levels is None:
            values = np.sort(collected.values().reshape(-1))
            if not values.size:
                raise CodecError(
                    f"nothing to fit on: {collected.tokens} tokens of no channels", "give samples with values"
                )
            placed = place_levels(values, LEVELS) if levels is None else _given_levels(levels)
            counts = histogram(assign_levels(values, _edges(placed, assign)))
            tensors = collected.finish()[0].tensors()
        else:
            placed = _given_levels(levels)
        # A level that the samples never use may still occur: every one keeps a slot.
        table = normalise(counts * LEVELS + 1)
        tensors |= {"levels": torch.from_numpy(placed), "table": torch.from_numpy(table.astype(np.int32))}
        channels = collected.channels if collected.tokens else None
        return Profile(cls.id, {"assign": assign, "channels": channels}, tensors)

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)
        assign = profile.config.get("assign")
        if set(profile.config) != {"assign", "channels"} or assign not in _ASSIGN:
            raise CodecError(
                f"profile {profile.id[:12]} has config {dict(profile.config)!r}", f"assign: one of {_ASSIGN}"
            )
        self._levels = _given_levels(profile.tensor("levels", torch.float32, LEVELS).numpy())
        self._edges = _edges(self._levels, assign)
        table = profile.tensor("table", torch.int32, LEVELS).numpy()
        self._table = Tables.of(table.clip(0, 1 << 15).astype(np.uint16))
        self._bulk = Bulk.of(profile)
        if profile.config["channels"] != (len(self._bulk.mean) if self._bulk else None):
            raise CodecError(
                f"profile {profile.id[:12]} says {profile.config['channels']} channels", "fit the profile again"
            )

    @property
    def bulk(self) -> Bulk | None:
        """Where the profile's bulk lies; None for levels that were given without samples."""
        return self._bulk

    def encode(self, source: Source, quality: Quality | None = None) -> Coded:
        """Write the level numbers of all values, tokens before channels."""
        self.check_quality(quality)
        self.check_lossy(source, source.channels if self._bulk is None else len(self._bulk.mean))
        if not source.values.size:
            return Coded((b"",))
        numbers = assign_levels(source.values.reshape(-1), self._edges)
        form, body = write_plane(numbers, self._table)
        decoded = torch.empty_like(source.tensor)
        self._restore(numbers, decoded)
        error = distortion(source.values, convert(decoded, torch.float32).numpy(), self._bulk)
        return Coded((bytes((form,)) + body,), (error,))

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        """Fill `out` with levels."""
        data = layers[0]
        if not out.numel():
            if len(data):
                raise CorruptRecord(f"{len(data)} bytes for a tensor of {tuple(out.shape)}")
            return
        if not len(data):
            raise CorruptRecord(f"no bytes for a tensor of {tuple(out.shape)}")
        numbers = np.empty(out.numel(), np.uint8)
        read_plane(data[0], data[1:], numbers, self._table)
        self._restore(numbers, out)

    def _restore(self, numbers: NDArray[np.uint8], out: Tensor) -> None:
        # 256 levels are rounded to the dtype once; a level past the largest float16 would become infinite.
        levels = torch.from_numpy(self._levels)
        if out.dtype == torch.float16:
            levels = levels.clamp(-torch.finfo(out.dtype).max, torch.finfo(out.dtype).max)
        rounded = levels.to(out.dtype)
        if out.dtype == torch.float32:
            _look_up(numbers, rounded.numpy(), out.view(-1).numpy())
        else:
            words = torch.int16 if out.itemsize == 2 else torch.int64
            _look_up(numbers, rounded.view(words).numpy(), out.view(-1).view(words).numpy())


def _given_levels(levels: object) -> Floats:
    """Check a list of levels, such as a published mapping's JSON holds."""
    try:
        found = np.array(levels, np.float32)
    except (TypeError, ValueError) as error:
        raise UnsupportedInput(f"levels: {error}", f"give {LEVELS} numbers") from error
    if found.shape != (LEVELS,) or not np.isfinite(found).all() or not (np.diff(found) > 0).all():
        raise UnsupportedInput(
            f"{found.size} levels from {found.min(initial=np.inf)} to {found.max(initial=-np.inf)}",
            f"give {LEVELS} finite numbers that rise in float32",
        )
    return found


def _edges(levels: Floats, assign: object) -> Floats:
    """Return the least value of each level but the first."""
    if assign == "floor":
        return levels[1:]
    middles = ((levels[1:].astype(np.float64) + levels[:-1]) / 2).astype(np.float32)
    # Between neighbouring floats the middle may round to the lower one, which would then belong to the upper level.
    return np.maximum(middles, np.nextafter(levels[:-1], np.float32(np.inf)))


def assign_levels(values: Floats, edges: Floats) -> NDArray[np.uint8]:
    """Return, for each value, how many of 255 rising edges are not above it. NaN must not come here."""
    # The search takes eight halvings whatever the value: without a branch, several of them overlap.
    padded = np.append(edges, np.float32(np.inf))
    numbers = np.empty(len(values), np.uint8)
    _search(values, padded, numbers)
    return numbers


@compiled
def _search(values: Floats, edges: Floats, numbers: NDArray[np.uint8]) -> None:
    for i in range(len(values)):
        v = values[i]
        at = np.int64(0)
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            at += step * np.int64(edges[at + step - 1] <= v)
        numbers[i] = np.uint8(at)


@compiled
def _look_up(numbers: NDArray[np.uint8], levels: Floats, out: Floats) -> None:
    for i in range(len(numbers)):
        out[i] = levels[numbers[i]]

"""The bulk of a feature: its entries but for the massive ones, and the sums that its figures are made of.

A few entries at 1e4 hold nearly all the energy of some features; a signal-to-noise ratio over all entries then says
nothing about the rest. So `snr_db` counts the entries within 32 median absolute deviations of their channel's median
in the calibration samples. The bounds stand in the profile, and are the same for every codec.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import CodecError, NonFiniteInput
from lamofc_codecs.profile import Profile

DEVIATIONS = 32.0
_KEPT_ELEMENTS = 1 << 24
_LARGEST = float(np.finfo(np.float32).max)

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Bulk:
    """Per-channel mean of the bulk and the bounds that it lies within, each float32 of shape [channels]."""

    mean: Floats
    low: Floats
    high: Floats

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name."""
        return {
            "bulk_mean": torch.from_numpy(self.mean),
            "bulk_low": torch.from_numpy(self.low),
            "bulk_high": torch.from_numpy(self.high),
        }

    @classmethod
    def of(cls, profile: Profile | None) -> Bulk | None:
        """Read from a profile; None where it has no bounds."""
        if profile is None or "bulk_mean" not in profile.tensors:
            return None
        mean = profile.tensor("bulk_mean", torch.float32, -1)
        low, high = (profile.tensor(name, torch.float32, len(mean)) for name in ("bulk_low", "bulk_high"))
        return cls(mean.numpy(), low.numpy(), high.numpy())


@dataclass(frozen=True)
class Sums:
    """Sums over one tensor's values in float32, added up in float64; non-finite entries are left out."""

    sum: float
    sum_sq: float
    signal: float
    """Sum over the bulk of (value - channel mean) squared."""
    bulk: int
    """Number of bulk entries."""
    bad: int
    """Number of non-finite entries."""


@dataclass(frozen=True)
class Distortion:
    """What a decoded tensor differs by: sums over all entries and over the bulk, and the largest difference."""

    sse: float
    bulk_sse: float
    max_error: float


def survey(x: Floats, bulk: Bulk | None) -> Sums:
    """Sum up `x` (tokens x channels). Without a bulk, every finite entry counts, about the tensor's own channel means."""
    channels = x.shape[1]
    total, square, signal = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    if bulk is not None:
        inside, bad = _survey(x, bulk.mean, bulk.low, bulk.high, total, square, signal)
        return Sums(float(total.sum()), float(square.sum()), float(signal.sum()), int(inside), int(bad))
    if not x.size:
        return Sums(0.0, 0.0, 0.0, 0, 0)
    # About the first token, not about 0: a channel whose mean dwarfs its deviation would cancel to noise.
    origin = np.where(np.isfinite(x[0]), x[0], np.float32(0))
    open_low, open_high = np.full(channels, -_LARGEST, np.float32), np.full(channels, _LARGEST, np.float32)
    inside, bad = _survey(x, origin, open_low, open_high, total, square, signal)
    counts = np.full(channels, len(x)) if not bad else np.isfinite(x).sum(0)
    about = total - counts * origin.astype(np.float64)
    signal -= np.divide(about * about, counts, out=np.zeros(channels), where=counts > 0)
    return Sums(float(total.sum()), float(square.sum()), float(max(signal.sum(), 0.0)), int(inside), int(bad))


def distortion(x: Floats, decoded: Floats, bulk: Bulk | None) -> Distortion:
    """Compare `x` with what is decoded in its place, both tokens x channels."""
    channels = x.shape[1]
    sse, inside = np.zeros(channels), np.zeros(channels)
    low = np.full(channels, -_LARGEST, np.float32) if bulk is None else bulk.low
    high = np.full(channels, _LARGEST, np.float32) if bulk is None else bulk.high
    worst = np.zeros(channels, np.float32)
    _distortion(x, decoded, low, high, sse, inside, worst)
    return Distortion(float(sse.sum()), float(inside.sum()), float(worst.max(initial=0)))


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _survey(
    x: Floats, mean: Floats, low: Floats, high: Floats, total: Floats, square: Floats, signal: Floats
) -> tuple[int, int]:
    # One accumulator a channel: the loop over channels vectorises without reordering any sum, so every machine agrees.
    inside = 0
    bad = 0
    for t in range(x.shape[0]):
        row = x[t]
        for c in range(x.shape[1]):
            v = row[c]
            finite = abs(v) <= np.float32(_LARGEST)
            w = np.float64(v if finite else np.float32(0))
            within = (v >= low[c]) & (v <= high[c])
            d = w - np.float64(mean[c])
            total[c] += w
            square[c] += w * w
            signal[c] += d * d if within else 0.0
            inside += within
            bad += not finite
    return inside, bad


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _distortion(
    x: Floats, decoded: Floats, low: Floats, high: Floats, sse: Floats, inside: Floats, worst: Floats
) -> None:
    for t in range(x.shape[0]):
        row, other = x[t], decoded[t]
        for c in range(x.shape[1]):
            v = row[c]
            finite = abs(v) <= np.float32(_LARGEST)
            d = np.float64(v) - np.float64(other[c]) if finite else 0.0
            sse[c] += d * d
            inside[c] += d * d if (v >= low[c]) & (v <= high[c]) else 0.0
            worst[c] = max(worst[c], np.float32(abs(d)))


class ChannelStatistics:
    """Per-channel figures of a stream of samples, in one pass and bounded memory.

    Tokens are kept by a hash of their number, ever fewer as the stream grows: the choice depends on nothing but the
    order of the tokens, and, unlike a fixed stride, cannot fall into step with the length of the samples.
    """

    def __init__(self, *, skip_nonfinite: bool = False, elements: int = _KEPT_ELEMENTS) -> None:
        """Keep at most `elements` values; tokens with non-finite values raise, or are left out if asked."""
        self._skip = skip_nonfinite
        self._elements = elements
        self._rows: list[Floats] = []
        self._ranks: list[NDArray[np.uint64]] = []
        self._limit = np.uint64(0xFFFFFFFFFFFFFFFF)
        self._kept = 0
        self.tokens = 0
        self.channels = -1

    def add(self, sample: Tensor) -> None:
        """Take in one sample, tokens x channels."""
        if sample.dim() != 2 or not sample.dtype.is_floating_point:
            raise CodecError(f"a sample to fit must be floating tokens x channels, got {sample.dtype} {tuple(sample.shape)}")
        if self.channels not in (-1, sample.shape[1]):
            raise CodecError(f"samples of one feature have one channel count, got {sample.shape[1]} after {self.channels}")
        self.channels = sample.shape[1]
        ranks = _hash(np.arange(self.tokens, self.tokens + len(sample), dtype=np.uint64))
        self.tokens += len(sample)
        chosen = ranks <= self._limit
        rows = sample.detach().cpu()[torch.from_numpy(chosen)].to(torch.float32).contiguous().numpy()
        finite = np.isfinite(rows).all(1)
        if not finite.all():
            if not self._skip:
                raise NonFiniteInput(
                    f"a sample to fit has {int((~np.isfinite(rows)).sum())} non-finite values of {rows.size}; "
                    'leave it out, or fit with nonfinite="exact"'
                )
            rows, chosen = rows[finite], np.flatnonzero(chosen)[finite]
        self._rows.append(rows)
        self._ranks.append(ranks[chosen])
        self._kept += len(rows)
        while self._kept * self.channels > self._elements and self._kept > 1:
            self._thin()

    def _thin(self) -> None:
        self._limit >>= np.uint64(1)
        rows, ranks = np.concatenate(self._rows), np.concatenate(self._ranks)
        stay = ranks <= self._limit
        self._rows, self._ranks = [rows[stay]], [ranks[stay]]
        self._kept = int(stay.sum())

    def values(self) -> Floats:
        """Return the tokens kept, tokens x channels."""
        if not self._kept:
            raise CodecError(f"nothing to fit on: the samples hold {self.tokens} tokens that can be used; give at least one")
        return np.concatenate(self._rows)

    def finish(self) -> tuple[Bulk, Floats]:
        """Return the bulk's bounds and means, and the standard deviation within it, per channel."""
        columns = np.ascontiguousarray(self.values().T)
        median = np.median(columns, axis=1).astype(np.float32)
        apart = np.abs(columns - median[:, None])
        spread = _spread(np.median(apart, axis=1).astype(np.float64), apart.mean(axis=1, dtype=np.float64))
        reach = np.minimum(DEVIATIONS * spread, _LARGEST)
        low = np.maximum(median - reach, -_LARGEST).astype(np.float32)
        high = np.minimum(median + reach, _LARGEST).astype(np.float32)
        within = (columns >= low[:, None]) & (columns <= high[:, None])
        counts = within.sum(1)
        mean = (columns.sum(1, dtype=np.float64, where=within) / counts).astype(np.float32)
        away = columns - mean[:, None]
        sigma = np.sqrt(np.square(away, dtype=np.float64).sum(1, where=within) / counts).astype(np.float32)
        return Bulk(mean, low, high), sigma


def statistics(samples: Iterable[Tensor], *, skip_nonfinite: bool = False) -> ChannelStatistics:
    """Take in all samples."""
    collected = ChannelStatistics(skip_nonfinite=skip_nonfinite)
    for sample in samples:
        collected.add(sample)
    return collected


def _spread(mad: NDArray[np.float64], mean_apart: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace a median deviation of 0: by the mean one (a sparse channel), else by the feature's own (a constant one).

    Where the whole feature is constant there is no scale to go by, and the bounds are open.
    """
    spread = np.where(mad > 0, mad, mean_apart)
    known = spread[spread > 0]
    return np.where(spread > 0, spread, np.median(known) if known.size else _LARGEST)


def _hash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread consecutive numbers evenly over 64 bits (the finaliser of splitmix64)."""
    x = numbers + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

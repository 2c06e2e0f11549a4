"""Sums of a tensor and of its errors, over all entries and over the bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise, starmap

import numpy as np

from lamofc_codecs.runtime import Doubles, Floats, compiled
from lamofc_codecs.stats.bulk import Bulk

_LARGEST = float(np.finfo(np.float32).max)


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


def total_sums(sums: Sequence[Sums]) -> Sums:
    """The sums of several tensors together."""
    return Sums(*(sum(getattr(one, field.name) for one in sums) for field in fields(Sums)))


def total_distortion(several: Sequence[Distortion]) -> Distortion:
    """That of several tensors together."""
    return Distortion(
        sum(one.sse for one in several),
        sum(one.bulk_sse for one in several),
        max((one.max_error for one in several), default=0.0),
    )


def interpolate_distortion(share: float, worse: Distortion, better: Distortion) -> Distortion:
    """What lies that share of the way from the better to the worse; its largest error is that of the worse."""
    return Distortion(
        better.sse + share * (worse.sse - better.sse),
        better.bulk_sse + share * (worse.bulk_sse - better.bulk_sse),
        max(worse.max_error, better.max_error),
    )


NO_DISTORTION = Distortion(0.0, 0.0, 0.0)


def survey(x: Floats, bulk: Bulk | None) -> Sums:
    """Sum up `x`, tokens x channels. Without a bulk every finite entry counts, about the tensor's own channel means."""
    channels = x.shape[1]
    sums = np.zeros((3, channels))
    if bulk is not None:
        inside, bad = _survey(x, np.stack([bulk.mean, bulk.low, bulk.high]), sums)
        return Sums(float(sums[0].sum()), float(sums[1].sum()), float(sums[2].sum()), int(inside), int(bad))
    if not x.size:
        return Sums(0.0, 0.0, 0.0, 0, 0)
    # About the first token, not about 0: a channel whose mean dwarfs its deviation would cancel to noise.
    origin = np.where(np.isfinite(x[0]), x[0], np.float32(0))
    inside, bad = _survey(x, np.stack([origin, *_open_bounds(channels)]), sums)
    counts = np.full(channels, len(x)) if not bad else np.isfinite(x).sum(0)
    about = sums[0] - counts * origin.astype(np.float64)
    signal = sums[2] - np.divide(about * about, counts, out=np.zeros(channels), where=counts > 0)
    return Sums(float(sums[0].sum()), float(sums[1].sum()), float(max(signal.sum(), 0.0)), int(inside), int(bad))


def measure_distortion(x: Floats, decoded: Floats, bulk: Bulk | None) -> Distortion:
    """Compare `x` with what is decoded in its place, both tokens x channels."""
    sums = np.zeros((2, x.shape[1]))
    worst = np.zeros(x.shape[1], np.float32)
    bounds = _open_bounds(x.shape[1]) if bulk is None else (bulk.low, bulk.high)
    _distortion(x, decoded, np.stack(bounds), sums, worst)
    return Distortion(float(sums[0].sum()), float(sums[1].sum()), float(worst.max(initial=0)))


def of_items(squares: Doubles, items: Sequence[int]) -> Doubles:
    """Sums over the tokens of each item."""
    ends = np.concatenate([[0], np.cumsum(squares)])[np.cumsum((0, *items))]
    found: Doubles = np.diff(ends)
    return found


def item_distortions(x: Floats, decoded: Floats, bulk: Bulk | None, items: Sequence[int]) -> tuple[Distortion, ...]:
    """The same for each of several items, given the tokens of each."""
    ends = np.cumsum((0, *items))
    if bulk is None:
        pairs = [(x[a:b], decoded[a:b]) for a, b in pairwise(ends)]
        return tuple(measure_distortion(np.ascontiguousarray(a), np.ascontiguousarray(b), None) for a, b in pairs)
    away = np.where(np.isfinite(x), x.astype(np.float64) - decoded, 0.0)
    squares = away**2
    sums = [of_items(some.sum(1), items).tolist() for some in (squares, squares * ~bulk.outside(x))]
    worst = [float(np.float32(np.abs(away[a:b]).max(initial=0))) for a, b in pairwise(ends)]
    return tuple(starmap(Distortion, zip(*sums, worst, strict=True)))


def _open_bounds(channels: int) -> tuple[Floats, Floats]:
    return np.full(channels, -_LARGEST, np.float32), np.full(channels, _LARGEST, np.float32)


@compiled
def _survey(x: Floats, bounds: Floats, sums: Doubles) -> tuple[int, int]:
    # One accumulator a channel: the loop over channels vectorises without reordering any sum, so every machine agrees.
    mean, low, high = bounds[0], bounds[1], bounds[2]
    total, square, signal = sums[0], sums[1], sums[2]
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


@compiled
def _distortion(x: Floats, decoded: Floats, bounds: Floats, sums: Doubles, worst: Floats) -> None:
    low, high = bounds[0], bounds[1]
    sse, inside = sums[0], sums[1]
    for t in range(x.shape[0]):
        row, other = x[t], decoded[t]
        for c in range(x.shape[1]):
            v = row[c]
            finite = abs(v) <= np.float32(_LARGEST)
            d = np.float64(v) - np.float64(other[c]) if finite else 0.0
            sse[c] += d * d
            inside[c] += d * d if (v >= low[c]) & (v <= high[c]) else 0.0
            away = np.float32(abs(np.float64(d)))
            worst[c] = away if away > worst[c] else worst[c]

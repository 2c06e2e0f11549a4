"""Sums over a tensor and over its coding errors, for all entries and for the bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise, starmap

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.runtime import Doubles, Floats, compiled, convert
from lamofc_codecs.stats.bulk import Bulk

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_PIECE = 1 << 22
"""Values that are converted to float32 at once."""


@dataclass(frozen=True)
class Sums:
    """Sums over the float32 values of a tensor, accumulated in float64; non-finite entries are excluded."""

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
    """Squared error of a decoded tensor, over all entries and over the bulk, and its largest absolute error."""

    sse: float
    bulk_sse: float
    max_error: float
    weighted_sse: float | None = None
    """Squared error as the profile weighs it; None where it weighs none."""


def total_sums(sums: Sequence[Sums]) -> Sums:
    """Add up the sums of several tensors."""
    return Sums(*(sum(getattr(part, field.name) for part in sums) for field in fields(Sums)))


def total_distortion(distortions: Sequence[Distortion]) -> Distortion:
    """Return the distortion of several tensors together."""
    return Distortion(
        sum(part.sse for part in distortions),
        sum(part.bulk_sse for part in distortions),
        max((part.max_error for part in distortions), default=0.0),
        _sum_of_known([part.weighted_sse for part in distortions]),
    )


def _sum_of_known(values: Sequence[float | None]) -> float | None:
    """Add up values; None unless all of them are known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def interpolate_distortion(share: float, worse: Distortion, better: Distortion) -> Distortion:
    """Interpolate from `better` (share 0) to `worse` (share 1); the largest error is that of the worse."""
    weighted = None
    if worse.weighted_sse is not None and better.weighted_sse is not None:
        weighted = better.weighted_sse + share * (worse.weighted_sse - better.weighted_sse)
    return Distortion(
        better.sse + share * (worse.sse - better.sse),
        better.bulk_sse + share * (worse.bulk_sse - better.bulk_sse),
        max(worse.max_error, better.max_error),
        weighted,
    )


NO_DISTORTION = Distortion(0.0, 0.0, 0.0)


def compute_sums(values: Floats | Tensor, bulk: Bulk | None) -> Sums:
    """Sum over tokens x channels. Without a bulk, `signal` is over all finite entries, about the channel means.

    Values that are no float32 are converted piece by piece.
    """
    tokens, channels = values.shape
    sums = np.zeros((3, channels))
    if bulk is not None:
        inside, nonfinite = _add_pieces(values, np.stack([bulk.mean, bulk.low, bulk.high]), sums)
        return Sums(float(sums[0].sum()), float(sums[1].sum()), float(sums[2].sum()), inside, nonfinite)
    if not (tokens and channels):
        return Sums(0.0, 0.0, 0.0, 0, 0)
    # Differences from the first token, not from 0: where a mean is far larger than its deviation, squares would cancel.
    first = next(_pieces(values))[0]
    origin = np.where(np.isfinite(first), first, np.float32(0))
    inside, nonfinite = _add_pieces(values, np.stack([origin, *_open_bounds(channels)]), sums)
    counts = np.full(channels, tokens)
    if nonfinite:
        counts = np.sum([np.isfinite(piece).sum(0) for piece in _pieces(values)], axis=0)
    differences = sums[0] - counts * origin.astype(np.float64)
    signal = sums[2] - np.divide(differences * differences, counts, out=np.zeros(channels), where=counts > 0)
    return Sums(float(sums[0].sum()), float(sums[1].sum()), float(max(signal.sum(), 0.0)), inside, nonfinite)


def _add_pieces(values: Floats | Tensor, bounds: Floats, sums: Doubles) -> tuple[int, int]:
    """Add all values to the sums; return the counts of those in the bulk and of those that are not finite."""
    counts = [_compute_sums(piece, bounds, sums) for piece in _pieces(values)]
    return sum(int(inside) for inside, _ in counts), sum(int(nonfinite) for _, nonfinite in counts)


def _pieces(values: Floats | Tensor) -> Iterator[Floats]:
    """Yield some tokens after another in float32, contiguous."""
    at_once = max(_PIECE // max(values.shape[1], 1), 1)
    for start in range(0, len(values), at_once):
        piece = values[start : start + at_once]
        yield np.ascontiguousarray(piece if isinstance(piece, np.ndarray) else convert(piece, torch.float32).numpy())


def measure_distortion(x: Floats | Tensor, decoded: Floats | Tensor, bulk: Bulk | None) -> Distortion:
    """Measure the distortion of `decoded` against `x`, both tokens x channels, converted piece by piece."""
    sums = np.zeros((2, x.shape[1]))
    largest = np.zeros(x.shape[1], np.float32)
    bounds = np.stack(_open_bounds(x.shape[1]) if bulk is None else (bulk.low, bulk.high))
    for piece, decoded_piece in zip(_pieces(x), _pieces(decoded), strict=True):
        _compare(piece, decoded_piece, bounds, sums, largest)
    return Distortion(float(sums[0].sum()), float(sums[1].sum()), float(largest.max(initial=0)))


def sum_by_item(values: Doubles, items: Sequence[int]) -> Doubles:
    """Sum the values of the tokens of each item; `items` are their numbers of tokens."""
    ends = np.concatenate([[0], np.cumsum(values)])[np.cumsum((0, *items))]
    sums: Doubles = np.diff(ends)
    return sums


def item_distortions(x: Floats, decoded: Floats, bulk: Bulk | None, items: Sequence[int]) -> tuple[Distortion, ...]:
    """Measure the distortion of each item; `items` are their numbers of tokens."""
    ends = np.cumsum((0, *items))
    if bulk is None:
        pairs = [(x[a:b], decoded[a:b]) for a, b in pairwise(ends)]
        return tuple(measure_distortion(np.ascontiguousarray(a), np.ascontiguousarray(b), None) for a, b in pairs)
    errors = np.where(np.isfinite(x), x.astype(np.float64) - decoded, 0.0)
    squares = errors**2
    sums = [sum_by_item(part.sum(1), items).tolist() for part in (squares, squares * ~bulk.outside(x))]
    largest = [float(np.float32(np.abs(errors[a:b]).max(initial=0))) for a, b in pairwise(ends)]
    return tuple(starmap(Distortion, zip(*sums, largest, strict=True)))


def _open_bounds(channels: int) -> tuple[Floats, Floats]:
    return np.full(channels, -_FLOAT32_MAX, np.float32), np.full(channels, _FLOAT32_MAX, np.float32)


@compiled
def _compute_sums(x: Floats, bounds: Floats, sums: Doubles) -> tuple[int, int]:
    # One accumulator a channel: the loop over channels is vectorised without reordering any sum, so that results are
    # equal on every machine.
    mean, low, high = bounds[0], bounds[1], bounds[2]
    total, square, signal = sums[0], sums[1], sums[2]
    inside = 0
    nonfinite = 0
    for t in range(x.shape[0]):
        row = x[t]
        for c in range(x.shape[1]):
            v = row[c]
            finite = abs(v) <= np.float32(_FLOAT32_MAX)
            w = np.float64(v if finite else np.float32(0))
            within = (v >= low[c]) & (v <= high[c])
            d = w - np.float64(mean[c])
            total[c] += w
            square[c] += w * w
            signal[c] += d * d if within else 0.0
            inside += within
            nonfinite += not finite
    return inside, nonfinite


@compiled
def _compare(x: Floats, decoded: Floats, bounds: Floats, sums: Doubles, largest: Floats) -> None:
    low, high = bounds[0], bounds[1]
    sse, inside = sums[0], sums[1]
    for t in range(x.shape[0]):
        row, decoded_row = x[t], decoded[t]
        for c in range(x.shape[1]):
            v = row[c]
            finite = abs(v) <= np.float32(_FLOAT32_MAX)
            d = np.float64(v) - np.float64(decoded_row[c]) if finite else 0.0
            sse[c] += d * d
            inside[c] += d * d if (v >= low[c]) & (v <= high[c]) else 0.0
            error = np.float32(abs(np.float64(d)))
            largest[c] = error if error > largest[c] else largest[c]

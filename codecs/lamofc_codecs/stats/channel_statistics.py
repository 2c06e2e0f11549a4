"""The first step of every fit: mean, spread and bounds of each channel, in one pass over the samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import BeyondFloat32, CodecError, NonFiniteInput
from lamofc_codecs.runtime import Doubles, Floats, compiled, describe_lost, lost_in_float32
from lamofc_codecs.stats.bulk import BOUND_DEVIATIONS, Bulk

_MAX_ELEMENTS = 1 << 24
"""Values of the subset of tokens on which the statistics are computed."""
_PIECE = 1 << 24
"""Values of a sample that are converted to float32 at once."""
_FLOAT32_MAX = float(np.finfo(np.float32).max)


class ChannelStatistics:
    """Statistics of each channel over a stream of samples, in one pass and bounded memory.

    They are computed on a subset of the tokens, selected by a hash of the token's number, whose share shrinks as the
    stream grows. The selection depends only on the order of the tokens and, unlike a fixed stride, cannot coincide with
    the length of the samples.
    """

    def __init__(self, *, skip_nonfinite: bool = False, elements: int = _MAX_ELEMENTS) -> None:
        """Hold at most `elements` values. Tokens with non-finite values raise an error, or are skipped."""
        self._skip_nonfinite = skip_nonfinite
        self._max_elements = elements
        self._rows: list[Floats] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._positions: list[NDArray[np.int64]] = []
        self._hash_limit = np.uint64(0xFFFFFFFFFFFFFFFF)
        self._count = 0
        self.tokens = 0
        self.samples = 0
        self.channels = -1

    def add(self, sample: Tensor) -> None:
        """Add one sample, tokens x channels."""
        if sample.dim() != 2 or not sample.dtype.is_floating_point:
            raise CodecError(
                f"a sample to fit must be floating tokens x channels, got {sample.dtype} {tuple(sample.shape)}",
                "reshape it, or use raw",
            )
        if self.channels not in (-1, sample.shape[1]):
            raise CodecError(
                f"samples of one feature have one channel count, got {sample.shape[1]} after {self.channels}",
                "fit one profile for each",
            )
        self.channels = sample.shape[1]
        self.samples += 1
        at_once = max(1, _PIECE // max(self.channels, 1))
        for start in range(0, len(sample), at_once):
            self._add(sample[start : start + at_once].detach().cpu(), start)

    def _add(self, values: Tensor, first: int) -> None:
        """Add consecutive tokens of a sample, given the position of the first one."""
        hashes = _hash(np.arange(self.tokens, self.tokens + len(values), dtype=np.uint64))
        self.tokens += len(values)
        selected = hashes <= self._hash_limit
        rows = values[torch.from_numpy(selected)].to(torch.float32).contiguous().numpy()
        finite = np.isfinite(rows).all(1)
        wide = values.dtype == torch.float64 and not self._skip_nonfinite
        if wide and torch.isfinite(values).all() and lost_in_float32(values).any():
            raise BeyondFloat32(
                f"of a sample to fit, {describe_lost(values)}", 'use codec raw, or fit with nonfinite="exact"'
            )
        if not finite.all():
            if not self._skip_nonfinite:
                raise NonFiniteInput(
                    f"a sample to fit has {int((~np.isfinite(rows)).sum())} non-finite values of {rows.size}",
                    'leave it out, or fit with nonfinite="exact"',
                )
            rows, selected = rows[finite], np.flatnonzero(selected)[finite]
        self._rows.append(rows)
        self._hashes.append(hashes[selected])
        self._positions.append(first + np.arange(len(values))[selected])
        self._count += len(rows)
        while self._count * self.channels > self._max_elements and self._count > 1:
            self._halve()

    def _halve(self) -> None:
        self._hash_limit >>= np.uint64(1)
        rows, hashes = np.concatenate(self._rows), np.concatenate(self._hashes)
        selected = hashes <= self._hash_limit
        self._rows, self._hashes = [rows[selected]], [hashes[selected]]
        self._positions = [np.concatenate(self._positions)[selected]]
        self._count = int(selected.sum())

    def values(self) -> Floats:
        """Return the selected tokens, tokens x channels."""
        if not self._count:
            raise CodecError(
                f"nothing to fit on: the samples hold {self.tokens} tokens, none of which can be used", "give samples"
            )
        return np.concatenate(self._rows)

    def positions(self) -> NDArray[np.int64]:
        """Return the position of each selected token in its sample."""
        return np.concatenate(self._positions)

    def _some(self) -> Floats:
        """Return the selected tokens, or those of the least hashes where they hold too many values."""
        limit = max(_MAX_ELEMENTS // max(self.channels, 1), 1)
        if self._count <= limit:
            return self.values()
        largest = np.partition(np.concatenate(self._hashes), limit - 1)[limit - 1]
        pieces = zip(self._rows, self._hashes, strict=True)
        return np.concatenate([rows[hashes <= largest] for rows, hashes in pieces])

    def finish(self) -> tuple[Bulk, Floats]:
        """Return the bulk, and the standard deviation of each channel within it.

        Some of many tokens tell all but the means.
        """
        # A quarter of the values: neither a difference nor the mean of two can then overflow.
        columns = np.ascontiguousarray(self._some().T) * np.float32(0.25)
        median = np.median(columns, axis=1).astype(np.float64)
        deviations = np.abs(columns - median[:, None].astype(np.float32))
        spread = _spread(np.median(deviations, axis=1).astype(np.float64), deviations.mean(axis=1, dtype=np.float64))
        distance = BOUND_DEVIATIONS * spread
        low = (4 * np.maximum(median - distance, -_FLOAT32_MAX / 4)).astype(np.float32)
        high = (4 * np.minimum(median + distance, _FLOAT32_MAX / 4)).astype(np.float32)
        within = (columns >= low[:, None] / 4) & (columns <= high[:, None] / 4)
        counts = np.maximum(within.sum(1), 1)
        mean = columns.sum(1, dtype=np.float64, where=within) / counts
        centred = columns - mean[:, None].astype(np.float32)
        sigma = 4 * np.sqrt(np.square(centred, dtype=np.float64).sum(1, where=within) / counts)
        means = 4 * mean if columns.shape[1] == self._count else self._means_within(low, high)
        return Bulk(means.astype(np.float32), low, high), np.minimum(sigma, _FLOAT32_MAX).astype(np.float32)

    def _means_within(self, low: Floats, high: Floats) -> Doubles:
        """Return the mean of each channel of all selected tokens, within bounds."""
        sums, counts = np.zeros(len(low)), np.zeros(len(low), np.int64)
        for rows in self._rows:
            _add_within(rows, low, high, sums, counts)
        means: Doubles = sums / np.maximum(counts, 1)
        return means


def collect_statistics(
    samples: Iterable[Tensor], *, skip_nonfinite: bool = False, elements: int = _MAX_ELEMENTS
) -> ChannelStatistics:
    """Collect the statistics of all samples."""
    collected = ChannelStatistics(skip_nonfinite=skip_nonfinite, elements=elements)
    for sample in samples:
        collected.add(sample)
    return collected


@compiled
def _add_within(rows: Floats, low: Floats, high: Floats, sums: Doubles, counts: NDArray[np.int64]) -> None:
    for t in range(rows.shape[0]):
        row = rows[t]
        for c in range(rows.shape[1]):
            within = (row[c] >= low[c]) & (row[c] <= high[c])
            sums[c] += np.float64(row[c]) if within else 0.0
            counts[c] += within


def _spread(median_deviation: NDArray[np.float64], mean_deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spread of each channel: its median deviation, or a substitute where that is 0.

    A sparse channel gets its mean deviation, a constant one the median spread of the other channels. A feature that is
    constant as a whole has no scale, so its bounds are open.
    """
    spread = np.where(median_deviation > 0, median_deviation, mean_deviation)
    positive = spread[spread > 0]
    return np.where(spread > 0, spread, np.median(positive) if positive.size else _FLOAT32_MAX)


def _hash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash consecutive numbers evenly over 64 bits (the finaliser of splitmix64)."""
    x = numbers + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

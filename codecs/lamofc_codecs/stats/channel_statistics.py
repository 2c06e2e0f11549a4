"""What is fitted on samples before anything else: each channel's middle, spread and bounds, in one pass."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import CodecError, NonFiniteInput, UnsupportedInput
from lamofc_codecs.runtime import Floats, describe_lost, lost_in_float32
from lamofc_codecs.stats.bulk import DEVIATIONS, Bulk

_KEPT_ELEMENTS = 1 << 24
_LARGEST = float(np.finfo(np.float32).max)


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
        self.samples = 0
        self.channels = -1

    def add(self, sample: Tensor) -> None:
        """Take in one sample, tokens x channels."""
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
        ranks = _hash(np.arange(self.tokens, self.tokens + len(sample), dtype=np.uint64))
        self.tokens += len(sample)
        self.samples += 1
        chosen = ranks <= self._limit
        values = sample.detach().cpu()
        rows = values[torch.from_numpy(chosen)].to(torch.float32).contiguous().numpy()
        finite = np.isfinite(rows).all(1)
        wide = values.dtype == torch.float64 and not self._skip
        if wide and torch.isfinite(values).all() and lost_in_float32(values).any():
            raise UnsupportedInput(
                f"of a sample to fit, {describe_lost(values)}", 'use codec raw, or fit with nonfinite="exact"'
            )
        if not finite.all():
            if not self._skip:
                raise NonFiniteInput(
                    f"a sample to fit has {int((~np.isfinite(rows)).sum())} non-finite values of {rows.size}",
                    'leave it out, or fit with nonfinite="exact"',
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
            raise CodecError(
                f"nothing to fit on: the samples hold {self.tokens} tokens, none of which can be used", "give samples"
            )
        return np.concatenate(self._rows)

    def finish(self) -> tuple[Bulk, Floats]:
        """Return the bulk's bounds and means, and the standard deviation within it, per channel."""
        # A quarter of the values: neither their differences nor the middle of two can then overflow.
        columns = np.ascontiguousarray(self.values().T) * np.float32(0.25)
        median = np.median(columns, axis=1).astype(np.float64)
        apart = np.abs(columns - median[:, None].astype(np.float32))
        spread = _spread(np.median(apart, axis=1).astype(np.float64), apart.mean(axis=1, dtype=np.float64))
        reach = DEVIATIONS * spread
        low = (4 * np.maximum(median - reach, -_LARGEST / 4)).astype(np.float32)
        high = (4 * np.minimum(median + reach, _LARGEST / 4)).astype(np.float32)
        within = (columns >= low[:, None] / 4) & (columns <= high[:, None] / 4)
        counts = np.maximum(within.sum(1), 1)
        mean = columns.sum(1, dtype=np.float64, where=within) / counts
        away = columns - mean[:, None].astype(np.float32)
        sigma = 4 * np.sqrt(np.square(away, dtype=np.float64).sum(1, where=within) / counts)
        return Bulk((4 * mean).astype(np.float32), low, high), np.minimum(sigma, _LARGEST).astype(np.float32)


def statistics(
    samples: Iterable[Tensor], *, skip_nonfinite: bool = False, elements: int = _KEPT_ELEMENTS
) -> ChannelStatistics:
    """Take in all samples."""
    collected = ChannelStatistics(skip_nonfinite=skip_nonfinite, elements=elements)
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

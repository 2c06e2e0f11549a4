"""Factors of an encoder's channel transform: matrices of two bytes, and the products of tokens by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.transform.channel_ranges import RangeColumns
from lamofc_codecs.runtime import Floats, compiled
from lamofc_codecs.runtime.products import int8_matmul, two_byte_matmul

MAX_TWO_BYTES = 127 * 128
"""Largest of the integers, held in two bytes, that tokens are multiplied as."""
_MAX_HELD_CHANNELS = 1 << 10
"""Products of bytes, at most 127 * 127 each, of which float32 holds any sum, and int32 128 times as much."""
_MAX_HELD_SQUARES = (0.99 * (1 << 24)) ** 2
"""Bound of the product of two vectors' squared lengths below which the same holds of the sum of their products."""


@dataclass(frozen=True, eq=False)
class Factors:
    """Least-squares factors of a range of channels: channels x columns, 128 times a byte plus a byte."""

    channels: slice
    columns: RangeColumns
    upper: Tensor
    """The upper bytes."""
    both: Tensor
    """The lower bytes above the upper ones, for both middle products at once."""
    scale: Floats
    """Scale of each column."""
    squares: NDArray[np.int64]
    """Squared length of each column's upper bytes."""

    @classmethod
    def of(cls, channels: slice, columns: RangeColumns, solved: Floats) -> Factors:
        """Write a matrix, columns x channels, in two bytes."""
        high, low, scale = two_bytes(solved)
        upper = torch.from_numpy(high).T.contiguous()
        both = torch.cat([torch.from_numpy(low).T, upper]).contiguous()
        squares: NDArray[np.int64] = np.square(high, dtype=np.int64).sum(1)
        return cls(channels, columns, upper, both, scale, squares)

    def first(self, count: int) -> Factors:
        """Return those of the first columns, counted over all ranges."""
        kept = int(np.searchsorted(self.columns, count))
        if kept == len(self.columns):
            return self
        upper, both = self.upper[:, :kept], self.both[:, :kept]
        return Factors(self.channels, self.columns[:kept], upper, both, self.scale[:kept], self.squares[:kept])

    def holds_sums_of(self, *bytes_of_tokens: NDArray[np.int8]) -> bool:
        """Say whether float32 holds the sums of products of these bytes, and int32 128 times as much.

        Then the sums of two products, rounded once, are those of one product of two bytes. It holds all sums of up to
        1024 channels, and of more those of vectors whose lengths have a small product (Cauchy and Schwarz).
        """
        if len(self.upper) <= _MAX_HELD_CHANNELS:
            return True
        return int(max(map(_longest, bytes_of_tokens))) * int(self.squares.max(initial=0)) < _MAX_HELD_SQUARES


def forward_tile(values: Floats, factors: Factors, out: Floats, *, roughly: bool) -> None:
    """Multiply tokens x channels by the factors, exactly but for the bytes; roughly leaves the lower ones out."""
    high, low, units = two_bytes(values)
    if roughly and factors.holds_sums_of(high, low):
        sums = two_byte_matmul(torch.from_numpy(low), torch.from_numpy(high), factors.upper)
        _scale(sums.numpy(), units, factors.scale, out)
        return
    first = int8_matmul(torch.from_numpy(high), factors.upper).numpy()
    if roughly:
        second = int8_matmul(torch.from_numpy(low), factors.upper).numpy()
    else:
        second = int8_matmul(torch.from_numpy(np.concatenate([high, low], axis=1)), factors.both).numpy()
    _join(first, second, units, factors.scale, out)


def two_bytes(rows: Floats) -> tuple[NDArray[np.int8], NDArray[np.int8], Floats]:
    """Write each row as 128 times a byte plus a byte, in units of a scale of its own."""
    largest = np.abs(rows).max(axis=1, initial=0)
    smallest = np.finfo(np.float32).tiny  # a quotient below it may be 0
    scale = np.where(largest > 0, np.maximum(largest / np.float32(MAX_TWO_BYTES), smallest), 1).astype(np.float32)
    high, low = np.empty(rows.shape, np.int8), np.empty(rows.shape, np.int8)
    _split(rows, scale, high, low)
    return high, low, scale


@compiled
def _split(rows: Floats, scale: Floats, high: NDArray[np.int8], low: NDArray[np.int8]) -> None:
    for t in range(rows.shape[0]):
        row, above, below, unit = rows[t], high[t], low[t], scale[t]
        for c in range(rows.shape[1]):
            scaled = np.int32(np.rint(row[c] / unit))
            upper = (scaled + np.int32(64)) >> np.int32(7)
            above[c] = np.int8(upper)
            below[c] = np.int8(scaled - upper * np.int32(128))


@compiled
def _longest(rows: NDArray[np.int8]) -> np.int64:
    """Return the largest sum of the squares of a row."""
    largest = np.int64(0)
    for t in range(rows.shape[0]):
        squares = np.int64(0)
        for c in range(rows.shape[1]):
            squares += np.int64(np.int32(rows[t, c]) * np.int32(rows[t, c]))
        largest = max(largest, squares)
    return largest


@compiled
def _scale(sums: NDArray[Any], units: Floats, scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        unit = units[t] * np.float32(128)
        for k in range(out.shape[1]):
            out[t, k] = np.float32(sums[t, k]) * (unit * scale[k])


@compiled
def _join(first: NDArray[np.int32], second: NDArray[np.int32], units: Floats, scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        unit = units[t] * np.float32(128)
        for k in range(out.shape[1]):
            total = np.float32(first[t, k]) * np.float32(128) + np.float32(second[t, k])
            out[t, k] = total * (unit * scale[k])

"""The channel transform: columns of numbers to channels and back, by an int8 matrix with a scale for each channel.

Decoding multiplies whole numbers and adds them up exactly, whatever the order. Encoding solves for the columns that
come nearest under that rounded matrix, so its rounding costs nothing, at whatever rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime import Floats, compiled, int8_matmul, lazy

Columns = NDArray[np.int64]
Ranges = list[tuple[slice, Columns]]

TILE = 256
"""Tokens that are transformed at once."""
_MOST, _WORTH = 64, 0.7
"""Ranges are made use of that are not many, and leave zeros enough."""
_TOP = 127
_STRIDES = 64
TWO_BYTES = 127 * 128
"""The largest of the whole numbers that tokens are multiplied as."""
_WHOLE = np.float32(TWO_BYTES)


@dataclass(frozen=True, eq=False)
class Basis:
    """Columns x channels: what one unit of each column adds to each channel, in units of the channel's scale."""

    rows: Tensor
    """int8."""
    scale: Tensor
    """float32, of each channel."""
    stride: Tensor | None = None
    """int32, of each column: how many steps lie between neighbouring numbers; one, where there is none."""

    @classmethod
    def of(cls, rows: Tensor, stride: Tensor | None = None) -> Basis:
        """Round a float matrix, columns x channels."""
        if stride is not None:
            rows = rows / stride[:, None]
        largest = rows.abs().amax(0) if len(rows) else torch.zeros(rows.shape[1])
        scale = torch.where(largest > 0, largest / _TOP, torch.ones_like(largest)).to(torch.float32)
        whole = torch.round(rows / scale.to(rows.dtype)).clamp(-_TOP, _TOP).to(torch.int8)
        return cls(whole.contiguous(), scale, stride)

    @classmethod
    def strided(cls, rows: Tensor) -> Basis:
        """Round a float matrix whose rows are of very different length, so that none is lost in rounding."""
        lengths = rows.square().sum(1).sqrt()
        unit = torch.maximum(lengths.min(), lengths.max() / _STRIDES)
        return cls.of(rows, torch.round(lengths / unit).clamp(1, _STRIDES).to(torch.int32) if unit > 0 else None)

    def floats(self) -> Tensor:
        """The matrix, float64."""
        matrix = self.rows.to(torch.float64) * self.scale.to(torch.float64)
        return matrix if self.stride is None else matrix * self.stride[:, None]

    @lazy
    def wide(self) -> Tensor:
        """What one part of each column adds to each channel, float32; strides not counted."""
        return self.rows.to(torch.float32) * self.scale

    @property
    def columns(self) -> int:
        """How many columns it has."""
        return self.rows.shape[0]

    @property
    def channels(self) -> int:
        """How many channels it makes."""
        return self.rows.shape[1]

    @lazy
    def ranges(self) -> Ranges:
        """Ranges of channels that no column joins, with their columns; the zeros beside them need not be multiplied."""
        return ranges_of(self.rows)

    @lazy
    def _cut(self) -> list[tuple[slice, Columns, Tensor]]:
        return [(where, columns, self.rows[columns, where].contiguous()) for where, columns in self.ranges]

    def inverse(self, low: NDArray[np.int8], high: NDArray[np.int8], channels: slice) -> NDArray[np.int32]:
        """Sums over columns, tokens x channels, of low + 128 high times the matrix; `high` may have fewer columns."""
        if len(self.ranges) < 2 or channels.stop - channels.start < self.channels:
            return _inverse(low, high, self.rows[:, channels])
        out = np.zeros((len(low), self.channels), np.int32)
        for where, columns, rows in self._cut:
            out[:, where] = _inverse(_columns_of(low, columns), _columns_of(high, columns), rows)
        return out


@dataclass(frozen=True, eq=False)
class Analysis:
    """From channels to columns: those that come nearest under a matrix."""

    matrix: Tensor
    """Columns x channels, float64."""
    ranges: Ranges
    """Of channels that no column joins, with their columns."""

    @classmethod
    def of(cls, basis: Basis) -> Analysis:
        """To columns of a basis, all channels counting alike."""
        return cls(basis.floats(), basis.ranges)

    @lazy
    def solving(self) -> list[tuple[slice, Columns, Tensor, Tensor, Floats]]:
        """Channels x columns: the columns that come nearest to given channels, in two bytes with a scale a column.

        Of each range, after its channels and columns: the upper bytes; under them the lower and the upper ones, for the
        two middle products at once; the scales.
        """
        found = []
        for where, columns in self.ranges:
            matrix = self.matrix[columns, where]
            gram = matrix @ matrix.T
            gram.diagonal().add_(1e-9 * float(gram.diagonal().mean()) if len(gram) else 0.0)
            solving = torch.linalg.solve(gram, matrix).T.to(torch.float32).numpy()
            high, low, scale = _two_bytes(np.ascontiguousarray(solving.T))
            upper = torch.from_numpy(high).T.contiguous()
            found.append((where, columns, upper, torch.cat([torch.from_numpy(low).T, upper]).contiguous(), scale))
        return found

    @lazy
    def gains(self) -> NDArray[np.float64]:
        """What a squared error of one in each column adds to the channels: near 1, but for the rounding."""
        found: NDArray[np.float64] = self.matrix.square().sum(1).numpy()
        return found

    def forward(self, values: Floats, columns: int | None = None, *, roughly: bool = False) -> Floats:
        """The first columns of tokens x channels; by sums of whole numbers, the same on every machine.

        Roughly is 40 dB below a token's energy, or better, and takes two products for three.
        """
        count = len(self.matrix) if columns is None else columns
        out = np.zeros((len(values), count), np.float32)
        for where, every, upper, both, scale in self.solving if count else ():
            mine = every[: np.searchsorted(every, count)]
            whole = len(mine) == count
            tokens = out if whole else np.empty((len(values), len(mine)), np.float32)
            chosen = upper[:, : len(mine)], both[:, : len(mine)], scale[: len(mine)]
            for start in range(0, len(values), TILE):
                tile = np.ascontiguousarray(values[start : start + TILE, where])
                _forward(tile, *chosen, tokens[start : start + TILE], roughly=roughly)
            if not whole:
                out[:, mine] = tokens
        return out

    def floats(self, columns: Floats) -> Floats:
        """Channels of tokens x columns that are not whole numbers."""
        found: Floats = (torch.from_numpy(columns) @ self.matrix[: columns.shape[1]].to(torch.float32)).numpy()
        return found


def ranges_of(rows: Tensor) -> Ranges:
    """Ranges of channels that no row of columns x channels joins, and the columns of each, rising; or all in one."""
    columns, channels = rows.shape
    there = (rows != 0).to(torch.uint8)
    first = there.argmax(1).numpy()
    last = channels - there.flip(1).argmax(1).numpy()
    told = there.amax(1).numpy() > 0 if channels else np.zeros(columns, bool)
    reach = np.zeros(channels + 1, np.int64)
    np.maximum.at(reach, first[told], last[told])
    beyond = np.maximum.accumulate(reach)[:channels]
    starts = np.concatenate([[True], beyond[:-1] <= np.arange(1, channels)])[:channels]
    bounds = [*np.flatnonzero(starts).tolist(), channels]
    found = [(slice(a, b), np.flatnonzero(told & (first >= a) & (first < b))) for a, b in pairwise(bounds)]
    found = [(where, some) for where, some in found if len(some)]
    worth = sum((where.stop - where.start) * len(some) for where, some in found) <= _WORTH * columns * channels
    return found if 1 < len(found) <= _MOST and worth else in_one(columns, channels)


def in_one(columns: int, channels: int) -> Ranges:
    """All channels as one range."""
    return [(slice(0, channels), np.arange(columns))]


def _columns_of(numbers: NDArray[np.int8], columns: Columns) -> NDArray[np.int8]:
    """Some of the columns, as far as they are there."""
    return np.ascontiguousarray(numbers[:, columns[: np.searchsorted(columns, numbers.shape[1])]])


def _inverse(low: NDArray[np.int8], high: NDArray[np.int8], rows: Tensor) -> NDArray[np.int32]:
    found = int8_matmul(torch.from_numpy(low), rows[: low.shape[1]])
    if high.shape[1]:
        found += 128 * int8_matmul(torch.from_numpy(high), rows[: high.shape[1]])
    whole: NDArray[np.int32] = found.numpy()
    return whole


def _forward(values: Floats, upper: Tensor, both: Tensor, scale: Floats, out: Floats, *, roughly: bool) -> None:
    high, low, sizes = _two_bytes(values)
    first = int8_matmul(torch.from_numpy(high), upper).numpy()
    if roughly:
        second = int8_matmul(torch.from_numpy(low), upper).numpy()
    else:
        second = int8_matmul(torch.from_numpy(np.concatenate([high, low], axis=1)), both).numpy()
    _join(first, second, sizes, scale, out)


def _two_bytes(rows: Floats) -> tuple[NDArray[np.int8], NDArray[np.int8], Floats]:
    """Each row as 128 times a byte plus a byte, in units of a scale of its own."""
    largest = np.abs(rows).max(axis=1, initial=0)
    scale = np.where(largest > 0, largest / _WHOLE, np.float32(1)).astype(np.float32)
    high, low = np.empty(rows.shape, np.int8), np.empty(rows.shape, np.int8)
    _split(rows, scale, high, low)
    return high, low, scale


@compiled
def _split(rows: Floats, scale: Floats, high: NDArray[np.int8], low: NDArray[np.int8]) -> None:
    for t in range(rows.shape[0]):
        row, above, below, unit = rows[t], high[t], low[t], scale[t]
        for c in range(rows.shape[1]):
            whole = np.int32(np.rint(row[c] / unit))
            upper = (whole + np.int32(64)) >> np.int32(7)
            above[c] = np.int8(upper)
            below[c] = np.int8(whole - upper * np.int32(128))


@compiled
def _join(first: NDArray[np.int32], second: NDArray[np.int32], sizes: Floats, scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        unit = sizes[t] * np.float32(128)
        for k in range(out.shape[1]):
            whole = np.float32(first[t, k]) * np.float32(128) + np.float32(second[t, k])
            out[t, k] = whole * (unit * scale[k])

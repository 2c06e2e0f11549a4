"""The channel transform: columns to channels by an int8 matrix with a scale for each channel, and its inverse.

Decoding multiplies integers and adds them up exactly, whatever the order. Encoding solves for the columns that come
nearest under the rounded matrix, so the rounding costs no accuracy at any rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.transform.channel_ranges import RangeColumns, Ranges, ranges_of
from lamofc_codecs.klt.transform.factors import Factors, forward_tile
from lamofc_codecs.runtime import Floats, lazy
from lamofc_codecs.runtime.products import two_byte_matmul

TILE = 256
"""Tokens that are transformed at once."""
_MAX_BYTE = 127
_MAX_STRIDE = 64
"""Steps between neighbouring levels of a column, at most."""
_MIN_COMBINED_CHANNELS, _COMBINATIONS = 1024, 64
"""Channels above which errors are told from so many combinations of them."""
_GRAM_RIDGE = 1e-9
"""Share of the mean diagonal that is added to the Gram matrix, so that it can be solved for columns of zeros, too."""

Sums: TypeAlias = NDArray[np.int32] | Floats
"""Tokens x channels of sums of columns: exact integers, or rounded once."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Columns x channels: what one unit of each column adds to each channel, in units of the channel's scale."""

    rows: Tensor
    """int8."""
    scale: Tensor
    """Scale of each channel, float32."""
    stride: Tensor | None = None
    """Steps between neighbouring levels of each column, int32; None where all are 1."""

    @classmethod
    def from_floats(cls, rows: Tensor, stride: Tensor | None = None, least_scale: Tensor | None = None) -> Basis:
        """Round a float matrix, columns x channels, each channel as finely as its scale can be, or to `least_scale`."""
        if stride is not None:
            rows = rows / stride[:, None]
        largest = rows.abs().amax(0) if len(rows) else torch.zeros(rows.shape[1])
        scale = torch.where(largest > 0, largest / _MAX_BYTE, torch.ones_like(largest)).to(torch.float32)
        if least_scale is not None:
            scale = torch.maximum(scale, least_scale.to(torch.float32))
        rounded = torch.round(rows / scale.to(rows.dtype)).clamp(-_MAX_BYTE, _MAX_BYTE).to(torch.int8)
        return cls(rounded.contiguous(), scale, stride)

    @classmethod
    def with_strides(cls, rows: Tensor) -> Basis:
        """Round a float matrix whose rows are of very different length, so that none is lost in rounding."""
        lengths = rows.square().sum(1).sqrt()
        unit = torch.maximum(lengths.min(), lengths.max() / _MAX_STRIDE)
        if not unit > 0:
            return cls.from_floats(rows)
        return cls.from_floats(rows, torch.round(lengths / unit).clamp(1, _MAX_STRIDE).to(torch.int32))

    def floats(self) -> Tensor:
        """The matrix, float64."""
        matrix = self.rows.to(torch.float64) * self.scale.to(torch.float64)
        return matrix if self.stride is None else matrix * self.stride[:, None]

    @lazy
    def scaled_rows(self) -> Tensor:
        """Columns x channels: the sum that one unit of a column adds to a channel, float32, without strides."""
        return self.rows.to(torch.float32) * self.scale

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.rows.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.rows.shape[1]

    @lazy
    def ranges(self) -> Ranges:
        """Ranges of channels that no column joins, with their columns; the zeros beside them need not be multiplied."""
        return ranges_of(self.rows)

    @lazy
    def _blocks(self) -> list[tuple[slice, RangeColumns, Tensor]]:
        return [(channels, columns, self.rows[columns, channels].contiguous()) for channels, columns in self.ranges]

    def inverse(self, low: NDArray[np.int8], high: NDArray[np.int8], channels: slice) -> Sums:
        """Multiply tokens x columns of low + 128 high by the matrix, exactly; `high` may have fewer columns."""
        if len(self.ranges) < 2 or channels.stop - channels.start < self.channels:
            return _inverse(low, high, self.rows[:, channels])
        out = np.zeros((len(low), self.channels), np.int32)
        for where, columns, rows in self._blocks:
            out[:, where] = _inverse(_select(low, columns), _select(high, columns), rows)
        return out


@dataclass(frozen=True, eq=False)
class Analysis:
    """From channels to the columns that come nearest under a matrix."""

    matrix: Tensor
    """Columns x channels, float64."""
    ranges: Ranges
    """Ranges of channels that no column joins, with their columns."""

    @classmethod
    def of(cls, basis: Basis) -> Analysis:
        """To the columns of a basis, all channels counting alike."""
        return cls(basis.floats(), basis.ranges)

    @lazy
    def factors(self) -> list[Factors]:
        """Least-squares factors of each range."""
        factors = []
        for where, columns in self.ranges:
            matrix = self.matrix[columns, where]
            gram = matrix @ matrix.T
            gram.diagonal().add_(_GRAM_RIDGE * float(gram.diagonal().mean()) if len(gram) else 0.0)
            solved = torch.linalg.solve(gram, matrix).T.to(torch.float32).numpy()
            factors.append(Factors.of(where, columns, np.ascontiguousarray(solved.T)))
        return factors

    @lazy
    def error_gains(self) -> NDArray[np.float64]:
        """Squared error in the channels for each squared error of one in a column: near 1, but for the rounding."""
        gains: NDArray[np.float64] = self.matrix.square().sum(1).numpy()
        return gains

    def forward(self, values: Floats, columns: int | None = None, *, roughly: bool = False) -> Floats:
        """Transform tokens x channels to the first columns, by sums of integers: the same on every machine.

        Roughly is 40 dB below a token's energy, or better, and takes two products of bytes for three, or one of pairs.
        """
        count = len(self.matrix) if columns is None else columns
        out = np.zeros((len(values), count), np.float32)
        for factors in self.factors if count else ():
            chosen = factors.first(count)
            all_columns = len(chosen.columns) == count
            tokens = out if all_columns else np.empty((len(values), len(chosen.columns)), np.float32)
            for start in range(0, len(values), TILE):
                tile = np.ascontiguousarray(values[start : start + TILE, chosen.channels])
                forward_tile(tile, chosen, tokens[start : start + TILE], roughly=roughly)
            if not all_columns:
                out[:, chosen.columns] = tokens
        return out

    def truncation_error(self, values: Floats, columns: Floats) -> float:
        """Squared error of tokens x channels that remains if their first columns are exact.

        Errors of many channels are told from random combinations of them: to a few percent where they point many ways,
        and to a fifth where they point one way.
        """
        rows = self._combined_rows[: columns.shape[1]]
        errors = self._combined(torch.from_numpy(values)) - torch.from_numpy(columns) @ rows
        return float(errors.square().sum(dtype=torch.float64))

    def _combined(self, channels: Tensor) -> Tensor:
        """Combine channels, each with random signs, where they are many."""
        return channels if self._signs is None else channels @ self._signs

    @lazy
    def _signs(self) -> Tensor | None:
        """Channels x combinations."""
        channels = self.matrix.shape[1]
        if channels <= _MIN_COMBINED_CHANNELS:
            return None
        bits = torch.randint(2, (channels, _COMBINATIONS), generator=torch.Generator().manual_seed(channels))
        return (2 * bits - 1).to(torch.float32) / math.sqrt(_COMBINATIONS)

    @lazy
    def _combined_rows(self) -> Tensor:
        """The matrix, its channels combined, float32."""
        return self._combined(self.matrix.to(torch.float32))


def _select(levels: NDArray[np.int8], columns: RangeColumns) -> NDArray[np.int8]:
    """Copy some of the columns, as far as there are so many."""
    return np.ascontiguousarray(levels[:, columns[: np.searchsorted(columns, levels.shape[1])]])


def _inverse(low: NDArray[np.int8], high: NDArray[np.int8], rows: Tensor) -> Sums:
    sums = two_byte_matmul(torch.from_numpy(low), torch.from_numpy(high), rows)
    exact: Sums = sums.numpy()
    return exact

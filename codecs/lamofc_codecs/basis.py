"""The channel transform: columns of numbers to channels and back, by an int8 matrix with a scale for each channel.

Decoding multiplies whole numbers and adds them up exactly, whatever the order. Encoding solves for the columns that
come nearest under that rounded matrix, so its rounding costs nothing, at whatever rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.bulk import Floats
from lamofc_codecs.lazy import lazy

TILE = 128
"""Tokens that are transformed at once: always as many, so that no token's outcome depends on its neighbours."""
_TOP = 127


@dataclass(frozen=True, eq=False)
class Basis:
    """Columns x channels: what one unit of each column adds to each channel, in units of the channel's scale."""

    rows: Tensor
    """int8."""
    scale: Tensor
    """float32, of each channel."""

    @classmethod
    def of(cls, rows: Tensor) -> Basis:
        """Round a float matrix, columns x channels."""
        largest = rows.abs().amax(0) if len(rows) else torch.zeros(rows.shape[1])
        scale = torch.where(largest > 0, largest / _TOP, torch.ones_like(largest)).to(torch.float32)
        whole = torch.round(rows / scale.to(rows.dtype)).clamp(-_TOP, _TOP).to(torch.int8)
        return cls(whole.contiguous(), scale)

    @property
    def columns(self) -> int:
        """How many columns it has."""
        return self.rows.shape[0]

    @property
    def channels(self) -> int:
        """How many channels it makes."""
        return self.rows.shape[1]

    @lazy
    def solving(self) -> Tensor:
        """Channels x columns: the columns that come nearest to given channels."""
        matrix = self.rows.to(torch.float64) * self.scale.to(torch.float64)
        gram = matrix @ matrix.T
        gram.diagonal().add_(1e-9 * float(gram.diagonal().mean()) if len(gram) else 0.0)
        solving: Tensor = torch.linalg.solve(gram, matrix).T.to(torch.float32).contiguous()
        return solving

    def forward(self, values: Floats) -> Floats:
        """Columns of tokens x channels."""
        out = np.empty((len(values), self.columns), np.float32)
        solving = self.solving
        for start in range(0, len(values), TILE):
            tile = torch.zeros(TILE, self.channels)
            part = values[start : start + TILE]
            tile[: len(part)] = torch.from_numpy(part)
            out[start : start + TILE] = torch.mm(tile, solving)[: len(part)].numpy()
        return out

    def floats(self, columns: Floats) -> Floats:
        """Channels of tokens x columns that are not whole numbers."""
        found: Floats = (torch.from_numpy(columns) @ self.rows.to(torch.float32) * self.scale).numpy()
        return found

    def inverse(self, low: NDArray[np.int8], high: NDArray[np.int8]) -> NDArray[np.int32]:
        """Sums over columns, tokens x channels, of low + 128 high times the matrix; `high` may have fewer columns."""
        found = _product(torch.from_numpy(low), self.rows[: low.shape[1]])
        if high.shape[1]:
            found += 128 * _product(torch.from_numpy(high), self.rows[: high.shape[1]])
        whole: NDArray[np.int32] = found.numpy()
        return whole


def _product(numbers: Tensor, rows: Tensor) -> Tensor:
    """The exact product of two int8 matrices, in int32."""
    if not numbers.numel() or not rows.numel():
        return torch.zeros(len(numbers), rows.shape[1], dtype=torch.int32)
    return torch._int_mm(numbers, rows)

"""A plane cut into tiles, each filled up to multiples of what a network halves it by, and put together again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lamofc_codecs.learned.networks import STRIDE


@dataclass(frozen=True)
class Tile:
    """A part of a plane."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def filled(self) -> tuple[int, int]:
        """Rows and columns with what fills it up."""
        return -(-self.rows // STRIDE) * STRIDE, -(-self.columns // STRIDE) * STRIDE

    @property
    def _margins(self) -> tuple[int, int, int, int]:
        """Columns to the left and to the right, rows above and below: as the papers' code does, half on each side."""
        rows, columns = (whole - own for whole, own in zip(self.filled, (self.rows, self.columns), strict=True))
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2

    def cut(self, plane: Tensor, fill: str) -> Tensor:
        """The tile of a plane, filled up with zeros or with its own edge."""
        part = plane[self.row : self.row + self.rows, self.column : self.column + self.columns]
        if fill == "zero":
            return F.pad(part, self._margins)
        left, right, above, below = self._margins
        rows = torch.arange(-above, self.rows + below).clamp(0, self.rows - 1)
        columns = torch.arange(-left, self.columns + right).clamp(0, self.columns - 1)
        return part[rows][:, columns]

    def put(self, plane: Tensor, tile: Tensor) -> None:
        """Write a filled tile to where it belongs, without what filled it up."""
        left, _, above, _ = self._margins
        kept = tile[above : above + self.rows, left : left + self.columns]
        plane[self.row : self.row + self.rows, self.column : self.column + self.columns] = kept


def tiles(rows: int, columns: int, size: int) -> Iterator[Tile]:
    """Tiles of a plane, row by row, of at most `size` rows and columns; 0 for one that is all of it."""
    down, across = (size or rows, size or columns)
    for row in range(0, rows, down):
        for column in range(0, columns, across):
            yield Tile(row, column, min(down, rows - row), min(across, columns - column))

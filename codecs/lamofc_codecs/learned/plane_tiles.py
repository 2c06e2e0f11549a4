"""Cut a plane into tiles, pad each to a size that the networks can halve, and put the decoded tiles together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lamofc_codecs.learned.networks import STRIDE


@dataclass(frozen=True)
class Tile:
    """A rectangle of a plane."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def filled(self) -> tuple[int, int]:
        """Rows and columns of the padded tile."""
        return -(-self.rows // STRIDE) * STRIDE, -(-self.columns // STRIDE) * STRIDE

    @property
    def _margins(self) -> tuple[int, int, int, int]:
        """Padding left, right, above and below the tile: as in the papers' code, half of it on either side."""
        rows, columns = (padded - own for padded, own in zip(self.filled, (self.rows, self.columns), strict=True))
        return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2

    def cut(self, plane: Tensor, fill: str) -> Tensor:
        """Cut the tile out of a plane, and pad it with zeros or with its own edge."""
        part = plane[self.row : self.row + self.rows, self.column : self.column + self.columns]
        if fill == "zero":
            return F.pad(part, self._margins)
        left, right, above, below = self._margins
        rows = torch.arange(-above, self.rows + below).clamp(0, self.rows - 1)
        columns = torch.arange(-left, self.columns + right).clamp(0, self.columns - 1)
        return part[rows][:, columns]

    def put(self, plane: Tensor, tile: Tensor) -> None:
        """Write a decoded tile to its place in the plane, without its padding."""
        left, _, above, _ = self._margins
        unpadded = tile[above : above + self.rows, left : left + self.columns]
        plane[self.row : self.row + self.rows, self.column : self.column + self.columns] = unpadded


def tiles(rows: int, columns: int, size: int, planes: int = 1) -> Iterator[Tile]:
    """Yield the tiles of a plane, row by row, of at most `size` rows and columns each; 0 makes one tile of all.

    Several planes share the rows evenly, and no tile reaches from one into the next.
    """
    height = rows // planes
    down, across = (size or height, size or columns)
    for first in range(0, rows, height):
        for row in range(first, first + height, down):
            for column in range(0, columns, across):
                yield Tile(row, column, min(down, first + height - row), min(across, columns - column))

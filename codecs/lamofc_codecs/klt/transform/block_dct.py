"""Block DCT over tokens that lie on a grid, as patches of an image or steps of a sequence do.

Blocks of up to 8 x 8 tokens go through a cosine transform, column by column. The coefficients stand where the tokens
stood, the lowest frequency first, so that all later stages treat them as tokens. Each belongs to a band by its
frequency, and a column has a spread for each band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.transform.dct_kernels import (
    BLOCK_SIDE,
    block_bounds,
    forward_matrices,
    forward_rows,
    inverse_matrices,
    inverse_rows,
    inverse_tensor,
)
from lamofc_codecs.runtime import Floats

BANDS = 9
"""Band 0 holds tokens that are not transformed, band 1 the means of blocks."""
_MAX_ASPECT = 4
"""Longest side of a grid over its shortest."""
_MAX_IMAGES = 16
"""Images of one sample."""
_MAX_REMEMBERED = 1 << 14
"""Tokens up to which the bands of a grid are kept for records to come."""
_BAND_OF_FREQUENCY = np.array([1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 8, 8], np.uint8)
"""Band by the sum of the frequencies down and along, each in eighths of the highest."""


@dataclass(frozen=True)
class TokenGrid:
    """Rows of tokens, of one image or of several; tokens before and after the rows are not transformed."""

    prefix: int = 0
    """Tokens before the rows of each image."""
    rows: int = 0
    width: int = 0
    """Tokens of a row; 1 for a sequence."""
    images: int = 1

    @property
    def tokens_per_image(self) -> int:
        """Tokens of an image, its prefix included."""
        return self.prefix + self.rows * self.width

    @property
    def end(self) -> int:
        """First token after the grid."""
        return self.images * self.tokens_per_image

    @property
    def starts(self) -> range:
        """First token of the rows of each image."""
        return range(self.prefix, self.end, max(self.tokens_per_image, 1))

    def fits(self, tokens: int) -> bool:
        """Whether so many tokens hold the grid; an empty one has no prefix."""
        return self.end <= tokens and (min(self.rows, self.width, self.images) > 0 or self == TokenGrid())

    def bands(self, tokens: int) -> NDArray[np.uint8]:
        """Band of each of the tokens."""
        if not self.rows:
            return np.zeros(tokens, np.uint8)
        return _bands(self, tokens) if tokens > _MAX_REMEMBERED else _remembered_bands(self, tokens).copy()

    def inverse_dct(self, coefficients: Tensor) -> None:
        """Transform back to tokens, in place, on whatever device: the same floats as tile by tile."""
        for start in self.starts:
            values = coefficients[start : start + self.rows * self.width].view(self.rows, self.width, -1)
            for first, last in pairwise(block_bounds(self.width).tolist()):
                values[:, first:last] = inverse_tensor(values[:, first:last].movedim(1, 0)).movedim(0, 1)
            for first, last in pairwise(block_bounds(self.rows).tolist()):
                values[first:last] = inverse_tensor(values[first:last])

    def tiles(self, tokens: int, limit: int) -> list[Tile]:
        """Split all tokens into tiles of at most `limit` tokens, or of one row of blocks where that is more."""
        tiles: list[Tile] = []
        for start in self.starts:
            tiles += _plain_tiles(start - self.prefix, start, limit)
            tiles += self._block_tiles(start, limit)
        return tiles + _plain_tiles(self.end, tokens, limit)

    def _block_tiles(self, start: int, limit: int) -> list[Tile]:
        """Tiles of whole rows of blocks, of the image whose rows begin at `start`."""
        tiles, begin, bounds = [], 0, block_bounds(self.rows).tolist()
        for block, bottom in enumerate(bounds[1:]):
            following = bounds[block + 2] if block + 2 < len(bounds) else None
            if following is None or (following - bounds[begin]) * self.width > limit:
                row_bounds = tuple(bound - bounds[begin] for bound in bounds[begin : block + 2])
                top = start + bounds[begin] * self.width
                tiles.append(Tile(top, start + bottom * self.width, row_bounds, self.width))
                begin = block + 1
        return tiles


@dataclass(frozen=True)
class Tile:
    """Consecutive tokens: whole rows of blocks, or tokens outside the grid."""

    start: int
    stop: int
    row_bounds: tuple[int, ...] = ()
    """First row of each block, counted from the tile's first row, and the end; empty outside the grid."""
    width: int = 0

    def inverse_dct(self, coefficients: Floats) -> Floats:
        """Transform the coefficients of the tile back to tokens, in place."""
        if self.row_bounds:
            down = np.array(self.row_bounds, np.int64)
            inverse_rows(coefficients, self.width, down, block_bounds(self.width), inverse_matrices())
        return coefficients


def _plain_tiles(start: int, stop: int, limit: int) -> list[Tile]:
    """Tiles of tokens outside the grid."""
    return [Tile(at, min(at + limit, stop)) for at in range(start, stop, limit)]


def forward_dct(columns: Floats, grid: TokenGrid) -> None:
    """Transform tokens x columns to coefficients, in place."""
    for start in grid.starts:
        values = columns[start : start + grid.rows * grid.width]
        forward_rows(values, grid.width, block_bounds(grid.rows), block_bounds(grid.width), forward_matrices())


@dataclass(frozen=True)
class TokenGridRule:
    """The grids that the tokens of a feature may lie on."""

    prefix: int
    """Tokens before the rows of an image, such as class tokens and registers."""
    sequence: bool
    """Whether the other tokens follow one another in one line; else they are rows of equal width."""
    several: bool = False
    """Whether a sample may be several images of one size, such as crops, each with its own prefix."""

    def to_json(self) -> dict[str, object]:
        """Return what a profile's config holds."""
        config: dict[str, object] = {"first": self.prefix, "sequence": self.sequence}
        return config | ({"several": True} if self.several else {})

    def grids(self, tokens: int) -> tuple[TokenGrid, ...]:
        """Grids of so many tokens: the fewest images first, then the squarest."""
        if self.sequence:
            count = tokens - self.prefix
            return (TokenGrid(self.prefix, count, 1),) if count > 1 else (TokenGrid(),)
        limit = _MAX_IMAGES if self.several else 1
        counts = [images for images in range(1, limit + 1) if tokens % images == 0]
        grids = [grid for images in counts for grid in self._of_images(tokens // images, images)]
        return tuple(grids) or (TokenGrid(),)

    def _of_images(self, tokens: int, images: int) -> list[TokenGrid]:
        """Grids of images of so many tokens, the squarest first."""
        count = tokens - self.prefix
        if count < 2:
            return []
        widest = min(count // 2, math.isqrt(_MAX_ASPECT * count))
        widths = [width for width in range(2, widest + 1) if count % width == 0]
        allowed = [width for width in widths if max(width**2, count) <= _MAX_ASPECT * min(width**2, count)]
        allowed.sort(key=lambda width: (max(width, count // width), width))
        return [TokenGrid(self.prefix, count // width, width, images) for width in allowed]


@lru_cache(64)
def _remembered_bands(grid: TokenGrid, tokens: int) -> NDArray[np.uint8]:
    return _bands(grid, tokens)


def _bands(grid: TokenGrid, tokens: int) -> NDArray[np.uint8]:
    bands = np.zeros(tokens, np.uint8)
    down, along = _frequencies(grid.rows), _frequencies(grid.width)
    for start in grid.starts:
        stop = start + grid.rows * grid.width
        bands[start:stop] = _BAND_OF_FREQUENCY[down[:, None] + along[None, :]].reshape(-1)
    return bands


def _frequencies(count: int) -> NDArray[np.int64]:
    """Frequency of each of so many rows, in eighths of the highest."""
    bounds = block_bounds(count).tolist()
    blocks = [np.arange(last - first) * BLOCK_SIDE // (last - first) for first, last in pairwise(bounds)]
    return np.concatenate([np.empty(0, np.int64), *blocks])

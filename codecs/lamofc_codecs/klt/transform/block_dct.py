"""Tokens that lie on a field, patches of an image or steps of a sequence, turned into waves: neighbours are alike.

Blocks of up to 8 x 8 tokens go through a cosine transform, column by column. What comes of it stands where the tokens
stood, the lowest frequency first, so that all that follows takes waves for tokens. Each is in a band by its frequency,
and a column has a spread for each band.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime import Floats, compiled

BANDS = 9
"""Band 0 is of tokens that are not turned, band 1 of the averages of blocks."""
_SIDE = 8
_CHUNK = 64
"""Columns that are turned at once: a block of them stays in the processor's nearest cache."""
_LONGEST = 4
"""A field may be so many times as long as it is wide, or as wide as it is long."""
_IMAGES = 16
"""Most images of a sample."""
_BAND_OF = np.array([1, 2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 7, 8, 8], np.uint8)
"""By the frequencies down and along, added up, each in eighths of the highest."""

BlockSizes = NDArray[np.int64]


@dataclass(frozen=True)
class TokenGrid:
    """Rows of tokens, of one image or of several; those before and after the rows are left as they are."""

    first: int = 0
    """Tokens before the rows of each image."""
    rows: int = 0
    width: int = 0
    """Tokens of a row; 1 for a sequence."""
    images: int = 1

    @property
    def each(self) -> int:
        """Tokens of an image."""
        return self.first + self.rows * self.width

    @property
    def end(self) -> int:
        """The first token after it."""
        return self.images * self.each

    @property
    def starts(self) -> range:
        """Where the rows of each image begin."""
        return range(self.first, self.end, max(self.each, 1))

    def fits(self, tokens: int) -> bool:
        """Whether so many tokens hold it; an empty one is at the start."""
        return self.end <= tokens and (min(self.rows, self.width, self.images) > 0 or self == TokenGrid())

    def bands(self, tokens: int) -> NDArray[np.uint8]:
        """The band of each of the tokens."""
        found = np.zeros(tokens, np.uint8)
        down, along = _frequencies(self.rows), _frequencies(self.width)
        for start in self.starts:
            found[start : start + self.each - self.first] = _BAND_OF[down[:, None] + along[None, :]].reshape(-1)
        return found

    def back_on(self, waves: Tensor) -> None:
        """The tokens of its waves, in place, on whatever device those are: the same floats as by tiles."""
        for start in self.starts:
            values = waves[start : start + self.each - self.first].view(self.rows, self.width, -1)
            for first, last in pairwise(_cuts(self.width).tolist()):
                values[:, first:last] = _summed(values[:, first:last].movedim(1, 0)).movedim(0, 1)
            for first, last in pairwise(_cuts(self.rows).tolist()):
                values[first:last] = _summed(values[first:last])

    def tiles(self, tokens: int, most: int) -> list[Tile]:
        """All tokens in pieces of at most so many, or of one row of blocks."""
        found: list[Tile] = []
        for start in self.starts:
            found += _apart(start - self.first, start, most)
            found += self._strips(start, most)
        return found + _apart(self.end, tokens, most)

    def _strips(self, start: int, most: int) -> list[Tile]:
        """Rows of blocks of the image whose rows begin there."""
        found, begin, cuts = [], 0, _cuts(self.rows).tolist()
        for strip, bottom in enumerate(cuts[1:]):
            following = cuts[strip + 2] if strip + 2 < len(cuts) else None
            if following is None or (following - cuts[begin]) * self.width > most:
                down = tuple(cut - cuts[begin] for cut in cuts[begin : strip + 2])
                here = start + cuts[begin] * self.width
                found.append(Tile(here, start + bottom * self.width, down, self.width))
                begin = strip + 1
        return found


@dataclass(frozen=True)
class Tile:
    """Some tokens, whole rows of blocks if they are of the field."""

    start: int
    stop: int
    down: tuple[int, ...] = ()
    """The rows, counted from its first, where blocks begin, and the end; empty outside of the field."""
    width: int = 0

    def back(self, waves: Floats) -> Floats:
        """Its tokens, in place."""
        if self.down:
            _back(waves, self.width, np.array(self.down, np.int64), _cuts(self.width), _inverses())
        return waves


def _apart(start: int, stop: int, most: int) -> list[Tile]:
    """Tokens that lie on no field."""
    return [Tile(here, min(here + most, stop)) for here in range(start, stop, most)]


def forward_dct(columns: Floats, field: TokenGrid) -> None:
    """Turn tokens x columns into waves, in place."""
    for start in field.starts:
        within = columns[start : start + field.each - field.first]
        _turn(within, field.width, _cuts(field.rows), _cuts(field.width), _matrices())


@dataclass(frozen=True)
class TokenGridRule:
    """What fields the tokens of a feature lie on."""

    first: int
    """Tokens before the rows of an image, as class tokens and registers."""
    sequence: bool
    """Whether the others follow one another in one line; else they are rows of one width."""
    several: bool = False
    """Whether a sample may be several images of one size, as crops or flipped copies are, each with its own first."""

    def to_json(self) -> dict[str, object]:
        """As a profile's config tells it."""
        told: dict[str, object] = {"first": self.first, "sequence": self.sequence}
        return told | ({"several": True} if self.several else {})

    def fields(self, tokens: int) -> tuple[TokenGrid, ...]:
        """What field so many tokens may lie on: the fewest images first, and then the squarest."""
        if self.sequence:
            count = tokens - self.first
            return (TokenGrid(self.first, count, 1),) if count > 1 else (TokenGrid(),)
        most = _IMAGES if self.several else 1
        counts = [images for images in range(1, most + 1) if tokens % images == 0]
        found = [field for images in counts for field in self._of(tokens // images, images)]
        return tuple(found) or (TokenGrid(),)

    def _of(self, tokens: int, images: int) -> list[TokenGrid]:
        """Fields of images of so many tokens, the squarest first."""
        count = tokens - self.first
        if count < 2:
            return []
        widest = min(count // 2, math.isqrt(_LONGEST * count))
        widths = [width for width in range(2, widest + 1) if count % width == 0]
        within = [width for width in widths if max(width**2, count) <= _LONGEST * min(width**2, count)]
        within.sort(key=lambda width: (max(width, count // width), width))
        return [TokenGrid(self.first, count // width, width, images) for width in within]


@cache
def waves_of(count: int) -> Floats:
    """The cosine transform of so many tokens: waves x tokens, orthonormal, rounded to float32."""
    wave, token = np.arange(count)[:, None], np.arange(count)[None, :]
    turned = np.cos(np.pi * (2 * token + 1) * wave / (2 * count)) * np.sqrt(2 / count)
    turned[0] = np.sqrt(1 / count)
    found: Floats = turned.astype(np.float32)
    return found


@cache
def _matrices() -> Floats:
    """Of 0 to 8 tokens each."""
    every = np.zeros((_SIDE + 1, _SIDE, _SIDE), np.float32)
    for count in range(1, _SIDE + 1):
        every[count, :count, :count] = waves_of(count)
    return every


@cache
def _inverses() -> Floats:
    return np.ascontiguousarray(_matrices().transpose(0, 2, 1))


def _cuts(count: int) -> BlockSizes:
    """Where blocks of `count` rows begin, all of them at most 8 and as even as can be; and the end."""
    blocks = -(-count // _SIDE)
    return np.arange(blocks + 1, dtype=np.int64) * count // max(blocks, 1)


def _frequencies(count: int) -> NDArray[np.int64]:
    """In eighths of the highest, of each of so many rows."""
    found = [np.arange(last - first) * _SIDE // (last - first) for first, last in pairwise(_cuts(count).tolist())]
    return np.concatenate([np.empty(0, np.int64), *found])


def _summed(waves: Tensor) -> Tensor:
    """Tokens by waves along the first axis, each sum from the lowest frequency up."""
    if len(waves) < 2:
        return waves
    weights = torch.from_numpy(waves_of(len(waves))).to(waves.device)
    tokens = weights[0, :, None, None] * waves[0]
    for wave in range(1, len(waves)):
        tokens = tokens + weights[wave, :, None, None] * waves[wave]
    return tokens


@compiled
def _turn(columns: Floats, width: int, down: BlockSizes, along: BlockSizes, matrices: Floats) -> None:
    room = np.empty((8, _CHUNK), np.float32)
    for left in range(0, columns.shape[1], _CHUNK):
        for block in range(len(down) - 1):
            count = down[block + 1] - down[block]
            for column in range(width):
                _sum(columns, (down[block] * width + column, width, left), matrices[count], count, room)
        for row in range(down[-1]):
            for block in range(len(along) - 1):
                count = along[block + 1] - along[block]
                _sum(columns, (row * width + along[block], 1, left), matrices[count], count, room)


@compiled
def _back(waves: Floats, width: int, down: BlockSizes, along: BlockSizes, matrices: Floats) -> None:
    """Along the rows first, then down them; each sum from the lowest frequency up."""
    room = np.empty((8, _CHUNK), np.float32)
    for left in range(0, waves.shape[1], _CHUNK):
        for row in range(down[-1]):
            for block in range(len(along) - 1):
                count = along[block + 1] - along[block]
                _sum(waves, (row * width + along[block], 1, left), matrices[count], count, room)
        for block in range(len(down) - 1):
            count = down[block + 1] - down[block]
            for column in range(width):
                _sum(waves, (down[block] * width + column, width, left), matrices[count], count, room)


@compiled
def _sum(rows: Floats, where: tuple[int, int, int], matrix: Floats, count: int, room: Floats) -> None:
    """Some rows as weighted sums of themselves, in place: `where` is the first, how far apart, and the first column."""
    if count < 2:
        return
    first, apart, left = where
    columns = min(rows.shape[1] - left, room.shape[1])
    for i in range(count):
        here = rows[first + i * apart, left : left + columns]
        for c in range(columns):
            room[i, c] = here[c]
    for out in range(count):
        there = rows[first + out * apart, left : left + columns]
        for c in range(columns):
            there[c] = matrix[out, 0] * room[0, c]
        for i in range(1, count):
            weight = matrix[out, i]
            for c in range(columns):
                there[c] += weight * room[i, c]

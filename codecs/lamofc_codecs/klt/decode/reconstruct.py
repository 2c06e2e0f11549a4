"""From whole numbers to a feature: drawn inwards, through the transform, onto the means, rounded to the dtype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.format import KltParameters, Level, Side
from lamofc_codecs.klt.layers import Inwards, Numbers, dequantise, inwards_of
from lamofc_codecs.klt.quantise import PARTS, Tokens, down
from lamofc_codecs.klt.transform import Basis, Tile
from lamofc_codecs.runtime import LARGEST_HALF, Floats, compiled, convert_into

_TILE = 256
"""Tokens that are transformed at once: what stands between the stages then stays in the processor's cache."""
_ONE, _TWO = 127, 16000
"""Parts of a step that one byte holds, and two."""


def synthesise(level: Level, known: KltParameters, side: Side, outs: Sequence[Tensor | None]) -> None:
    """Fill those of `outs`, tokens x channels of each part, that are not None with what the numbers stand for."""
    unit, parts = np.float32(level.step / np.float32(PARTS)), parts_of(level, known)
    largest = parts.of_one * np.abs(parts.numbers).max(axis=1, initial=0).astype(np.int64)
    tiles: _Tiles
    if known.basis is None:
        tiles = _Plain(parts, known)
    elif largest.max(initial=0) <= _TWO:
        tiles = _Whole(parts, known, int(np.flatnonzero(largest > _ONE).max(initial=-1)) + 1)
    else:
        tiles = _Wide(parts, known)
    for first, last, out in zip(known.bounds, known.bounds[1:], outs, strict=False):
        if out is not None:
            _fill(out, tiles, unit, slice(first, last), side)


def parts_of(level: Level, known: KltParameters) -> Parts:
    """What the numbers of a level stand for, in parts of its step."""
    runs = level.runs
    inwards, stride = inwards_of(known.drawn, runs, runs.columns), known.stride[: runs.columns]
    if level.between is not None:
        return Parts(level.between.parts(level.numbers, runs, known.drawn), 0 * inwards, stride, runs.tokens)
    return Parts(level.numbers, inwards * stride[:, None], PARTS * stride, runs.tokens)


def _fill(out: Tensor, tiles: _Tiles, unit: np.float32, channels: slice, side: Side) -> None:
    cut = side.field.tiles(len(out), _TILE)
    room = np.empty((max(tile.stop - tile.start for tile in cut), out.shape[1]), np.float32)
    lower = down(side.lifts, len(out))
    means = tiles.known.means
    for tile in cut:
        part = out[tile.start : tile.stop]
        direct = part.dtype == torch.float32
        floats = part.numpy() if direct else room[: len(part)]
        tiles.fill(tile, unit, lower[tile.start : tile.stop], floats, channels)
        if means is not None and side.index is not None:
            rows, scale = means.basis.rows[:, channels].numpy(), means.basis.scale[channels].numpy()
            _add_means(side.index[tile.start : tile.stop], rows, scale, floats)
        if not direct:
            if part.dtype == torch.float16:
                np.clip(floats, -LARGEST_HALF, LARGEST_HALF, out=floats)
            convert_into(torch.from_numpy(floats), part)


@dataclass(frozen=True, eq=False)
class Parts:
    """Numbers, and how they become parts of a step."""

    numbers: Numbers
    inwards: Inwards
    of_one: NDArray[np.int32]
    """Parts that a number of each column is worth before it is drawn inwards."""
    tokens: Tokens

    def whole(self) -> NDArray[np.int32]:
        """Tokens x columns."""
        out = np.empty(self.numbers.shape[::-1], np.int32)
        _whole(self.numbers, self.inwards, self.of_one, self.tokens.bounds, self.tokens.order, out)
        return out

    def split(self, several: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Tokens x columns as one byte each, and of the first columns a higher one."""
        low = np.empty(self.numbers.shape[::-1], np.int8)
        high = np.empty((len(low), several), np.int8)
        _bytes(self.numbers, self.inwards, self.of_one, self.tokens.bounds, self.tokens.order, low, high)
        return low, high


class _Tiles:
    """How a tile of tokens becomes floats."""

    def __init__(self, known: KltParameters) -> None:
        self.known = known

    def fill(self, tile: Tile, unit: np.float32, lower: Floats, out: Floats, channels: slice) -> None:
        """Write the tokens of a tile, of those channels; `lower` is what each token is multiplied by."""
        raise NotImplementedError


class _Plain(_Tiles):
    """Each column is a channel."""

    def __init__(self, parts: Parts, known: KltParameters) -> None:
        super().__init__(known)
        self.parts = parts.whole()

    def fill(self, tile: Tile, unit: np.float32, lower: Floats, out: Floats, channels: slice) -> None:
        floats = np.zeros((len(out), self.known.channels), np.float32)
        chosen = self.known.order[: self.parts.shape[1]]
        parts = tile.back(self.parts[tile.start : tile.stop].astype(np.float32))
        floats[:, chosen] = parts * lower[:, None] * (unit / self.known.metric.weight[chosen])
        np.add(floats[:, channels], self.known.bulk.mean[channels], out=out)


class _Whole(_Tiles):
    """Through the matrix by exact sums of bytes."""

    def __init__(self, parts: Parts, known: KltParameters, several: int) -> None:
        super().__init__(known)
        self.low, self.high = parts.split(several)

    def fill(self, tile: Tile, unit: np.float32, lower: Floats, out: Floats, channels: slice) -> None:
        basis, here = _basis(self.known), slice(tile.start, tile.stop)
        sums = basis.inverse(self.low[here], self.high[here], channels)
        factor, middle = basis.scale[channels].numpy() * unit, self.known.bulk.mean[channels]
        if tile.down:
            out[:] = sums
            _finish(tile.back(out), lower, factor, middle, out)
        else:
            _finish(sums, lower, factor, middle, out)


class _Wide(_Tiles):
    """Through the matrix by floats, for numbers that bytes do not hold."""

    def __init__(self, parts: Parts, known: KltParameters) -> None:
        super().__init__(known)
        self.parts = parts.whole()
        self.rows = _basis(known).rows[: self.parts.shape[1]].to(torch.float32)

    def fill(self, tile: Tile, unit: np.float32, lower: Floats, out: Floats, channels: slice) -> None:
        room = torch.zeros(_TILE, self.parts.shape[1])
        for start in range(tile.start, tile.stop, _TILE):
            some = self.parts[start : min(start + _TILE, tile.stop)]
            room[: len(some)] = torch.from_numpy(some).to(torch.float32)
            out[start - tile.start :][: len(some)] = torch.mm(room, self.rows[:, channels])[: len(some)].numpy()
        scale = _basis(self.known).scale[channels].numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            tile.back(out)
            out *= lower[:, None]
            out *= scale * unit
            out += self.known.bulk.mean[channels]


def _basis(known: KltParameters) -> Basis:
    assert known.basis is not None  # noqa: S101 - the other form has no matrix
    return known.basis


@compiled
def _whole(
    numbers: Numbers,
    inwards: Inwards,
    of_one: NDArray[np.int32],
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    for group in range(len(bounds) - 1):
        for c in range(numbers.shape[0]):
            one, more, worth = inwards[group, c, 0], inwards[group, c, 1], of_one[c]
            here = numbers[c]
            for t in range(bounds[group], bounds[group + 1]):
                out[order[t], c] = dequantise(here[t], worth, one, more)


@compiled
def _bytes(  # noqa: PLR0913 - compiled code takes arrays, not objects
    numbers: Numbers,
    inwards: Inwards,
    of_one: NDArray[np.int32],
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    low: NDArray[np.int8],
    high: NDArray[np.int8],
) -> None:
    """Parts of a step: as one byte, or in the first columns as two, the lower one from -64 to 63."""
    several = high.shape[1]
    for group in range(len(bounds) - 1):
        for first in range(bounds[group], bounds[group + 1], 32):
            last = min(first + 32, bounds[group + 1])
            for c in range(numbers.shape[0]):
                one, more, worth = inwards[group, c, 0], inwards[group, c, 1], of_one[c]
                here = numbers[c]
                for t in range(first, last):
                    part = dequantise(here[t], worth, one, more)
                    if c < several:
                        below = ((part + np.int32(64)) & np.int32(127)) - np.int32(64)
                        low[order[t], c] = np.int8(below)
                        high[order[t], c] = np.int8((part - below) >> np.int32(7))
                    else:
                        low[order[t], c] = np.int8(part)


@compiled
def _finish(sums: NDArray[np.int32] | Floats, lower: Floats, factor: Floats, middle: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there, less = sums[t], out[t], lower[t]
        for c in range(out.shape[1]):
            there[c] = np.float32(row[c]) * less * factor[c] + middle[c]


@compiled
def _add_means(index: NDArray[np.int64], rows: NDArray[np.int8], scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there = rows[index[t]], out[t]
        for c in range(out.shape[1]):
            there[c] += np.float32(row[c]) * scale[c]

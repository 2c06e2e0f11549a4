"""From whole numbers to a feature: drawn inwards, through the transform, onto the means, rounded to the dtype."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.basis import Basis
from lamofc_codecs.bulk import Floats
from lamofc_codecs.compiled import compiled
from lamofc_codecs.deadzone import PARTS
from lamofc_codecs.dtypes import convert_into
from lamofc_codecs.klt_section import Side
from lamofc_codecs.parameters import Parameters
from lamofc_codecs.runs import Numbers, Runs
from lamofc_codecs.tables import ALL_CLASSES, CLASSES

_TILE = 256
"""Tokens that are transformed at once: what stands between the stages then stays in the processor's cache."""
_ONE = 7
"""Numbers up to this are held by one byte in parts of a step."""
_TWO = 1000
"""And up to this by two."""
_LARGEST_HALF = 65504.0


def synthesise(
    numbers: Numbers, runs: Runs, step: np.float32, known: Parameters, side: Side, outs: Sequence[Tensor | None]
) -> None:
    """Fill those of `outs`, tokens x channels of each part, that are not None with what the numbers stand for."""
    unit = np.float32(step / np.float32(PARTS))
    drawn = np.zeros((ALL_CLASSES, 2), np.int32)
    drawn[:CLASSES] = known.drawn
    inwards = np.ascontiguousarray(drawn[runs.kinds])
    largest = np.abs(numbers).max(axis=1, initial=0)
    tiles: _Tiles
    if known.basis is None:
        tiles = _Plain(numbers, inwards, runs, known)
    elif largest.max(initial=0) <= _TWO:
        tiles = _Whole(numbers, inwards, runs, known, int(np.flatnonzero(largest > _ONE).max(initial=-1)) + 1)
    else:
        tiles = _Wide(numbers, inwards, runs, known)
    for first, last, out in zip(known.bounds, known.bounds[1:], outs, strict=False):
        if out is not None:
            _fill(out, tiles, unit, slice(first, last), side)


def _fill(out: Tensor, tiles: _Tiles, unit: np.float32, channels: slice, side: Side) -> None:
    room = np.empty((min(_TILE, len(out)), out.shape[1]), np.float32)
    means = tiles.known.means
    for start in range(0, len(out), _TILE):
        part = out[start : start + _TILE]
        direct = part.dtype == torch.float32
        floats = part.numpy() if direct else room[: len(part)]
        tiles.fill(start, unit, floats, channels)
        if means is not None and side.index is not None:
            rows, scale = means.basis.rows[:, channels].numpy(), means.basis.scale[channels].numpy()
            _add_means(side.index[start : start + _TILE], rows, scale, floats)
        if not direct:
            if part.dtype == torch.float16:
                # Half a step past the largest float16 would become infinite.
                np.clip(floats, -_LARGEST_HALF, _LARGEST_HALF, out=floats)
            convert_into(torch.from_numpy(floats), part)


class _Tiles:
    """Numbers in parts of a step, and how a tile of tokens becomes floats."""

    def __init__(self, numbers: Numbers, inwards: NDArray[np.int32], runs: Runs, known: Parameters) -> None:
        self.numbers, self.inwards, self.known = numbers, inwards, known
        self.tokens = runs.tokens

    def fill(self, start: int, unit: np.float32, out: Floats, channels: slice) -> None:
        """Write the tokens from `start` on, of those channels."""
        raise NotImplementedError


class _Plain(_Tiles):
    """Each column is a channel."""

    def __init__(self, numbers: Numbers, inwards: NDArray[np.int32], runs: Runs, known: Parameters) -> None:
        super().__init__(numbers, inwards, runs, known)
        self.parts = np.empty((runs.tokens.count, len(numbers)), np.int32)
        _parts(numbers, inwards, runs.tokens.bounds, runs.tokens.order, self.parts)

    def fill(self, start: int, unit: np.float32, out: Floats, channels: slice) -> None:
        floats = np.zeros((len(out), self.known.channels), np.float32)
        chosen = self.known.order[: self.parts.shape[1]]
        floats[:, chosen] = self.parts[start : start + len(out)].astype(np.float32) * (unit / self.known.weight[chosen])
        np.add(floats[:, channels], self.known.bulk.mean[channels], out=out)


class _Whole(_Tiles):
    """Through the matrix by exact sums of bytes."""

    def __init__(
        self, numbers: Numbers, inwards: NDArray[np.int32], runs: Runs, known: Parameters, several: int
    ) -> None:
        super().__init__(numbers, inwards, runs, known)
        count = runs.tokens.count
        self.low = np.empty((count, len(numbers)), np.int8)
        self.high = np.empty((count, several), np.int8)
        _bytes(numbers, inwards, runs.tokens.bounds, runs.tokens.order, self.low, self.high)

    def fill(self, start: int, unit: np.float32, out: Floats, channels: slice) -> None:
        basis = _basis(self.known)
        sums = basis.inverse(self.low[start : start + len(out)], self.high[start : start + len(out)], channels)
        _finish(sums, basis.scale[channels].numpy() * unit, self.known.bulk.mean[channels], out)


class _Wide(_Tiles):
    """Through the matrix by floats, for numbers that bytes do not hold."""

    def __init__(self, numbers: Numbers, inwards: NDArray[np.int32], runs: Runs, known: Parameters) -> None:
        super().__init__(numbers, inwards, runs, known)
        self.parts = np.empty((runs.tokens.count, len(numbers)), np.int32)
        _parts(numbers, inwards, runs.tokens.bounds, runs.tokens.order, self.parts)
        self.rows = _basis(known).rows[: len(numbers)].to(torch.float32)

    def fill(self, start: int, unit: np.float32, out: Floats, channels: slice) -> None:
        tile = torch.zeros(_TILE, self.parts.shape[1])
        tile[: len(out)] = torch.from_numpy(self.parts[start : start + len(out)]).to(torch.float32)
        sums = torch.mm(tile, self.rows[:, channels])[: len(out)].numpy()
        scale = _basis(self.known).scale[channels].numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(sums, scale * unit, out=out)
            out += self.known.bulk.mean[channels]


def _basis(known: Parameters) -> Basis:
    assert known.basis is not None  # noqa: S101 - the other form has no matrix
    return known.basis


@compiled
def _parts(
    numbers: Numbers,
    inwards: NDArray[np.int32],
    bounds: NDArray[np.int64],
    order: NDArray[np.int64],
    out: NDArray[np.int32],
) -> None:
    for group in range(len(bounds) - 1):
        for c in range(numbers.shape[0]):
            one, more = inwards[group, c, 0], inwards[group, c, 1]
            here = numbers[c]
            for t in range(bounds[group], bounds[group + 1]):
                number = here[t]
                away = abs(number)
                part = np.int32(16) * away - (one if away == 1 else (more if away > 1 else np.int32(0)))
                out[order[t], c] = -part if number < 0 else part


@compiled
def _bytes(
    numbers: Numbers,
    inwards: NDArray[np.int32],
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
                one, more = inwards[group, c, 0], inwards[group, c, 1]
                here = numbers[c]
                for t in range(first, last):
                    number = here[t]
                    away = abs(number)
                    part = np.int32(16) * away - (one if away == 1 else (more if away > 1 else np.int32(0)))
                    part = -part if number < 0 else part
                    if c < several:
                        below = ((part + np.int32(64)) & np.int32(127)) - np.int32(64)
                        low[order[t], c] = np.int8(below)
                        high[order[t], c] = np.int8((part - below) >> np.int32(7))
                    else:
                        low[order[t], c] = np.int8(part)


@compiled
def _finish(sums: NDArray[np.int32], factor: Floats, middle: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there = sums[t], out[t]
        for c in range(out.shape[1]):
            there[c] = np.float32(row[c]) * factor[c] + middle[c]


@compiled
def _add_means(index: NDArray[np.int64], rows: NDArray[np.int8], scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there = rows[index[t]], out[t]
        for c in range(out.shape[1]):
            there[c] += np.float32(row[c]) * scale[c]

"""Levels to features: offsets, inverse transforms, token codebook, channel means, rounding to the dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.decode.products import Product, products_of
from lamofc_codecs.klt.decode.sixteenths import sixteenths_of
from lamofc_codecs.klt.format import DecodedLevel, KltParameters, SideInformation
from lamofc_codecs.klt.quantise import SIXTEENTHS, inverse_gain_factors
from lamofc_codecs.klt.transform import Sums, Tile
from lamofc_codecs.runtime import Floats, compiled, lazy, saturate_into

_TILE = 256
"""Tokens that are reconstructed at once: intermediate values then stay in the processor's cache."""
_MULTIPLIED = 1 << 19
"""Values of several tiles that come from one product, which of few tokens costs more for each."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A record to reconstruct."""

    level: DecodedLevel
    side: SideInformation
    outs: Sequence[Tensor | None]
    """Tokens x channels of each part; None where it is not asked for."""

    @property
    def unit(self) -> np.float32:
        """Value of a sixteenth of a step."""
        return np.float32(self.level.step / np.float32(SIXTEENTHS))

    @property
    def count(self) -> int:
        """Number of tokens."""
        return self.level.runs.tokens.count

    @lazy
    def factors(self) -> Floats:
        """Factor by which each token is multiplied: it undoes the gain."""
        return inverse_gain_factors(self.side.item_gains, self.count)


def reconstruct(records: Sequence[Reconstruction], parameters: KltParameters) -> None:
    """Fill the tensors of records of one profile."""
    if not records:
        return
    sixteenths = [sixteenths_of(record.level, parameters) for record in records]
    for product, numbers in products_of(sixteenths, parameters):
        own = [records[number] for number in numbers]
        for parts in _requested_parts(own):
            _reconstruct_parts(product, own, parts, parameters)


def _requested_parts(records: Sequence[Reconstruction]) -> Iterator[range]:
    """Yield ranges of neighbouring parts that any record asks for: one product makes all their channels."""
    wanted = [any(out is not None for out in outs) for outs in zip(*(record.outs for record in records), strict=True)]
    first = 0
    for is_wanted, alike in groupby(wanted):
        last = first + len(list(alike))
        if is_wanted:
            yield range(first, last)
        first = last


def _reconstruct_parts(
    product: Product, records: Sequence[Reconstruction], parts: range, parameters: KltParameters
) -> None:
    """Fill neighbouring parts of each record, tile by tile."""
    bounds = parameters.bounds[parts.start : parts.stop + 1]
    finishes = [_Finish(parameters, slice(*pair)) for pair in pairwise(bounds)]
    columns = [slice(first - bounds[0], last - bounds[0]) for first, last in pairwise(bounds)]
    for start, tiles in _multiplied_tiles(records, bounds[-1] - bounds[0]):
        stop = start + sum(tile.stop - tile.start for _, tile in tiles)
        sums = product.sums(slice(start, stop), slice(bounds[0], bounds[-1]))
        at = 0
        for record, tile in tiles:
            rows = sums[at : at + tile.stop - tile.start]
            at += len(rows)
            for part, finish, own in zip(parts, finishes, columns, strict=True):
                out = record.outs[part]
                if out is not None:
                    finish(np.ascontiguousarray(rows[:, own]), record, tile, out[tile.start : tile.stop])


def _multiplied_tiles(
    records: Sequence[Reconstruction], channels: int
) -> Iterator[tuple[int, list[tuple[Reconstruction, Tile]]]]:
    """Yield tiles of which all come from one product, and the first token of them among those of all records."""
    start = count = 0
    tiles: list[tuple[Reconstruction, Tile]] = []
    for record in records:
        for tile in record.side.grid.tiles(record.count, _TILE):
            size = tile.stop - tile.start
            if tiles and (count + size) * channels > _MULTIPLIED:
                yield start, tiles
                start, count, tiles = start + count, 0, []
            tiles.append((record, tile))
            count += size
    if tiles:
        yield start, tiles


class _Finish:
    """All that follows the product in some channels."""

    def __init__(self, parameters: KltParameters, channels: slice) -> None:
        self._parameters, self._channels = parameters, channels
        self._mean = parameters.space.centre[channels]
        self._scratch = np.empty((_TILE, len(self._mean)), np.float32)
        self._typical = np.empty((0, len(self._mean)), np.int8), np.empty(len(self._mean), np.float32)
        if parameters.codebook is not None:
            basis = parameters.codebook.basis
            self._typical = basis.rows[:, channels].numpy(), basis.scale[channels].numpy()

    def __call__(self, sums: Sums, record: Reconstruction, tile: Tile, out: Tensor) -> None:
        """Fill the tokens of a tile."""
        where, side, space = slice(tile.start, tile.stop), record.side, self._parameters.space
        floats = out.numpy() if out.dtype == torch.float32 else self._floats(len(out))
        if tile.row_bounds:
            sums = tile.inverse_dct(sums.astype(np.float32, copy=False))
        scale = self._parameters.scale_of_channels(record.unit)[self._channels]
        _scale_and_shift(sums, record.factors[where], scale, self._mean, floats)
        if side.index is not None:
            _add_typical(side.index[where], *self._typical, floats)
        if space.positioned:
            space.leave(floats, self._channels, side.positions[where])
        if out.dtype != torch.float32:
            saturate_into(torch.from_numpy(floats), out)

    def _floats(self, tokens: int) -> Floats:
        """Return memory for the values of a tile; one row of blocks may be longer than others."""
        if tokens > len(self._scratch):
            self._scratch = np.empty((tokens, len(self._mean)), np.float32)
        return self._scratch[:tokens]


@compiled
def _scale_and_shift(sums: Sums, factors: Floats, scale: Floats, mean: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, out_row, factor = sums[t], out[t], factors[t]
        for c in range(out.shape[1]):
            out_row[c] = np.float32(row[c]) * factor * scale[c] + mean[c]


@compiled
def _add_typical(index: NDArray[np.int64], rows: NDArray[np.int8], scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        if index[t] >= 0:
            row, out_row = rows[index[t]], out[t]
            for c in range(out.shape[1]):
                out_row[c] += np.float32(row[c]) * scale[c]

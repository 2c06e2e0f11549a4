"""Levels to features: offsets, inverse transforms, token codebook, channel means, rounding to the dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.klt.decode.sixteenths import Sixteenths, sixteenths_of
from lamofc_codecs.klt.format import DecodedLevel, KltParameters, SideInformation
from lamofc_codecs.klt.quantise import SIXTEENTHS, inverse_gain_factors
from lamofc_codecs.klt.transform import Basis, Tile
from lamofc_codecs.runtime import Floats, compiled, saturate_into

_TILE = 256
"""Tokens that are transformed at once: intermediate values then stay in the processor's cache."""
_MAX_ONE_BYTE, _MAX_TWO_BYTES = 127, 16000
"""Largest magnitudes, in sixteenths of a step, that one and two bytes hold."""


def reconstruct(
    level: DecodedLevel, parameters: KltParameters, side: SideInformation, outs: Sequence[Tensor | None]
) -> None:
    """Fill those of `outs`, tokens x channels of each part, that are not None."""
    unit = np.float32(level.step / np.float32(SIXTEENTHS))
    decoder = _tile_decoder(sixteenths_of(level, parameters), parameters)
    for first, last, out in zip(parameters.bounds, parameters.bounds[1:], outs, strict=False):
        if out is not None:
            _fill(out, decoder, parameters, (unit, slice(first, last)), side)


def _fill(
    out: Tensor,
    decoder: _TileDecoder,
    parameters: KltParameters,
    scale: tuple[np.float32, slice],
    side: SideInformation,
) -> None:
    """Reconstruct one part, tile by tile; `scale` is the value of a sixteenth of a step, and the part's channels."""
    unit, channels = scale
    tiles = side.grid.tiles(len(out), _TILE)
    scratch = np.empty((max(tile.stop - tile.start for tile in tiles), out.shape[1]), np.float32)
    factors = inverse_gain_factors(side.item_gains, len(out))
    codebook = parameters.codebook
    for tile in tiles:
        piece = out[tile.start : tile.stop]
        direct = piece.dtype == torch.float32
        floats = piece.numpy() if direct else scratch[: len(piece)]
        decoder.fill(tile, unit, factors[tile.start : tile.stop], floats, channels)
        if codebook is not None and side.index is not None:
            rows, row_scale = codebook.basis.rows[:, channels].numpy(), codebook.basis.scale[channels].numpy()
            _add_typical(side.index[tile.start : tile.stop], rows, row_scale, floats)
        if parameters.space.positioned:
            parameters.space.leave(floats, channels, side.positions[tile.start : tile.stop])
        if not direct:
            saturate_into(torch.from_numpy(floats), piece)


class _TileDecoder(Protocol):
    """Reconstruction of a tile of tokens, up to the token codebook."""

    def fill(self, tile: Tile, unit: np.float32, factors: Floats, out: Floats, channels: slice) -> None:
        """Write some channels of a tile; `factors` undo the gain of each token."""


def _tile_decoder(sixteenths: Sixteenths, parameters: KltParameters) -> _TileDecoder:
    """Choose the way through the transform: integer products where two bytes hold all values."""
    if parameters.basis is None:
        return _ChannelColumns(sixteenths, parameters)
    largest = sixteenths.step_scale * np.abs(sixteenths.levels).max(axis=1, initial=0).astype(np.int64)
    if largest.max(initial=0) <= _MAX_TWO_BYTES:
        two_bytes = int(np.flatnonzero(largest > _MAX_ONE_BYTE).max(initial=-1)) + 1
        return _ExactProducts(sixteenths, parameters, parameters.basis, two_bytes)
    return _WideProducts(sixteenths, parameters, parameters.basis)


class _ChannelColumns:
    """Without a transform: each column is a channel."""

    def __init__(self, sixteenths: Sixteenths, parameters: KltParameters) -> None:
        self._values, self._parameters = sixteenths.by_token(), parameters

    def fill(self, tile: Tile, unit: np.float32, factors: Floats, out: Floats, channels: slice) -> None:
        """Scatter columns to their channels."""
        floats = np.zeros((len(out), self._parameters.channels), np.float32)
        chosen = self._parameters.order[: self._values.shape[1]]
        values = tile.inverse_dct(self._values[tile.start : tile.stop].astype(np.float32))
        weight = self._parameters.error_weights.weight
        floats[:, chosen] = values * factors[:, None] * (unit / weight[chosen])
        np.add(floats[:, channels], self._parameters.space.centre[channels], out=out)


class _ExactProducts:
    """Through the matrix by exact sums of bytes."""

    def __init__(self, sixteenths: Sixteenths, parameters: KltParameters, basis: Basis, two_bytes: int) -> None:
        """Hold the first `two_bytes` columns in two bytes, the others in one."""
        self._low, self._high = sixteenths.as_bytes(two_bytes)
        self._basis, self._mean = basis, parameters.space.centre

    def fill(self, tile: Tile, unit: np.float32, factors: Floats, out: Floats, channels: slice) -> None:
        """Multiply, then scale each channel."""
        where = slice(tile.start, tile.stop)
        sums = self._basis.inverse(self._low[where], self._high[where], channels)
        scale, mean = self._basis.scale[channels].numpy() * unit, self._mean[channels]
        if tile.row_bounds:
            out[:] = sums
            _scale_and_shift(tile.inverse_dct(out), factors, scale, mean, out)
        else:
            _scale_and_shift(sums, factors, scale, mean, out)


class _WideProducts:
    """Through the matrix in float64, for values that two bytes do not hold: exact, as sums are below 2^53."""

    def __init__(self, sixteenths: Sixteenths, parameters: KltParameters, basis: Basis) -> None:
        self._values, self._basis, self._mean = sixteenths.by_token(), basis, parameters.space.centre
        self._rows = basis.rows[: self._values.shape[1]].to(torch.float64)

    def fill(self, tile: Tile, unit: np.float32, factors: Floats, out: Floats, channels: slice) -> None:
        """Multiply, then scale each channel."""
        values = torch.from_numpy(self._values[tile.start : tile.stop]).to(torch.float64)
        out[:] = torch.mm(values, self._rows[:, channels]).numpy()
        scale, mean = self._basis.scale[channels].numpy() * unit, self._mean[channels]
        with np.errstate(over="ignore", invalid="ignore"):
            tile.inverse_dct(out)
            out *= factors[:, None]
            out *= scale
            out += mean


@compiled
def _scale_and_shift(
    values: NDArray[np.int32] | Floats, factors: Floats, scale: Floats, mean: Floats, out: Floats
) -> None:
    for t in range(out.shape[0]):
        row, out_row, factor = values[t], out[t], factors[t]
        for c in range(out.shape[1]):
            out_row[c] = np.float32(row[c]) * factor * scale[c] + mean[c]


@compiled
def _add_typical(index: NDArray[np.int64], rows: NDArray[np.int8], scale: Floats, out: Floats) -> None:
    for t in range(out.shape[0]):
        if index[t] >= 0:
            row, out_row = rows[index[t]], out[t]
            for c in range(out.shape[1]):
                out_row[c] += np.float32(row[c]) * scale[c]

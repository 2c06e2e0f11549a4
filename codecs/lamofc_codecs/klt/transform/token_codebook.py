"""Token codebook: the nearest of some typical tokens is subtracted from each token before the transform.

Its index is stored. Indices are sorted by falling frequency; their upper eight bits have a table in the profile, and
the bits below are stored raw, as neighbours in the list are about equally frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import SLOTS, Tables, read_plane, write_plane
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.klt.transform.error_weights import ErrorWeights
from lamofc_codecs.klt.transform.int8_transform import Basis
from lamofc_codecs.runtime import Floats, Int, as_bytes, compiled, lazy

MAX_TYPICAL_TOKENS = 1 << 16
_SEARCH_DIRECTIONS = 64
"""Directions, those of largest variance among the typical tokens, in which the nearest one is searched."""
_MAX_EXACT_CHANNELS, _PROJECTION_ROUNDS = 2048, 4
"""Channels up to which these directions are found exactly, and rounds by which they are found for more."""
_KMEANS_ROUNDS, _REFIT_ROUNDS = 10, 3
_TILE = 128
"""Tokens searched for at once: always as many, so that the result of a token does not depend on its neighbours."""
_TOKENS_PER_PRODUCT = 256
"""Tokens compared with the whole codebook in one product of a fit."""

Index = NDArray[np.int64]
NO_TYPICAL_TOKEN = -1
"""Index of a token from which none is subtracted; it is stored as 0."""


@dataclass(frozen=True, eq=False)
class TokenCodebook:
    """Typical tokens, centred, int8 with a scale for each channel."""

    basis: Basis
    """Typical tokens x channels."""
    table: Tables
    """Table of the upper bits of the indices."""
    weights: ErrorWeights | None = None
    """Weights that the typical tokens are multiplied by, where they are compared with weighted ones."""

    @property
    def count(self) -> int:
        """Number of typical tokens."""
        return len(self.basis.rows)

    @property
    def shift(self) -> int:
        """Low bits of an index that are stored raw."""
        return max(0, (self.count - 1).bit_length() - 8)

    @property
    def bits(self) -> float:
        """Mean cost of an index."""
        shares = self.table.freqs[0].astype(np.float64) / SLOTS
        used = shares[shares > 0]
        return self.shift - float((used * np.log2(used)).sum())

    @lazy
    def _search(self) -> tuple[Tensor, Tensor, Tensor]:
        """Channels x directions, directions x typical tokens, and half the squared length of each typical token."""
        return _search_matrices(self._rows)

    @lazy
    def _rows(self) -> Tensor:
        """Typical tokens x channels, weighted."""
        rows = self.basis.scaled_rows
        return rows if self.weights is None else self.weights.weigh_rows(rows)

    def nearest(self, centred: Floats) -> Index:
        """Index of the typical token that is nearest to each token."""
        directions, rows, half = self._search
        index = np.empty(len(centred), np.int64)
        for start in range(0, len(centred), _TILE):
            part = centred[start : start + _TILE]
            tile = torch.zeros(_TILE, centred.shape[1])
            tile[: len(part)] = torch.from_numpy(part)
            likeness = torch.mm(torch.mm(tile, directions), rows) - half
            index[start : start + _TILE] = likeness.argmax(1)[: len(part)].numpy()
        return index

    def take(self, index: Index) -> Floats:
        """Typical tokens of these indices, and 0 where there is none."""
        rows: Floats = self._rows[torch.from_numpy(np.maximum(index, 0))].numpy()
        rows[index < 0] = 0
        return rows

    def write(self, index: Index) -> bytes:
        """Code the indices of all tokens."""
        index = np.maximum(index, 0)
        form, plane = write_plane((index >> self.shift).astype(np.uint8), self.table)
        low = np.unpackbits(index.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        return bytes((form,)) + np.packbits(low[:, : self.shift], bitorder="little").tobytes() + plane

    def read(self, data: memoryview, tokens: int) -> Index:
        """Invert `write`."""
        size = (tokens * self.shift + 7) // 8
        if len(data) < 1 + size:
            raise CorruptRecord(f"{len(data)} bytes for {tokens} indices of the token codebook")
        high = np.empty(tokens, np.uint8)
        read_plane(data[0], data[1 + size :], high, self.table)
        index, largest = _join_bits(high, as_bytes(data[1 : 1 + size]), self.shift)
        if largest >= self.count:
            raise CorruptRecord(f"index {largest} of a token codebook of {self.count}")
        return index


@compiled
def _join_bits(high: NDArray[np.uint8], low: NDArray[np.uint8], shift: Int) -> tuple[Index, Int]:
    """Put the low bits of each index below its upper ones; return also the largest index, or -1 for none."""
    index, largest = np.empty(high.size, np.int64), np.int64(-1)
    at = np.int64(0)
    for t in range(high.size):
        value = np.int64(high[t]) << np.int64(shift)
        for bit in range(shift):
            value |= np.int64((low[at >> 3] >> np.uint8(at & 7)) & 1) << np.int64(bit)
            at += np.int64(1)
        index[t] = value
        largest = max(largest, value)
    return index, largest


def _search_matrices(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    directions = _leading_directions(rows.to(torch.float64)).to(torch.float32).contiguous()
    projected = rows @ directions
    return directions, projected.T.contiguous(), 0.5 * (projected * projected).sum(1)


def _leading_directions(rows: Tensor) -> Tensor:
    """Channels x directions of largest energy: exactly, or of many channels by repeated projection."""
    directions: Tensor
    if rows.shape[1] <= _MAX_EXACT_CHANNELS:
        directions = torch.linalg.eigh(rows.T @ rows)[1].flip(1)[:, :_SEARCH_DIRECTIONS]
        return directions
    noise = torch.randn(len(rows), _SEARCH_DIRECTIONS, generator=torch.Generator().manual_seed(0), dtype=rows.dtype)
    directions = torch.linalg.qr(rows.T @ noise).Q
    for _ in range(_PROJECTION_ROUNDS):
        directions = torch.linalg.qr(rows.T @ (rows @ directions)).Q
    return directions


def fit_codebook(values: Tensor, count: int, start: Tensor | None = None) -> Tensor:
    """Fit typical tokens by k-means to tokens x directions of falling variance, sorted by falling frequency.

    Without `start`, begin with `count` tokens drawn at random, always the same; fewer rounds refit a given start.
    """
    chosen = torch.from_numpy(np.random.default_rng(count).permutation(len(values))[:count])
    means = values[chosen].clone() if start is None else start
    leading, projected = means[:, :_SEARCH_DIRECTIONS], values[:, :_SEARCH_DIRECTIONS].contiguous()
    rounds: list[tuple[Tensor, Tensor]] = []
    for _ in range(_KMEANS_ROUNDS if start is None else _REFIT_ROUNDS):
        nearest = nearest_of(projected, leading)
        sizes = torch.bincount(nearest, minlength=len(means))
        leading = _means_of(projected, nearest, sizes, leading)
        rounds.append((nearest, sizes))
    for (nearest, sizes), last in zip(rounds, _last_filled([sizes for _, sizes in rounds]), strict=True):
        if last.any():
            means = torch.where(last[:, None], _means_of(values, nearest, sizes, means), means)
    sizes = torch.bincount(nearest_of(values, means), minlength=len(means))
    return means[torch.argsort(sizes, descending=True, stable=True)][: max(1, int((sizes > 0).sum()))]


def _last_filled(sizes: Sequence[Tensor]) -> list[Tensor]:
    """Return, for each round, the clusters that have tokens in it and in none after it."""
    filled = torch.stack(list(sizes)) > 0
    later = filled.flip(0).cumsum(0).flip(0)
    return list(filled & (later == 1))


def _means_of(values: Tensor, nearest: Tensor, sizes: Tensor, before: Tensor) -> Tensor:
    """Means of the tokens of each cluster; those from before where a cluster has no token."""
    sums = torch.zeros_like(before).index_add_(0, nearest, values)
    return torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], before)


def nearest_of(values: Tensor, means: Tensor) -> Tensor:
    """Index of the mean that is nearest to each token in the first directions."""
    projected, centres = values[:, :_SEARCH_DIRECTIONS], means[:, :_SEARCH_DIRECTIONS]
    half = 0.5 * (centres * centres).sum(1)
    pieces = torch.split(projected, _TOKENS_PER_PRODUCT)
    # Products of so few tokens stay in the cache, and NumPy finds their largest three times as fast as torch.
    nearest = [(piece @ centres.T).sub_(half).numpy().argmax(1) for piece in pieces]
    return torch.from_numpy(np.concatenate(nearest))

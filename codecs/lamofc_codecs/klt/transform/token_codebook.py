"""A codebook of token means: the nearest one is taken off each token before the transform, and its number is sent.

Numbers are by falling frequency. Their upper eight bits have a table in the profile, the bits below are stored as they
are: neighbours in the list are about equally frequent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import Tables, read_plane, write_plane
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.klt.transform.error_weights import ErrorWeights
from lamofc_codecs.klt.transform.int8_transform import Basis
from lamofc_codecs.runtime import Floats, lazy

MOST = 1 << 16
_SEEN = 64
"""Directions, those in which the means differ most, in which the nearest one is looked for."""
_ROUNDS, _MORE_ROUNDS = 10, 3
_TILE = 128
"""Tokens looked at together: always as many, so that no token's outcome depends on its neighbours."""

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenCodebook:
    """Means of tokens, int8 with a scale for each channel, about the middle of each channel."""

    basis: Basis
    """Means x channels."""
    table: Tables
    """Of the upper bits of the numbers."""
    metric: ErrorWeights | None = None
    """Weighs the means, where it is asked for those of weighted channels."""

    @property
    def count(self) -> int:
        """How many means."""
        return len(self.basis.rows)

    @property
    def shift(self) -> int:
        """How many low bits of a number are stored as they are."""
        return max(0, (self.count - 1).bit_length() - 8)

    @property
    def bits(self) -> float:
        """About what a number costs."""
        shares = self.table.freqs[0].astype(np.float64) / 4096
        used = shares[shares > 0]
        return self.shift - float((used * np.log2(used)).sum())

    @lazy
    def _seen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Channels x directions, directions x means, and half the squared length of each mean."""
        return _directions(self._weighted(self.basis.wide))

    def _weighted(self, rows: Tensor) -> Tensor:
        return rows if self.metric is None else self.metric.rows(rows)

    def nearest(self, values: Floats) -> Index:
        """The number of the mean that is nearest to each token."""
        directions, rows, half = self._seen
        out = np.empty(len(values), np.int64)
        for start in range(0, len(values), _TILE):
            part = values[start : start + _TILE]
            tile = torch.zeros(_TILE, values.shape[1])
            tile[: len(part)] = torch.from_numpy(part)
            found = torch.mm(torch.mm(tile, directions), rows) - half
            out[start : start + _TILE] = found.argmax(1)[: len(part)].numpy()
        return out

    def take(self, index: Index) -> Floats:
        """The means of those numbers."""
        chosen = self.basis.rows[torch.from_numpy(index)].to(torch.float32) * self.basis.scale
        rows: Floats = self._weighted(chosen).numpy()
        return rows

    def write(self, index: Index) -> bytes:
        """Code the numbers of all tokens."""
        form, plane = write_plane((index >> self.shift).astype(np.uint8), self.table)
        low = np.unpackbits(index.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        return bytes((form,)) + np.packbits(low[:, : self.shift], bitorder="little").tobytes() + plane

    def read(self, data: memoryview, tokens: int) -> Index:
        """Undo `write`."""
        size = (tokens * self.shift + 7) // 8
        if len(data) < 1 + size:
            raise CorruptRecord(f"{len(data)} bytes for {tokens} numbers of means")
        high = np.empty(tokens, np.uint8)
        read_plane(data[0], data[1 + size :], high, self.table)
        low = np.unpackbits(np.frombuffer(data[1 : 1 + size], np.uint8), bitorder="little")[: tokens * self.shift]
        weights = 1 << np.arange(self.shift)
        index: Index = (high.astype(np.int64) << self.shift) + low.reshape(tokens, self.shift) @ weights
        if len(index) and index.max() >= self.count:
            raise CorruptRecord(f"mean {index.max()} of {self.count}")
        return index


def _directions(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    centred = rows.to(torch.float64)
    _, found = torch.linalg.eigh(centred.T @ centred)
    directions = found.flip(1)[:, :_SEEN].to(torch.float32).contiguous()
    seen = rows @ directions
    return directions, seen.T.contiguous(), 0.5 * (seen * seen).sum(1)


def fit_codebook(values: Tensor, count: int, start: Tensor | None = None) -> Tensor:
    """k-means of tokens x directions of falling variance, the same every time; by falling frequency.

    From tokens drawn at random, a fixed number of rounds, by the first directions; fewer from means that are given.
    """
    places = torch.from_numpy(np.random.default_rng(count).permutation(len(values))[:count])
    means = values[places].clone() if start is None else start
    count = len(means)
    for _ in range(_ROUNDS if start is None else _MORE_ROUNDS):
        nearest = nearest_of(values, means)
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(means).index_add_(0, nearest, values)
        means = torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], means)
    sizes = torch.bincount(nearest_of(values, means), minlength=count)
    return means[torch.argsort(sizes, descending=True, stable=True)][: max(1, int((sizes > 0).sum()))]


def nearest_of(values: Tensor, means: Tensor) -> Tensor:
    """The number of the mean nearest to each token, by the first directions."""
    seen, known = values[:, :_SEEN], means[:, :_SEEN]
    half = 0.5 * (known * known).sum(1)
    return torch.cat([(part @ known.T - half).argmax(1) for part in torch.split(seen, 4096)])

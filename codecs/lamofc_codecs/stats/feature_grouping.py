"""Which features of a sample are worth coding together: those whose tokens tell of each other.

What a Gaussian model of some tokens would take for others is compared for features apart and together. All that it asks
of a feature are products of tokens with tokens, and those of a group are the sums of its features' ones: any number of
channels is as cheap as any other. Groups grow by the pair that saves most, as long as one saves anything to speak of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from lamofc_codecs.runtime import convert
from lamofc_codecs.stats.bulk import Bulk
from lamofc_codecs.stats.channel_statistics import collect_statistics

_TOKENS_OF_FEW_FEATURES, _TOKENS_OF_MANY_FEATURES = 1536, 768
"""Tokens that are looked at, of few features and of many."""
_FEW_FEATURES = 24
_TEST_EVERY = 5
"""One token in so many is coded by what the others tell."""
_MAX_GROUP_CHANNELS = 1 << 14
"""Channels of a group."""
_MIN_SAVED_SHARE = 0.02
"""Share of the bits that a pair has to save."""
_CANDIDATES_AFTER_MERGE = 8
"""Groups that are looked at again when one has grown: those with which its parts saved most."""
_COLUMNS_PER_STRONG_ONE = 1.5
"""Columns of a transform for each that is worth a bit or so."""

Names = tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Features that are coded together, and about what they cost."""

    names: Names
    channels: int
    saved: float
    """Bits of an element that coding them together saves, profiles counted."""


def find_groups(samples: Iterable[Mapping[str, Tensor]], aim_db: float = 10.0, shared_by: int = 10_000) -> list[Group]:
    """Groups of two features or more that save bits, by their first names.

    `samples` map names to tokens x channels; only features with equally many tokens in each sample can be together.
    A profile's bytes are spread over `shared_by` samples.
    """
    listed = list(samples)
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(set[str]().union(*listed)):
        if all(name in sample and sample[name].is_floating_point() for sample in listed):
            alike.setdefault(tuple(len(sample[name]) for sample in listed), []).append(name)
    found: list[Group] = []
    for lengths, names in alike.items():
        if len(names) > 1 and sum(lengths) >= 2 * _TEST_EVERY:
            found += _Search(listed, names, aim_db, shared_by * sum(lengths) / len(listed)).groups()
    return sorted(found, key=lambda group: group.names)


@dataclass(frozen=True)
class _Products:
    """What is asked of a feature, or of several: products of its tokens, each a channel's square of 1 on average."""

    train: Tensor
    cross: Tensor
    """Tokens held out x others."""
    square: float
    """Of a token held out, on average."""
    channels: int

    def __add__(self, other: _Products) -> _Products:
        return _Products(
            self.train + other.train,
            self.cross + other.cross,
            self.square + other.square,
            self.channels + other.channels,
        )

    def bits(self, noise: float, shared: float) -> float:
        """What a token takes, but for what depends on the channels alone, and its share of the transform."""
        count = len(self.train)
        factor = torch.linalg.cholesky(self.train / (count * noise) + torch.eye(count))
        told = torch.linalg.solve_triangular(factor, self.cross.T / (count * noise), upper=False)
        unlikely = self.square / noise - float(told.square().sum(0).mean()) * count
        columns = count - float(torch.cholesky_inverse(factor).diagonal().sum())
        bits = float(factor.diagonal().log2().sum()) + 0.5 * math.log2(math.e) * unlikely
        return bits + 8 * _COLUMNS_PER_STRONG_ONE * columns * self.channels / shared


class _Search:
    """Growing groups of features that share their tokens."""

    def __init__(
        self, samples: Sequence[Mapping[str, Tensor]], names: Sequence[str], aim_db: float, shared: float
    ) -> None:
        self._noise, self._shared = 10 ** (-aim_db / 10), shared
        most = _TOKENS_OF_FEW_FEATURES if len(names) <= _FEW_FEATURES else _TOKENS_OF_MANY_FEATURES
        self._products: dict[Names, _Products] = {}
        for name in names:
            self._products[name,] = _products([sample[name] for sample in samples], most)
        self._bits = {single: self._of(products) for single, products in self._products.items()}
        self._apart = dict(self._bits)

    def groups(self) -> list[Group]:
        """Grow groups until no pair saves enough."""
        saved = {pair: self._saved(*pair) for pair in combinations(sorted(self._products), 2)}
        while saved:
            one, other = max(saved, key=lambda pair: (saved[pair], pair))
            if saved[one, other] <= 0:
                break
            grown = tuple(sorted(one + other))
            hopes = {name: max(saved.get(_pair(part, name), 0.0) for part in (one, other)) for name in self._products}
            self._products[grown] = self._products.pop(one) + self._products.pop(other)
            self._bits[grown] = self._of(self._products[grown])
            saved = {pair: value for pair, value in saved.items() if one not in pair and other not in pair}
            likely = sorted((name for name in hopes if name in self._products), key=lambda name: -hopes[name])[
                :_CANDIDATES_AFTER_MERGE
            ]
            saved |= {_pair(grown, name): self._saved(*_pair(grown, name)) for name in likely}
        return [self._group(names) for names in self._products if len(names) > 1]

    def _of(self, products: _Products) -> float:
        return products.bits(self._noise, self._shared)

    def _saved(self, one: Names, other: Names) -> float:
        """Bits of a token that two groups save together, beyond what makes it worth it."""
        both = self._products[one] + self._products[other]
        if both.channels > _MAX_GROUP_CHANNELS:
            return 0.0
        return (1 - _MIN_SAVED_SHARE) * (self._bits[one] + self._bits[other]) - self._of(both)

    def _group(self, names: Names) -> Group:
        channels = self._products[names].channels
        apart = sum(self._apart[name,] for name in names)
        return Group(names, channels, (apart - self._bits[names]) / channels)


def _pair(one: Names, other: Names) -> tuple[Names, Names]:
    return (one, other) if one < other else (other, one)


def _products(tensors: Sequence[Tensor], most: int) -> _Products:
    """Of tokens from all over the samples, the same ones of each feature."""
    stride = max(1, sum(map(len, tensors)) // most)
    chosen = [tensor.detach().cpu()[place % stride :: stride] for place, tensor in enumerate(tensors)]
    rows = [convert(some, torch.float32) for some in chosen]
    collected = collect_statistics(rows, skip_nonfinite=True)
    bulk, _ = collected.finish()
    away = _inside(torch.cat(rows), bulk)
    away /= away.square().mean().sqrt().clamp(min=1e-30)
    held = torch.arange(len(away)) % _TEST_EVERY == 0
    train, test = away[~held], away[held]
    return _Products(train @ train.T, test @ train.T, float(test.square().sum(1).mean()), away.shape[1])


def _inside(rows: Tensor, bulk: Bulk) -> Tensor:
    values = rows.numpy().copy()
    outside = bulk.outside(values)
    values -= bulk.mean
    values[outside] = 0
    return torch.from_numpy(values)

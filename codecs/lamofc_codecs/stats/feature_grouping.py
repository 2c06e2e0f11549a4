"""Find the features of a sample that take fewer bits together, because their tokens have common correlations.

A Gaussian model of some tokens predicts the bits of the others, for features apart and together. It needs only the
products of tokens with tokens, and those of a group are the sums over its features, so the cost does not depend on the
number of channels. Groups grow by the pair that saves most, as long as a pair saves a fair share of its bits.
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
"""Tokens in the model, if there are few features and if there are many."""
_MAX_FEW_FEATURES = 24
"""Most features that count as few."""
_TEST_STRIDE = 5
"""One token in this many is a test token, whose bits the model of the others predicts."""
_MAX_GROUP_CHANNELS = 1 << 14
"""Most channels of a group."""
_MIN_SAVED_SHARE = 0.02
"""Share of its bits that a pair must save to be coded together."""
_CANDIDATES_AFTER_MERGE = 8
"""Groups that are compared with a merged group: those with which its parts saved most."""
_COLUMNS_PER_DEGREE_OF_FREEDOM = 1.5
"""Columns of a transform for each effective degree of freedom of the model."""

Names = tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Features to code together, and the estimated gain."""

    names: Names
    channels: int
    saved: float
    """Bits for each element that joint coding saves, after the cost of the profiles."""


def find_groups(samples: Iterable[Mapping[str, Tensor]], aim_db: float = 10.0, shared_by: int = 10_000) -> list[Group]:
    """Find the groups of two features or more whose joint coding saves bits, sorted by their names.

    `samples` map names to tokens x channels; only features of equal length in each sample can form a group. The bytes
    of a profile are spread over `shared_by` samples.
    """
    listed = list(samples)
    by_lengths: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(set[str]().union(*listed)):
        if all(name in sample and sample[name].is_floating_point() for sample in listed):
            by_lengths.setdefault(tuple(len(sample[name]) for sample in listed), []).append(name)
    groups: list[Group] = []
    for lengths, names in by_lengths.items():
        if len(names) > 1 and sum(lengths) >= 2 * _TEST_STRIDE:
            groups += _Search(listed, names, aim_db, shared_by * sum(lengths) / len(listed)).groups()
    return sorted(groups, key=lambda group: group.names)


@dataclass(frozen=True)
class _Products:
    """Products of the tokens of one feature or several, scaled to a mean square of 1 over each feature."""

    train: Tensor
    """Products of training tokens with each other."""
    cross: Tensor
    """Products of test tokens x training tokens."""
    square: float
    """Mean squared norm of a test token."""
    channels: int

    def __add__(self, other: _Products) -> _Products:
        return _Products(
            self.train + other.train,
            self.cross + other.cross,
            self.square + other.square,
            self.channels + other.channels,
        )

    def bits(self, noise: float, shared: float) -> float:
        """Return the bits of a token and its share of the transform, up to terms that depend on the channels alone.

        `shared` is the number of tokens that share the transform.
        """
        count = len(self.train)
        factor = torch.linalg.cholesky(self.train / (count * noise) + torch.eye(count))
        explained = torch.linalg.solve_triangular(factor, self.cross.T / (count * noise), upper=False)
        residual = self.square / noise - float(explained.square().sum(0).mean()) * count
        columns = count - float(torch.cholesky_inverse(factor).diagonal().sum())
        bits = float(factor.diagonal().log2().sum()) + 0.5 * math.log2(math.e) * residual
        return bits + 8 * _COLUMNS_PER_DEGREE_OF_FREEDOM * columns * self.channels / shared


class _Search:
    """Greedy search for groups of features that share their tokens."""

    def __init__(
        self, samples: Sequence[Mapping[str, Tensor]], names: Sequence[str], aim_db: float, shared: float
    ) -> None:
        self._noise, self._shared = 10 ** (-aim_db / 10), shared
        max_tokens = _TOKENS_OF_FEW_FEATURES if len(names) <= _MAX_FEW_FEATURES else _TOKENS_OF_MANY_FEATURES
        self._products: dict[Names, _Products] = {}
        for name in names:
            self._products[name,] = _products([sample[name] for sample in samples], max_tokens)
        self._bits = {single: self._bits_of(products) for single, products in self._products.items()}
        self._single_bits = dict(self._bits)

    def groups(self) -> list[Group]:
        """Grow groups until no pair saves enough."""
        saved = {pair: self._saved(*pair) for pair in combinations(sorted(self._products), 2)}
        while saved:
            best = max(saved, key=lambda pair: (saved[pair], pair))
            if saved[best] <= 0:
                break
            first, second = best
            merged = tuple(sorted(first + second))
            gains = {group: max(saved.get(_pair(part, group), 0.0) for part in best) for group in self._products}
            self._products[merged] = self._products.pop(first) + self._products.pop(second)
            self._bits[merged] = self._bits_of(self._products[merged])
            saved = {pair: value for pair, value in saved.items() if first not in pair and second not in pair}
            others = (group for group in gains if group in self._products)
            likely = sorted(others, key=lambda group: -gains[group])[:_CANDIDATES_AFTER_MERGE]
            saved |= {_pair(merged, group): self._saved(*_pair(merged, group)) for group in likely}
        return [self._group(names) for names in self._products if len(names) > 1]

    def _bits_of(self, products: _Products) -> float:
        return products.bits(self._noise, self._shared)

    def _saved(self, first: Names, second: Names) -> float:
        """Return the bits of a token that two groups save together, less the share that a pair must save."""
        both = self._products[first] + self._products[second]
        if both.channels > _MAX_GROUP_CHANNELS:
            return 0.0
        return (1 - _MIN_SAVED_SHARE) * (self._bits[first] + self._bits[second]) - self._bits_of(both)

    def _group(self, names: Names) -> Group:
        channels = self._products[names].channels
        apart = sum(self._single_bits[name,] for name in names)
        return Group(names, channels, (apart - self._bits[names]) / channels)


def _pair(first: Names, second: Names) -> tuple[Names, Names]:
    return (first, second) if first < second else (second, first)


def _products(tensors: Sequence[Tensor], max_tokens: int) -> _Products:
    """Compute the products of about `max_tokens` tokens, spread evenly over the samples and alike for each feature."""
    stride = max(1, sum(map(len, tensors)) // max_tokens)
    chosen = [tensor.detach().cpu()[place % stride :: stride] for place, tensor in enumerate(tensors)]
    rows = [convert(tokens, torch.float32) for tokens in chosen]
    collected = collect_statistics(rows, skip_nonfinite=True)
    bulk, _ = collected.finish()
    centred = _centred_bulk(torch.cat(rows), bulk)
    centred /= centred.square().mean().sqrt().clamp(min=1e-30)
    is_test = torch.arange(len(centred)) % _TEST_STRIDE == 0
    train, test = centred[~is_test], centred[is_test]
    return _Products(train @ train.T, test @ train.T, float(test.square().sum(1).mean()), centred.shape[1])


def _centred_bulk(rows: Tensor, bulk: Bulk) -> Tensor:
    """Return the values less their channel means, and 0 outside of the bulk."""
    values = rows.numpy().copy()
    outside = bulk.outside(values)
    values -= bulk.mean
    values[outside] = 0
    return torch.from_numpy(values)

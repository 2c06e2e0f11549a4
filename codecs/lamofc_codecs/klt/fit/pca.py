"""Principal directions of tokens x channels, by the cheapest way: exactly, or by repeated random projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs.klt.transform import nearest_of

MAX_EXACT = 6144
"""Tokens or channels up to which all directions are found exactly."""
_OVERSAMPLING = 64
"""Directions of the random subspace beyond those that are returned."""
_POWER_ROUNDS = 4
_FIRST_COUNT = 768
"""Directions of many channels that are found at first."""
_EXACT_RATIO = 4
"""Channels for each direction wanted, below which all directions are found in about the same time."""
_LEADING_ROUNDS = 2
"""Rounds of a subspace whose directions need only hold nearly all of the energy."""
MANY_CHANNELS = 1024
"""Channels from which on few directions are found, and products are added up in blocks."""
_BLOCK = 512
_SHRINKAGE = 0.1
"""Weight of the diagonal in a covariance of as few tokens as channels."""
_MIN_EIGENVALUE_SHARE = 1e-9
"""Share of the largest eigenvalue below which a direction is noise."""
_MIN_SINGLE_SHARE = 1e-7
"""Share of the largest eigenvalue above which single precision tells directions apart, in half the time of double."""


def principal(values: Tensor, limit: int | None = None) -> Tensor:
    """Return directions, columns x channels, orthonormal, by falling variance; at most `limit`."""
    tokens, channels = values.shape
    count = min(channels, limit or channels)
    if channels <= MAX_EXACT:
        return _from_channels(values)[:count].contiguous()
    count = min(count, max(1, tokens // 2))
    if tokens <= MAX_EXACT:
        return _from_tokens(values)[:count].contiguous()
    count = min(count, MAX_EXACT - _OVERSAMPLING)
    return _from_random_subspace(lambda space: values.T @ (values @ space), channels, count)


def principal_by_range(
    values: Tensor, range_of: Tensor | None, limit: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return the directions of each range of channels by itself, by falling variance; and the range of each direction.

    `range_of` is the range of each channel; None puts all of them into one.
    """
    if range_of is None:
        return principal(values, limit), None
    by_range = []
    for number in sorted(set(range_of.tolist())):
        chosen = range_of == number
        rotation = principal(values[:, chosen])
        rows = torch.zeros(len(rotation), values.shape[1])
        rows[:, chosen] = rotation
        variance = (values[:, chosen] @ rotation.T).square().mean(0)
        by_range.append((rows, variance, torch.full((len(rotation),), number)))
    variances = torch.cat([variance for _, variance, _ in by_range])
    order = variances.argsort(descending=True, stable=True)[:limit]
    rows = torch.cat([rows for rows, _, _ in by_range])[order].contiguous()
    return rows, torch.cat([numbers for _, _, numbers in by_range])[order]


def leading(values: Tensor, enough: Callable[[Tensor, float], int]) -> Tensor:
    """Return the first principal directions of many channels, as many as `enough` says.

    `enough` gets the variances of some directions, which fall, and the energy of a token in all of them. Where it asks
    for more, twice as many are found.
    """
    products, tokens, channels = products_of(values), *values.shape
    shrunk, energy = _shrunk(products, tokens), float(products.diagonal().sum(dtype=torch.float64)) / max(tokens, 1)
    single, count, rows = shrunk.to(torch.float32), _FIRST_COUNT, values[:0]
    while _EXACT_RATIO * count <= channels:
        rows = _from_subspace(lambda space: single @ space, _extended(rows.T, count), _LEADING_ROUNDS)
        wanted = enough(_variances(rows[:count], products, tokens), energy)
        if wanted < count:
            return rows[:wanted].contiguous()
        count *= 2
    rows, resolved = _in_single_precision(shrunk)
    wanted = enough(_variances(rows, products, tokens), energy)
    if wanted > resolved:
        rows = _from_covariance(shrunk)
        wanted = enough(_variances(rows, products, tokens), energy)
    return rows[:wanted]


def principal_of_products(products: Tensor, tokens: int) -> Tensor:
    """Return all directions of so many tokens, given the products of their channels."""
    covariance = _shrunk(products, tokens)
    if len(covariance) > MANY_CHANNELS:
        rows, resolved = _in_single_precision(covariance)
        if resolved == len(rows):
            return rows.contiguous()
    return _from_covariance(covariance).contiguous()


def products_of(values: Tensor) -> Tensor:
    """Return the products of channels, summed over tokens; of many channels, those below the diagonal are mirrored."""
    channels = values.shape[1]
    if channels <= MANY_CHANNELS:
        return values.T @ values
    products = torch.empty(channels, channels)
    for first in range(0, channels, _BLOCK):
        last = first + _BLOCK
        products[first:, first:last] = values[:, first:].T @ values[:, first:last]
        products[first:last, last:] = products[last:, first:last].T
    return products


def _variances(rows: Tensor, products: Tensor, tokens: int) -> Tensor:
    """Mean squares of tokens along directions."""
    variances: Tensor = ((rows @ products) * rows).sum(1).clamp(min=0) / max(tokens, 1)
    return variances


def _from_channels(values: Tensor) -> Tensor:
    """Diagonalise the covariance of channels."""
    return principal_of_products(products_of(values), len(values))


def _shrunk(products: Tensor, tokens: int) -> Tensor:
    """Return the covariance of channels; few tokens shrink it towards its diagonal."""
    covariance = products.to(torch.float64) / max(tokens, 1)
    shrinkage = min(1.0, len(products) / max(tokens, 1)) * _SHRINKAGE
    return (1 - shrinkage) * covariance + shrinkage * torch.diag(covariance.diagonal())


def _from_covariance(covariance: Tensor) -> Tensor:
    _, directions = torch.linalg.eigh(covariance)
    rows: Tensor = directions.T.flip(0).to(torch.float32)
    return rows


def _in_single_precision(covariance: Tensor) -> tuple[Tensor, int]:
    """Diagonalise in single precision; return also how many of the first directions that tells apart."""
    sizes, directions = torch.linalg.eigh(covariance.to(torch.float32))
    return directions.T.flip(0), int((sizes > _MIN_SINGLE_SHARE * sizes[-1]).sum())


def _from_tokens(values: Tensor) -> Tensor:
    """Diagonalise the products of tokens, where they are fewer than the channels."""
    sizes, directions = torch.linalg.eigh((values @ values.T).to(torch.float64))
    chosen = sizes > _MIN_EIGENVALUE_SHARE * sizes.max()
    rows: Tensor = (directions[:, chosen] / sizes[chosen].sqrt()).flip(1).T.to(torch.float32) @ values
    return rows


def _from_random_subspace(multiply: Callable[[Tensor], Tensor], channels: int, count: int) -> Tensor:
    """Iterate on a random subspace, a little larger than needed."""
    return _from_subspace(multiply, _extended(torch.empty(channels, 0), count), _POWER_ROUNDS)[:count].contiguous()


def _extended(space: Tensor, count: int) -> Tensor:
    """Append random columns, the same every time, to a few more than `count`."""
    generator = torch.Generator().manual_seed(count)
    more = torch.randn(len(space), count + _OVERSAMPLING - space.shape[1], generator=generator)
    return torch.cat([space, more], 1)


def _from_subspace(multiply: Callable[[Tensor], Tensor], space: Tensor, rounds: int) -> Tensor:
    """Iterate on a subspace, and return its principal directions.

    `multiply` is the product of the covariance, up to a factor, with channels x columns.
    """
    for _ in range(rounds):
        space, _ = torch.linalg.qr(multiply(space))
    inner = _from_covariance(space.T @ multiply(space))
    rows: Tensor = inner @ space.T
    return rows


@dataclass(frozen=True, eq=False)
class ProjectedTokens:
    """Tokens in directions of falling variance."""

    values: Tensor
    """Tokens x directions."""
    range_of: Tensor | None
    """Range of channels of each direction, where ranges are decorrelated separately."""
    products: Tensor | None
    """Products of directions, summed over tokens, from which those of any remainder follow; None of few channels."""

    def with_more(self, values: Tensor) -> ProjectedTokens:
        """Append tokens."""
        products = None if self.products is None else self.products + products_of(values)
        return ProjectedTokens(torch.cat([self.values, values]), self.range_of, products)

    def principal_about(self, means: Tensor | None) -> Tensor:
        """Return the principal directions, columns x directions, of tokens less the nearest of some means."""
        if self.products is not None:
            return principal_of_products(self._products_about(self.products, means), len(self.values))
        residual = self.values if means is None else self.values - means[nearest_of(self.values, means)]
        return principal_by_range(residual, self.range_of)[0]

    def _products_about(self, products: Tensor, means: Tensor | None) -> Tensor:
        """Return the products of tokens less the nearest of some means, which need not be subtracted for that."""
        if means is None:
            return products
        nearest = nearest_of(self.values, means)
        sizes = torch.bincount(nearest, minlength=len(means))[:, None]
        sums = torch.zeros_like(means).index_add_(0, nearest, self.values)
        half = (sums - sizes * means / 2).to(torch.float64).T @ means.to(torch.float64)
        return products.to(torch.float64) - half - half.T

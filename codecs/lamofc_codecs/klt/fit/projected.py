"""Tokens of a fit in their principal directions, and what remains of them about typical tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lamofc_codecs.klt.fit.pca import principal_by_range, principal_of_products, products_of
from lamofc_codecs.klt.transform import nearest_of


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

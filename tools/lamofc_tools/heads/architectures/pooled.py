"""The base of heads on pooled tokens. Features are pooled while they are decoded, or here if they come as tokens."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lamofc_codecs import UnsupportedInput
from lamofc_store import Padded, Pool
from lamofc_store.errors import BadArgument
from lamofc_tools.heads.contract import BatchFeature, Head, Task, TrainingConfig, tokens_and_mask


@dataclass(frozen=True)
class PooledOptions:
    """Options of heads on pooled tokens."""

    pool: str = "mean"
    """`cls`, `mean` or `cls+mean`."""
    prefix: int = 0
    """Tokens before the patches, which the mean leaves out."""


class PooledHead(Head):
    """A classifier of one vector per sample, the pooled features side by side, trained without a loop over batches."""

    tasks = ("classes",)

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        self.pool = _pool_of(self.options["pool"], self.options["prefix"])
        self.inputs = sum(widths) * self.pool.rows

    @abstractmethod
    def scores(self, rows: Tensor) -> Tensor:
        """Return scores of pooled rows, rows x classes."""

    @abstractmethod
    def fit_rows(self, rows: Tensor, targets: Tensor, config: TrainingConfig) -> float:
        """Fit the head to pooled rows and return the remaining loss."""

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return scores, samples x classes."""
        return self.scores(self.rows(features))

    def rows(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return samples x pooled channels of features that are pooled already or not."""
        parts = [self._pooled(feature, width) for feature, width in zip(features, self.widths, strict=True)]
        return torch.cat(parts, dim=1)

    def _pooled(self, feature: BatchFeature, width: int) -> Tensor:
        if not isinstance(feature, Padded) and feature.shape[1:] == (width * self.pool.rows,):
            return feature.float()
        return pool_tokens(feature, self.pool).float()


def _pool_of(tokens: str, prefix: int) -> Pool:
    try:
        return Pool(tokens, prefix)  # type: ignore[arg-type]
    except UnsupportedInput as error:
        raise BadArgument(error.args[0], error.cure) from None


def pool_tokens(feature: BatchFeature, pool: Pool) -> Tensor:
    """Pool the tokens of each sample, samples x pooled channels; padding does not count."""
    values, mask = tokens_and_mask(feature)
    parts = [values[:, 0]] if pool.kind != "mean" else []
    if pool.kind != "cls":
        tokens = values[:, pool.prefix :] if values.shape[1] > pool.prefix else values
        if mask is None:
            parts.append(tokens.mean(1))
        else:
            present = mask[:, -tokens.shape[1] :, None].to(values.dtype)
            parts.append((tokens * present).sum(1) / present.sum(1).clamp_min(1))
    return torch.cat(parts, dim=1)

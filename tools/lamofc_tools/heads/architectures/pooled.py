"""What heads on pooled tokens have in common: rows are pooled before they are read, or here, as they come."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lamofc_codecs import UnsupportedInput
from lamofc_store import Padded, Pool
from lamofc_store.errors import BadArgument
from lamofc_tools.heads.contract import Given, Head, Task, tokens_of

if TYPE_CHECKING:
    from lamofc_tools.heads.contract import TrainingConfig


class PooledHead(Head):
    """A head of one vector a sample and feature."""

    tasks = ("classes",)

    def __init__(
        self, widths: Sequence[int], task: Task, *, pool: str = "mean", prefix: int = 0, **options: Any
    ) -> None:
        super().__init__(widths, task, pool=pool, prefix=prefix, **options)
        self.pool = _pool_of(pool, prefix)
        self.inputs = sum(widths) * self.pool.rows

    @abstractmethod
    def scores(self, rows: Tensor) -> Tensor:
        """Samples x classes, of pooled rows."""

    @abstractmethod
    def learn(self, rows: Tensor, targets: Tensor, course: "TrainingConfig") -> float:
        """Learn all there is from pooled rows; the loss that is left."""

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x classes."""
        return self.scores(self.rows(features))

    def rows(self, features: Sequence[Given]) -> Tensor:
        """Samples x pooled channels, of features that are pooled already or not."""
        return torch.cat([self._row(*both) for both in zip(features, self.widths, strict=True)], dim=1)

    def _row(self, feature: Given, width: int) -> Tensor:
        if not isinstance(feature, Padded) and feature.shape[1:] == (width * self.pool.rows,):
            return feature.float()
        return pooled(feature, self.pool).float()


def _pool_of(kind: str, prefix: int) -> Pool:
    try:
        return Pool(kind, prefix)  # type: ignore[arg-type]
    except UnsupportedInput as error:
        raise BadArgument(error.args[0], error.cure) from None


def pooled(feature: Given, pool: Pool) -> Tensor:
    """Samples x pooled channels, as `Pool` says."""
    values, mask = tokens_of(feature)
    found = [values[:, 0]] if pool.kind != "mean" else []
    if pool.kind != "cls":
        rest = values[:, pool.prefix :] if values.shape[1] > pool.prefix else values
        if mask is None:
            found.append(rest.mean(1))
        else:
            there = mask[:, -rest.shape[1] :, None].to(values.dtype)
            found.append((rest * there).sum(1) / there.sum(1).clamp_min(1))
    return torch.cat(found, dim=1)

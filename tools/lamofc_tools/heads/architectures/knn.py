"""Nearest neighbours: the classes of the most alike, weighed by how alike they are, as DINOv2 is judged by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lamofc_tools.heads.architectures.pooled import PooledHead
from lamofc_tools.heads.contract import Task

if TYPE_CHECKING:
    from lamofc_tools.heads.contract import TrainingConfig

TEMPERATURE = 0.07
_ROWS = 1024
"""Rows that are compared with all others at once."""


class KnnHead(PooledHead):
    """Remembers the rows that it was given; there is nothing to train."""

    kind = "knn"

    def __init__(
        self,
        widths: Sequence[int],
        task: Task,
        *,
        pool: str = "mean",
        prefix: int = 0,
        neighbours: int = 20,
        **options: Any,
    ) -> None:
        super().__init__(widths, task, pool=pool, prefix=prefix, neighbours=neighbours, **options)
        self._neighbours = neighbours
        self.bank: Tensor
        self.labels: Tensor
        self.register_buffer("bank", torch.zeros(options.get("rows", 0), self.inputs))
        self.register_buffer("labels", torch.zeros(options.get("rows", 0), dtype=torch.int64))

    def remember(self, rows: Tensor, labels: Tensor) -> None:
        """Take in pooled rows and their classes, in place of those before."""
        self.bank, self.labels = normalize(rows.float(), dim=1), labels
        self.options["rows"] = len(rows)

    def learn(self, rows: Tensor, targets: Tensor, course: "TrainingConfig") -> float:
        """Remember them."""
        self.remember(rows, targets)
        return 0.0

    def scores(self, rows: Tensor) -> Tensor:
        """Votes of the neighbours."""
        return torch.cat([self._votes(part) for part in torch.split(normalize(rows.float(), dim=1), _ROWS)])

    def _votes(self, rows: Tensor) -> Tensor:
        alike, which = (rows @ self.bank.T).topk(min(self._neighbours, len(self.bank)), dim=1)
        votes = one_hot(self.labels[which], self.task.classes) * (alike / TEMPERATURE).exp()[..., None]
        return votes.sum(1)

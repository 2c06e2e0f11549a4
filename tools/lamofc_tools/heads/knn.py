"""Nearest neighbours: the classes of the most alike, weighed by how alike they are, as DINOv2 is judged by."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lamofc_tools.heads.head import Head
from lamofc_tools.heads.task import Task
from lamofc_tools.heads.tokens import Given, check_pool, pooled_all, pooled_width

TEMPERATURE = 0.07
_ROWS = 1024
"""Rows that are compared with all others at once."""


class KnnHead(Head):
    """Remembers the rows that it was given; there is nothing to train."""

    kind = "knn"
    tasks = ("classes",)

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
        self._pool, self._prefix, self._neighbours = check_pool(pool), prefix, neighbours
        inputs = sum(pooled_width(width, self._pool) for width in widths)
        self.bank: Tensor
        self.labels: Tensor
        self.register_buffer("bank", torch.zeros(options.get("rows", 0), inputs))
        self.register_buffer("labels", torch.zeros(options.get("rows", 0), dtype=torch.int64))

    def remember(self, rows: Tensor, labels: Tensor) -> None:
        """Take in pooled rows and their classes, in place of those before."""
        self.bank, self.labels = normalize(rows.float(), dim=1), labels
        self.options["rows"] = len(rows)

    def rows(self, features: Sequence[Given]) -> Tensor:
        """What is compared: samples x pooled channels."""
        return pooled_all(features, self._pool, self._prefix)

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x classes: votes of the neighbours."""
        return self.scores(self.rows(features))

    def scores(self, rows: Tensor) -> Tensor:
        """Of pooled rows."""
        return torch.cat([self._votes(part) for part in torch.split(normalize(rows.float(), dim=1), _ROWS)])

    def _votes(self, rows: Tensor) -> Tensor:
        alike, which = (rows @ self.bank.T).topk(min(self._neighbours, len(self.bank)), dim=1)
        votes = one_hot(self.labels[which], self.task.classes) * (alike / TEMPERATURE).exp()[..., None]
        return votes.sum(1)

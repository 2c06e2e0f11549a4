"""Nearest neighbours: the classes of the most similar samples vote, weighted by similarity, as for DINOv2."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lamofc_tools.heads.architectures.pooled import PooledHead, PooledOptions
from lamofc_tools.heads.contract import Task, TrainingConfig

TEMPERATURE = 0.07
"""A vote counts exp(cosine similarity / temperature)."""
_ROWS_AT_ONCE = 1024
"""Rows compared with all stored rows at once; bounds the memory of the similarities."""


@dataclass(frozen=True)
class KnnOptions(PooledOptions):
    """Options of a nearest-neighbour head."""

    neighbours: int = 20
    rows: int = 0
    """Stored rows; `remember` sets the number, and a head that is read from a file allocates them."""


class KnnHead(PooledHead):
    """A head that stores the rows and classes of its training samples; nothing is trained."""

    kind = "knn"
    options_type = KnnOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        settings = KnnOptions(**options)
        self._neighbours = settings.neighbours
        self.bank: Tensor
        self.labels: Tensor
        self.register_buffer("bank", torch.zeros(settings.rows, self.inputs))
        self.register_buffer("labels", torch.zeros(settings.rows, dtype=torch.int64))

    def remember(self, rows: Tensor, labels: Tensor) -> None:
        """Store pooled rows and their classes in place of earlier ones."""
        self.bank, self.labels = normalize(rows.float(), dim=1), labels
        self.options["rows"] = len(rows)

    def fit_rows(self, rows: Tensor, targets: Tensor, config: TrainingConfig) -> float:
        """Store the rows; there is no loss."""
        self.remember(rows, targets)
        return 0.0

    def scores(self, rows: Tensor) -> Tensor:
        """Return the votes of the nearest stored rows, rows x classes."""
        return torch.cat([self._votes(part) for part in torch.split(normalize(rows.float(), dim=1), _ROWS_AT_ONCE)])

    def _votes(self, rows: Tensor) -> Tensor:
        similarity, nearest = (rows @ self.bank.T).topk(min(self._neighbours, len(self.bank)), dim=1)
        votes = one_hot(self.labels[nearest], self.task.classes) * (similarity / TEMPERATURE).exp()[..., None]
        return votes.sum(1)

"""Attentive pooling: a learned query attends to all tokens of a feature, and a linear layer classifies the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract import BatchFeature, Head, Task, tokens_and_mask

_QUERY_SCALE = 0.02
"""Standard deviation of the initial query."""


@dataclass(frozen=True)
class AttentiveOptions:
    """Options of attentive pooling."""

    heads: int = 4
    """Attention heads; one is used for features whose channels it does not divide."""


class AttentiveHead(Head):
    """One query for each feature; the pooled vectors of all features are classified together."""

    kind = "attentive"
    tasks = ("classes",)
    options_type = AttentiveOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        settings = AttentiveOptions(**options)
        # parameters keep the names that they have in files
        self.looks = nn.ModuleList(_AttentivePooling(width, settings.heads) for width in widths)
        self.classify = nn.Linear(sum(widths), task.outputs)

    def forward(self, features: Sequence[BatchFeature]) -> Tensor:
        """Return scores, samples x classes."""
        vectors = [pool(*tokens_and_mask(feature)) for pool, feature in zip(self.looks, features, strict=True)]
        scores: Tensor = self.classify(torch.cat(vectors, dim=1))
        return scores


class _AttentivePooling(nn.Module):
    """Attention of one learned query to the tokens of a feature."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * _QUERY_SCALE)
        self.attend = nn.MultiheadAttention(width, heads if width % heads == 0 else 1, batch_first=True)

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return samples x channels."""
        values = self.before(values.float())
        query = self.query.expand(len(values), -1, -1)
        padding = None if mask is None else ~mask
        pooled: Tensor = self.attend(query, values, values, key_padding_mask=padding, need_weights=False)[0]
        return pooled[:, 0]

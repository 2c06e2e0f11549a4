"""Attentive pooling: a query that is learned looks at all tokens, and a linear layer at what it saw."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_tools.heads.contract import Given, Head, Task, tokens_of


class AttentiveHead(Head):
    """One query for each feature; what they see, side by side, is classified."""

    kind = "attentive"
    tasks = ("classes",)

    def __init__(self, widths: Sequence[int], task: Task, *, heads: int = 4, **options: Any) -> None:
        super().__init__(widths, task, heads=heads, **options)
        self.looks = nn.ModuleList(_Look(width, heads) for width in widths)
        self.classify = nn.Linear(sum(widths), task.outputs)

    def forward(self, features: Sequence[Given]) -> Tensor:
        """Samples x classes."""
        seen = [look(*tokens_of(feature)) for look, feature in zip(self.looks, features, strict=True)]
        scores: Tensor = self.classify(torch.cat(seen, dim=1))
        return scores


class _Look(nn.Module):
    """What a query sees of a feature."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.attend = nn.MultiheadAttention(width, heads if width % heads == 0 else 1, batch_first=True)

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Samples x channels."""
        values = self.before(values.float())
        query = self.query.expand(len(values), -1, -1)
        away = None if mask is None else ~mask
        seen: Tensor = self.attend(query, values, values, key_padding_mask=away, need_weights=False)[0]
        return seen[:, 0]

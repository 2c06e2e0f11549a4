"""Pool the tokens of a feature to one row or two: the first token, the mean, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.runtime import Doubles

PoolKind = Literal["cls", "mean", "cls+mean"]


@dataclass(frozen=True)
class Pool:
    """Pooling to the first token, to the mean of the tokens after `prefix`, or to both, in this order.

    The mean is over all tokens if there are no more than `prefix`.
    """

    kind: PoolKind = "mean"
    prefix: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(PoolKind):
            raise UnsupportedInput(f"pool={self.kind!r}", f"give one of {', '.join(get_args(PoolKind))}")
        if type(self.prefix) is not int or self.prefix < 0:
            raise UnsupportedInput(f"prefix={self.prefix!r}", "give a whole number from 0")

    @property
    def rows(self) -> int:
        """Number of rows of a pooled sample."""
        return 2 if self.kind == "cls+mean" else 1

    def weights(self, tokens: int) -> Doubles:
        """Return the weights of the tokens in each row: tokens x rows."""
        first, mean = np.zeros(tokens), np.zeros(tokens)
        first[:1] = 1
        start = self.prefix if self.prefix < tokens else 0
        mean[start:] = 1 / max(tokens - start, 1)
        rows = {"cls": [first], "mean": [mean], "cls+mean": [first, mean]}[self.kind]
        return np.stack(rows, axis=1)

    def of(self, tokens: Tensor) -> Tensor:
        """Pool tokens x channels to rows x channels, float32, on the same device."""
        if tokens.dtype.is_complex:
            raise UnsupportedInput(f"a feature of {tokens.dtype} to pool", "read it whole")
        weights = torch.from_numpy(self.weights(len(tokens))).to(tokens.device, torch.float32)
        return weights.T @ tokens.to(torch.float32)

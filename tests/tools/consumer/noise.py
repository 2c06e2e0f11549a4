"""Errors of equal mean square, white or shaped by a metric, and tiny models whose weights differ."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def stir(model: nn.Module, size: float = 0.1) -> None:
    """Add noise to all weights: initial ones give answers that hardly differ."""
    draw = torch.Generator().manual_seed(0)
    for weights in model.parameters():
        weights.data += size * torch.randn(weights.shape, generator=draw)


def errors(rows: Tensor, matrix: Tensor, size: float, seed: int = 0) -> Iterator[Tensor]:
    """Yield white errors for tokens x channels, and errors that a metric weighs alike in each direction."""
    white = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    floor = 0.02 * matrix.double().diagonal().mean() * torch.eye(len(matrix), dtype=torch.float64)
    sizes, vectors = torch.linalg.eigh(matrix.double() + floor)
    shaped = white @ (vectors * sizes.rsqrt()) @ vectors.T
    wanted = size * float(rows.double().std()) * white.numel() ** 0.5
    for error in (white, shaped):
        yield error * (wanted / error.norm())

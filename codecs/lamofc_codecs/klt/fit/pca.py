"""Principal directions of tokens x channels, by the cheapest way: exactly, or by repeated random projection."""

from __future__ import annotations

import torch
from torch import Tensor

_EXACT = 6144
"""Up to so many tokens or channels all directions are found exactly."""
_SPARE = 64
_ROUNDS = 4
_SHRINK = 0.1


def principal(values: Tensor, most: int | None = None) -> Tensor:
    """Directions, columns x channels, orthonormal, by falling variance; at most `most`."""
    tokens, channels = values.shape
    count = min(channels, most or channels)
    if channels <= _EXACT:
        return _of_channels(values)[:count].contiguous()
    count = min(count, max(1, tokens // 2))
    if tokens <= _EXACT:
        return _of_tokens(values)[:count].contiguous()
    return _of_chance(values, min(count, _EXACT - _SPARE))


def principal_within(values: Tensor, kin: Tensor | None, most: int | None = None) -> tuple[Tensor, Tensor | None]:
    """The same of each kind of channels by itself, such that every direction is of one kind; and the kind of each."""
    if kin is None:
        return principal(values, most), None
    found = []
    for kind in sorted(set(kin.tolist())):
        chosen = kin == kind
        turn = principal(values[:, chosen])
        rows = torch.zeros(len(turn), values.shape[1])
        rows[:, chosen] = turn
        found.append((rows, (values[:, chosen] @ turn.T).square().mean(0), torch.full((len(turn),), kind)))
    variance = torch.cat([one for _, one, _ in found])
    order = variance.argsort(descending=True, stable=True)[:most]
    return torch.cat([rows for rows, _, _ in found])[order].contiguous(), torch.cat([own for _, _, own in found])[order]


def _of_channels(values: Tensor) -> Tensor:
    """By the covariance of channels; few tokens shrink it towards its diagonal."""
    tokens, channels = values.shape
    covariance = (values.T @ values).to(torch.float64) / max(tokens, 1)
    shrink = min(1.0, channels / max(tokens, 1)) * _SHRINK
    covariance = (1 - shrink) * covariance + shrink * torch.diag(covariance.diagonal())
    _, directions = torch.linalg.eigh(covariance)
    rows: Tensor = directions.T.flip(0).to(torch.float32)
    return rows


def _of_tokens(values: Tensor) -> Tensor:
    """By the products of tokens, where they are fewer than the channels."""
    sizes, directions = torch.linalg.eigh((values @ values.T).to(torch.float64))
    kept = sizes > 1e-9 * sizes.max()
    rows: Tensor = (directions[:, kept] / sizes[kept].sqrt()).flip(1).T.to(torch.float32) @ values
    return rows


def _of_chance(values: Tensor, count: int) -> Tensor:
    """By iteration on a random subspace, a little larger than what is wanted; the same every time."""
    draw = torch.Generator().manual_seed(count)
    space = torch.randn(values.shape[1], count + _SPARE, generator=draw)
    for _ in range(_ROUNDS):
        space, _ = torch.linalg.qr(values.T @ (values @ space))
    inner = _of_channels(values @ space)
    rows: Tensor = (inner @ space.T)[:count].contiguous()
    return rows

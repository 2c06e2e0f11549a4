"""Features of a batch as samples x tokens x channels, pooled to vectors or laid out as images."""

from collections.abc import Sequence
from math import isqrt
from typing import Literal, get_args

import torch
from torch import Tensor

from lamofc_store import Padded
from lamofc_store.errors import BadArgument

Pool = Literal["cls", "mean", "cls+mean"]
Given = Tensor | Padded
"""A feature of a batch, stacked or padded."""


def tokens_of(feature: Given) -> tuple[Tensor, Tensor | None]:
    """Samples x tokens x channels, and which tokens are there where not all are."""
    values, mask = (feature.values, feature.mask) if isinstance(feature, Padded) else (feature, None)
    if values.dim() < 2:
        raise BadArgument(f"a feature of shape {tuple(values.shape)} in a batch", "heads take tokens x channels")
    values = values[:, None] if values.dim() == 2 else values.flatten(1, -2)
    if mask is not None and mask.shape[1] != values.shape[1]:
        raise BadArgument(f"{mask.shape[1]} padded tokens in {values.shape[1]}", "heads take one axis of tokens")
    return values, mask


def check_pool(pool: str) -> Pool:
    """The name of a pool, or BadArgument."""
    if pool not in get_args(Pool):
        raise BadArgument(f"pool={pool!r}", f"give one of {', '.join(get_args(Pool))}")
    return pool  # type: ignore[return-value]


def pooled(feature: Given, pool: Pool, prefix: int) -> Tensor:
    """Samples x channels: the first token, the mean of those after `prefix`, or both beside each other."""
    values, mask = tokens_of(feature)
    found = [values[:, 0]] if pool != "mean" else []
    if pool != "cls":
        rest = values[:, prefix:] if values.shape[1] > prefix else values
        if mask is None:
            found.append(rest.mean(1))
        else:
            there = mask[:, -rest.shape[1] :, None].to(values.dtype)
            found.append((rest * there).sum(1) / there.sum(1).clamp_min(1))
    return torch.cat(found, dim=1)


def pooled_width(width: int, pool: Pool) -> int:
    """Channels of what is pooled."""
    return width * (2 if pool == "cls+mean" else 1)


def pooled_all(features: Sequence[Given], pool: Pool, prefix: int) -> Tensor:
    """Several features beside each other, as float32."""
    return torch.cat([pooled(feature, pool, prefix).float() for feature in features], dim=1)


def image(feature: Given, prefix: int, grid: tuple[int, int] | None = None) -> Tensor:
    """Samples x channels x height x width: the tokens after `prefix`, in rows; a square where no grid is told."""
    values, mask = tokens_of(feature)
    if mask is not None:
        raise BadArgument("images of different sizes in one batch", "batch_size 1, or features of one size")
    count = values.shape[1] - prefix
    height, width = grid or (isqrt(max(count, 0)),) * 2
    if count < 1 or height * width != count:
        raise BadArgument(
            f"{values.shape[1]} tokens less {prefix} are no image of {height} x {width}",
            "give the prefix (class and register tokens) and the grid of the patches: --prefix 5 --grid 32x32",
        )
    return values[:, prefix:].transpose(1, 2).reshape(len(values), -1, height, width)

"""Deterministic tensors and network weights for tests of codecs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.learned import Sizes, weights_profile
from lamofc_codecs.profile import Profile

SHAPES = ((0, 5), (1, 5), (33, 1), (7, 31), (130, 64), (40, 257))


def feature(tokens: int, channels: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Make a tensor like a feature: channels of different spread and mean, a massive entry, heavy tails."""
    random = torch.Generator().manual_seed(1000 * channels + seed)
    channel_random = torch.Generator().manual_seed(channels)
    spread = torch.exp(torch.randn(channels, generator=channel_random))
    values = torch.randn(tokens, channels, generator=random) * torch.exp(0.3 * torch.randn(tokens, 1, generator=random))
    values = values * spread + 2 * spread * torch.randn(channels, generator=channel_random)
    if values.numel() > 1000:
        values[tokens // 2, channels // 3] = 900.0
    return values.to(dtype)


def picture(rows: int, width: int, channels: int, seed: int, first: int = 0) -> Tensor:
    """Make tokens like those of an image model: `first` separate tokens, then patches like their neighbours."""
    random = torch.Generator().manual_seed(1000 * channels + seed)
    channel_random = torch.Generator().manual_seed(channels)
    near = [0.9 ** (torch.arange(size)[:, None] - torch.arange(size)).abs() for size in (rows, width)]
    patches = torch.einsum("ij,kl,jlc->ikc", *near, torch.randn(rows, width, channels, generator=random))
    tokens = torch.cat([torch.randn(first, channels, generator=random), patches.flatten(0, 1)])
    strength = torch.arange(1, channels + 1) ** -0.7
    return (tokens * strength) @ torch.randn(channels, channels, generator=channel_random)


def drawn_weights(sizes: Sizes, lmbda: float | None = 0.01) -> Profile:
    """Make random weights of a learned codec, the same on every machine and with every version of torch.

    They code badly, but use every part of the format that trained weights use.
    """
    bits = np.random.PCG64(5)
    weights: dict[str, Tensor] = {}
    for name, shape in sizes.shapes().items():
        count = int(np.prod(shape))
        even = (bits.random_raw(count) >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1
        scale = 40.0 if name.startswith("g_a.0.") else 1.0
        if name.endswith((".beta", ".gamma")):
            even, scale = np.abs(even) + 0.5, 1.0
        spread = scale * np.sqrt(6.0 / max(1, int(np.prod(shape[1:]))))
        weights[name] = torch.from_numpy((even * spread).astype(np.float32).reshape(shape))
    scales = torch.tensor([2.0 ** (number / 2 - 3) for number in range(16)])
    tables = {"medians": torch.arange(sizes.inner, dtype=torch.float32) / 16 - 0.4, "scales": scales}
    for name, rows in (("hyper", sizes.inner), ("latent", len(scales))):
        frequencies = 1 + 300 * torch.arange(rows)[:, None].expand(rows, 10).clone()
        frequencies[:, 4] = (1 << 16) - 9 * frequencies[:, 0]
        cdf = torch.cat([torch.zeros(rows, 1, dtype=torch.int64), frequencies.cumsum(1)], 1)
        tables |= {f"{name}_cdf": cdf.to(torch.int32), f"{name}_length": torch.full((rows,), 11, dtype=torch.int32)}
        tables |= {f"{name}_offset": torch.full((rows,), -4, dtype=torch.int32)}
    return weights_profile(sizes, weights, tables, lmbda)

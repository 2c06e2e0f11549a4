"""An encoder's channel transform on a device: the same whole numbers, so the same columns as on the CPU, to the bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.klt.gpu.reconstruct import exact_product
from lamofc_codecs.klt.transform import TWO_BYTES, Analysis
from lamofc_codecs.runtime import Floats

_TOKENS = 1 << 12
"""Tokens that are on the device at once."""


def forward_on(device: torch.device, analysis: Analysis, values: Floats, count: int, *, roughly: bool) -> Floats:
    """The first columns of tokens x channels, as `Analysis.forward` gives them."""
    out = np.zeros((len(values), count), np.float32)
    for where, every, upper, both, scale in analysis.solving if count else ():
        mine = every[: np.searchsorted(every, count)]
        there = upper[:, : len(mine)].to(device), both[:, : len(mine)].to(device)
        sizes = torch.from_numpy(scale[: len(mine)]).to(device)
        for start in range(0, len(values), _TOKENS):
            tile = torch.from_numpy(np.ascontiguousarray(values[start : start + _TOKENS, where])).to(device)
            out[start : start + _TOKENS, mine] = _forward(tile, *there, sizes, roughly=roughly).cpu().numpy()
    return out


def _forward(values: Tensor, upper: Tensor, both: Tensor, scale: Tensor, *, roughly: bool) -> Tensor:
    largest = values.abs().amax(1)
    unit = torch.where(largest > 0, largest / TWO_BYTES, torch.ones_like(largest))
    whole = torch.round(values / unit[:, None]).to(torch.int32)
    high = (whole + 64) >> 7
    low = whole - high * 128
    first = exact_product(high, upper)
    second = exact_product(low, upper) if roughly else exact_product(torch.cat([high, low], 1), both)
    joined = first.to(torch.float32) * 128 + second.to(torch.float32)
    found: Tensor = joined * ((unit * 128)[:, None] * scale)
    return found

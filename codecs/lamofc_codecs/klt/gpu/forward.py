"""An encoder's channel transform on a device: the same integers, so the same columns as on the CPU, to the bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.klt.gpu.reconstruct import exact_product
from lamofc_codecs.klt.transform import MAX_TWO_BYTES, Analysis
from lamofc_codecs.runtime import Floats

_TOKENS_AT_ONCE = 1 << 12
"""Tokens that are on the device at once."""


def forward_on(device: torch.device, analysis: Analysis, values: Floats, count: int, *, roughly: bool) -> Floats:
    """Transform tokens x channels to the first columns, as `Analysis.forward` does."""
    out = np.zeros((len(values), count), np.float32)
    for factors in analysis.factors if count else ():
        chosen = factors.first(count)
        matrices = chosen.upper.to(device), chosen.both.to(device), torch.from_numpy(chosen.scale).to(device)
        for start in range(0, len(values), _TOKENS_AT_ONCE):
            tile = torch.from_numpy(np.ascontiguousarray(values[start : start + _TOKENS_AT_ONCE, chosen.channels]))
            columns = _forward(tile.to(device), *matrices, roughly=roughly)
            out[start : start + _TOKENS_AT_ONCE, chosen.columns] = columns.cpu().numpy()
    return out


def _forward(values: Tensor, upper: Tensor, both: Tensor, scale: Tensor, *, roughly: bool) -> Tensor:
    largest = values.abs().amax(1)
    unit = torch.where(largest > 0, largest / MAX_TWO_BYTES, torch.ones_like(largest))
    scaled = torch.round(values / unit[:, None]).to(torch.int32)
    high = (scaled + 64) >> 7
    low = scaled - high * 128
    first = exact_product(high, upper)
    second = exact_product(low, upper) if roughly else exact_product(torch.cat([high, low], 1), both)
    joined = first.to(torch.float32) * 128 + second.to(torch.float32)
    columns: Tensor = joined * ((unit * 128)[:, None] * scale)
    return columns

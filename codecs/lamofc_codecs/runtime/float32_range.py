"""The range of float32, in which lossy codecs compute: values that it cannot hold, and squares that it would lose."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TINY = 2.0**-40
"""A largest value below which squares are computed at another scale."""
_MAX_SCALE_EXPONENT = 126


def scale_of_tiny(largest: float) -> float:
    """Return the power of two that brings a tiny largest value near 1, so that float32 holds squares; 1 for others."""
    return 2.0 ** min(-math.frexp(largest)[1], _MAX_SCALE_EXPONENT) if 0 < largest < _TINY else 1.0


def lost_in_float32(tensor: Tensor) -> Tensor:
    """Mark the values that float32 cannot hold: not finite, too large, or not zero and yet rounded to zero."""
    values = tensor.to(torch.float32)
    return ~torch.isfinite(values) | _vanishing(tensor, values)


def describe_lost(tensor: Tensor) -> str:
    """Describe the values of tokens x channels that float32 cannot hold, and locate the first of them."""
    values = tensor.to(torch.float32)
    marks = {
        "are not finite numbers": ~torch.isfinite(tensor),
        "are beyond the range of float32": ~torch.isfinite(values),
        "would become zero in float32": _vanishing(tensor, values),
    }
    loss, mark = next((loss, mark) for loss, mark in marks.items() if mark.any())
    token, channel = divmod(int(mark.flatten().int().argmax()), tensor.shape[1])
    first = f"the first, {float(tensor[token, channel]):g}, at token {token}, channel {channel}"
    return f"{int(mark.sum())} of {tensor.numel()} values {loss}, {first}"


def _vanishing(tensor: Tensor, values: Tensor) -> Tensor:
    return (values == 0) & (tensor != 0)

"""Compare a record's bits with an estimate without any transform, to see whether the profile matches the tensor."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from lamofc_codecs.record import Record
from lamofc_codecs.stats.water_filling import single_band

_SAMPLED_TOKENS = 256
_SCALAR_LOSS_BITS = 0.254
"""Bits a level that scalar quantisation takes beyond the rate-distortion bound, in each column above the error."""
_SIDE_BITS_PER_TOKEN, _SIDE_BITS_PER_RECORD = 2.0, 400.0
"""Bits of the side information of a token, and of a record."""


def relative_bits(tensor: Tensor, record: Record) -> float:
    """Return a record's bits divided by an estimate of those that scalar coding of each channel takes at equal error.

    A matching transform saves bits, so a ratio above 1.1 means that the profile was fitted on other features. The ratio
    is infinite for raw records.
    """
    if record.codec == "raw":
        return math.inf
    stride = max(1, len(tensor) // _SAMPLED_TOKENS)
    variance = np.sort(tensor[::stride].float().numpy().astype(np.float64).var(0))[::-1]
    channels = single_band(variance, len(tensor))
    step = channels.step_for_error(max(record.bulk_sse, 1e-300))
    per_token = _SCALAR_LOSS_BITS * channels.columns(step) + _SIDE_BITS_PER_TOKEN
    bits = channels.bits(step) + len(tensor) * per_token + _SIDE_BITS_PER_RECORD
    return record.payload_bits / bits

"""Whether a profile fits what it codes: a record's bits beside those that its channels would take each by itself."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from lamofc_codecs.record import Record
from lamofc_codecs.stats.water_filling import single_band

_TOKENS = 256
_SCALAR = 0.254
"""Bits that rounding numbers one by one costs above ideal coding, in each column that stands out."""
_SIDE, _FRAME = 2.0, 400.0
"""Bits of each token, and of each record, besides its numbers."""


def relative_bits(tensor: Tensor, record: Record) -> float:
    """A record's bits against those that coding each channel by itself would take at its error, about.

    A transform that fits takes fewer, so above 1.1 the profile is one of other features; infinite for raw records.
    """
    if record.codec == "raw":
        return math.inf
    stride = max(1, len(tensor) // _TOKENS)
    variance = np.sort(tensor[::stride].float().numpy().astype(np.float64).var(0))[::-1]
    plain = single_band(variance, len(tensor))
    step = plain.step_for_error(max(record.bulk_sse, 1e-300))
    bits = plain.bits(step) + len(tensor) * (_SCALAR * plain.columns(step) + _SIDE) + _FRAME
    return record.payload_bits / bits

"""Item gains: factors of the tokens of each item, so that items that share a step each meet the quality.

A gain of 16 doubles the coefficients of a token, which makes its step half as wide; a decoder divides by it again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import read_numbers, write_numbers
from lamofc_codecs.runtime import Floats
from lamofc_codecs.source import MAX_GAIN

_FACTORS: Floats = np.exp2(np.arange(-MAX_GAIN, MAX_GAIN + 1) / 16).astype(np.float32)

ItemGains = NDArray[np.int64]
"""Gain of each token or of each item, in sixteenths of an octave."""


def gain_factors(gains: ItemGains) -> Floats:
    """Factor by which the coefficients of each token are multiplied before they are quantised."""
    factors: Floats = _FACTORS[gains + MAX_GAIN]
    return factors


def inverse_gain_factors(gains: ItemGains | None, tokens: int) -> Floats:
    """Factor by which a decoder multiplies each token; 1 for all tokens of a record without gains."""
    return np.ones(tokens, np.float32) if gains is None else _FACTORS[MAX_GAIN - gains]


def write_gains(gains: ItemGains) -> bytes:
    """Code the gains of all tokens."""
    return write_numbers(np.where(gains < 0, -2 * gains - 1, 2 * gains))


def read_gains(data: memoryview, tokens: int) -> tuple[ItemGains, int]:
    """Decode the gains of all tokens, and count the bytes that they took."""
    listed, used = read_numbers(data, tokens)
    require(not len(listed) or int(listed.max()) <= 2 * MAX_GAIN, f"a gain coded as {listed.max(initial=0)}")
    return np.where(listed & 1, -(listed + 1) // 2, listed // 2), used


def smallest_gains(suffices: Callable[[ItemGains], NDArray[np.bool_]], around: ItemGains, reach: int) -> ItemGains:
    """Find the smallest gain of each item that suffices, at most `reach` from a given one, by bisection.

    An item for which none suffices gets the largest within reach.
    """
    low, high = np.maximum(around - reach, -MAX_GAIN) - 1, np.minimum(around + reach, MAX_GAIN)
    while (high - low > 1).any():
        middle = np.maximum((low + high) // 2, -MAX_GAIN)
        enough = suffices(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high

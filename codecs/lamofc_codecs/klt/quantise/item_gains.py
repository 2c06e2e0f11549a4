"""Items of one record share a step: each token is lifted before it is rounded, so that each item is as good as asked.

A lift of 16 doubles a token's columns, which makes their step half as wide; a decoder divides by it again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import read_numbers, write_numbers
from lamofc_codecs.runtime import Floats

MOST = 63
_UP: Floats = np.exp2(np.arange(-MOST, MOST + 1) / 16).astype(np.float32)

ItemGains = NDArray[np.int64]
"""Of each token, in sixteenths of an octave."""


def up(lifts: ItemGains) -> Floats:
    """By what tokens are multiplied before they are rounded."""
    found: Floats = _UP[lifts + MOST]
    return found


def down(lifts: ItemGains | None, tokens: int) -> Floats:
    """By what they are multiplied after."""
    return np.ones(tokens, np.float32) if lifts is None else _UP[MOST - lifts]


def write_lifts(lifts: ItemGains) -> bytes:
    """Code the lifts of all tokens."""
    return write_numbers(np.where(lifts < 0, -2 * lifts - 1, 2 * lifts))


def read_lifts(data: memoryview, tokens: int) -> tuple[ItemGains, int]:
    """Read them; also say how many bytes they took."""
    listed, used = read_numbers(data, tokens)
    require(not len(listed) or int(listed.max()) <= 2 * MOST, f"a lift coded as {listed.max(initial=0)}")
    return np.where(listed & 1, -(listed + 1) // 2, listed // 2), used


def least_lifts(enough: Callable[[ItemGains], NDArray[np.bool_]], around: ItemGains, reach: int) -> ItemGains:
    """The least lift of each item, not far from those given, that is enough, by halving, or else the most."""
    low, high = np.maximum(around - reach, -MOST) - 1, np.minimum(around + reach, MOST)
    while (high - low > 1).any():
        middle = np.maximum((low + high) // 2, -MOST)
        fits = enough(middle)
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return high

"""Escapes: the high parts of levels that their run's table does not hold, as distances beyond its radius."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import LARGEST_LEVEL, read_numbers, write_numbers
from lamofc_codecs.errors import CorruptRecord

Highs = NDArray[np.int64]
"""Levels without their low bits."""


def write_escapes(high: Highs, radii: NDArray[np.int32]) -> bytes:
    """Code high parts that lie beyond the radii of their tables: twice the distance, plus the sign."""
    if not len(high):
        return b""
    return write_numbers((np.abs(high) - radii - 1) << 1 | (high < 0))


def read_escapes(data: memoryview, radii: NDArray[np.int32], shifts: NDArray[np.int32]) -> Highs:
    """Decode the high part of each escape, given the radius and the count of low bits of its run."""
    count = len(radii)
    if not count:
        if len(data):
            raise CorruptRecord(f"{len(data)} bytes follow levels of which none is escaped")
        return np.empty(0, np.int64)
    coded, used = read_numbers(data, count)
    if used != len(data) or int(coded.max()) >> 1 > LARGEST_LEVEL:
        raise CorruptRecord(f"{count} escapes take {used} of {len(data)} bytes and reach {int(coded.max()) >> 1}")
    magnitude = (coded >> 1) + radii + 1
    largest = int((magnitude << shifts.astype(np.int64)).max())
    if largest > LARGEST_LEVEL:
        raise CorruptRecord(f"an escaped level of {largest}; the largest is {LARGEST_LEVEL}")
    return np.where(coded & 1, -magnitude, magnitude)

"""Low bits of levels of wide classes: stored as they are, run after run, the lowest bit of each byte first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.runtime import compiled

Levels = NDArray[np.int32]
"""Columns x tokens."""
Places = NDArray[np.int64]
RunIndex = tuple[Places, Places, Places]
"""The column, the first token and the number of tokens of each run, in the order of the symbols."""


@compiled
def pack_low_bits(levels: Levels, runs: RunIndex, shifts: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    """Write the `shifts` low bits of each run's levels into `out`, which is all zeros."""
    column, first, length = runs
    at, buffer, bits = 0, np.uint64(0), np.uint64(0)
    for run in range(len(column)):
        shift = np.uint64(shifts[run])
        if shift:
            half, mask = np.int64(1) << np.int64(shift - np.uint64(1)), (np.uint64(1) << shift) - np.uint64(1)
            for t in range(first[run], first[run] + length[run]):
                buffer |= (np.uint64(np.int64(levels[column[run], t]) + half) & mask) << bits
                bits += shift
                while bits >= np.uint64(8):
                    out[at] = np.uint8(buffer & np.uint64(255))
                    at += 1
                    buffer >>= np.uint64(8)
                    bits -= np.uint64(8)
    if bits:
        out[at] = np.uint8(buffer & np.uint64(255))


@compiled
def unpack_low_bits(data: NDArray[np.uint8], runs: RunIndex, shifts: NDArray[np.int32], levels: Levels) -> None:
    """Invert `pack_low_bits` in place: `levels` holds high parts and receives whole levels."""
    column, first, length = runs
    at, buffer, bits = 0, np.uint64(0), np.uint64(0)
    for run in range(len(column)):
        shift = np.uint64(shifts[run])
        if shift:
            half, mask = np.int64(1) << np.int64(shift - np.uint64(1)), (np.uint64(1) << shift) - np.uint64(1)
            for t in range(first[run], first[run] + length[run]):
                while bits < shift:
                    buffer |= np.uint64(data[at]) << bits
                    at += 1
                    bits += np.uint64(8)
                high = np.int64(levels[column[run], t]) << np.int64(shift)
                levels[column[run], t] = np.int32(high + np.int64(buffer & mask) - half)
                buffer >>= shift
                bits -= shift

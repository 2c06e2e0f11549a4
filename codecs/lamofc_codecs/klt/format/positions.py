"""Positions of the tokens of a record: runs of consecutive ones. Nothing is stored of a single run from 0 on."""

from __future__ import annotations

import numpy as np

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import read_numbers, write_numbers
from lamofc_codecs.klt.transform import Positions
from lamofc_codecs.source import MAX_POSITION


def write_positions(positions: Positions) -> bytes:
    """Code the runs: how many there are, then the length and the first position of each."""
    if np.array_equal(positions, np.arange(len(positions))):
        return b""
    starts = np.flatnonzero(np.diff(positions, prepend=positions[0] - 2) != 1)
    lengths = np.diff(starts, append=len(positions))
    runs = np.stack([lengths, positions[starts]], 1).ravel()
    return write_numbers(np.array([len(starts)], np.int64)) + write_numbers(runs)


def read_positions(data: memoryview, tokens: int) -> tuple[Positions, int]:
    """Decode the positions of all tokens, and count the bytes that they took."""
    count, used = read_numbers(data, 1)
    require(0 < count[0] <= tokens, f"{count[0]} runs of positions of {tokens} tokens")
    listed, more = read_numbers(data[used:], 2 * int(count[0]))
    lengths, first = listed[0::2], listed[1::2]
    valid = (lengths > 0).all() and (lengths <= tokens).all() and lengths.sum() == tokens and (first >= 0).all()
    require(bool(valid and (first <= MAX_POSITION).all()), f"runs of {lengths[:8]} positions from {first[:8]} on")
    within = np.arange(tokens) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(first, lengths) + within, used + more

"""The first layer of a record: levels of any size to bytes and back.

A level that its run's table does not hold is escaped; runs of wide classes store their low bits raw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import shape_of_classes
from lamofc_codecs.klt.layers.runs import Levels, Runs
from lamofc_codecs.level_coding import (
    CodedBlock,
    RunIndex,
    block_bits,
    pack_low_bits,
    read_escapes,
    unpack_low_bits,
    write_block,
    write_escapes,
)
from lamofc_codecs.runtime import compiled


def write_first(levels: Levels, runs: Runs) -> bytes:
    """Code columns x sorted tokens, each at most 2^22 in magnitude."""
    symbols, low, escapes = _split(levels, runs)
    return write_block(symbols, runs.table_of_row, low, escapes)


def first_bits(levels: Levels, runs: Runs) -> float:
    """Bits that `write_first` takes, to a part in a thousand, without coding."""
    symbols, low, escapes = _split(levels, runs)
    return block_bits(symbols, runs.table_of_row, low, escapes)


def _split(levels: Levels, runs: Runs) -> tuple[NDArray[np.uint8], bytes, bytes]:
    """Split levels into symbols in coding order, low bits and coded escapes."""
    shifts, radii = shape_of_classes()[1:, runs.classes]
    symbols = np.empty(runs.count, np.uint8)
    low = np.zeros((low_bits_of(runs) + 7) // 8, np.uint8)
    high, run = _gather(levels, runs.index, shifts, radii, symbols.view(np.int8))
    if low.size:
        pack_low_bits(levels, runs.index, shifts, low)
    return symbols, low.tobytes(), write_escapes(high, radii[run])


def low_bits_of(runs: Runs) -> int:
    """Bits that all runs store raw."""
    return int((shape_of_classes()[1, runs.classes] * runs.length).sum())


def read_first(data: memoryview, runs: Runs) -> Levels:
    """Decode a layer that holds these runs and nothing else."""
    shifts, radii = shape_of_classes()[1:, runs.classes]
    coded = CodedBlock.parse(data, runs.count, low_bits_of(runs))
    symbols = coded.decode(runs.count, runs.table_of_row)
    run = run_of_escapes(symbols, runs.length)
    high = read_escapes(coded.escapes, radii[run], shifts[run])
    levels = np.zeros((runs.columns, runs.tokens.count), np.int32)
    _scatter(symbols.view(np.int8), runs.index, high, levels)
    if len(coded.low):
        unpack_low_bits(np.frombuffer(coded.low, np.uint8), runs.index, shifts, levels)
    return levels


def run_of_escapes(symbols: NDArray[np.uint8], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run of each escape symbol."""
    if not np.count_nonzero(symbols == 128):
        return np.empty(0, np.int64)
    return np.searchsorted(np.cumsum(length), np.flatnonzero(symbols == 128), side="right")


@compiled
def _gather(
    levels: Levels, runs: RunIndex, shifts: NDArray[np.int32], radii: NDArray[np.int32], symbols: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the symbols of all runs; return the high part and the run of each escaped level."""
    column, first, length = runs
    escaped = np.int64(0)
    at = 0
    for run in range(len(column)):
        row = levels[column[run], first[run] : first[run] + length[run]]
        coded = symbols[at : at + length[run]]
        half, shift, radius = (np.int32(1) << shifts[run]) >> np.int32(1), shifts[run], radii[run]
        for i in range(len(row)):
            high = (row[i] + half) >> shift
            inside = abs(high) <= radius
            escaped += not inside
            coded[i] = np.int8(high if inside else np.int32(-128))
        at += length[run]
    highs, run_of = np.empty(escaped, np.int64), np.empty(escaped, np.int64)
    if escaped == 0:
        return highs, run_of
    at, count = 0, 0
    for run in range(len(column)):
        row = levels[column[run], first[run] : first[run] + length[run]]
        half, shift = (np.int32(1) << shifts[run]) >> np.int32(1), shifts[run]
        for i in range(len(row)):
            if symbols[at + i] == np.int8(-128):
                highs[count] = np.int64((row[i] + half) >> shift)
                run_of[count] = run
                count += 1
        at += length[run]
    return highs, run_of


@compiled
def _scatter(symbols: NDArray[np.int8], runs: RunIndex, escapes: NDArray[np.int64], levels: Levels) -> None:
    """Invert `_gather`, given the high parts of the escaped levels."""
    column, first, length = runs
    at, escape = 0, 0
    for run in range(len(column)):
        row = levels[column[run], first[run] : first[run] + length[run]]
        for i in range(len(row)):
            row[i] = symbols[at + i]
        if len(escapes):
            for i in range(len(row)):
                if symbols[at + i] == np.int8(-128):
                    row[i] = np.int32(escapes[escape])
                    escape += 1
        at += length[run]

"""Blocks of levels that are laid out in runs: pieces of columns, each with a sigma class.

A level that its run's table does not hold is escaped; runs of wide classes store their low bits raw. Every 32 symbols
share a table, that of the last of them, so nothing is padded and no table is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import ESCAPE, rans_cpu, shape_of_classes, sigma_tables
from lamofc_codecs.level_coding.block import CodedBlock, block_bits, write_block
from lamofc_codecs.level_coding.escapes import read_escapes, write_escapes
from lamofc_codecs.level_coding.low_bits import Levels, RunIndex, pack_low_bits, unpack_low_bits
from lamofc_codecs.runtime import Int, as_bytes, compiled, lazy


class _Coding(NamedTuple):
    """How runs are coded, by their classes."""

    tables: NDArray[np.uint16]
    """Frozen table of each run."""
    shifts: NDArray[np.int32]
    """Low bits that each run stores raw."""
    radii: NDArray[np.int32]
    """Largest magnitude that each run does not escape, low bits apart."""
    levels: int
    """Levels of all runs."""
    low_bits: int
    """Bits that all runs store raw."""


@dataclass(frozen=True, eq=False)
class RunLayout:
    """The places and the classes of runs, in the order in which they are coded."""

    index: RunIndex
    classes: NDArray[np.uint8]
    """Sigma class of each run, 0 to 137."""

    @lazy
    def _coding(self) -> _Coding:
        """How each run is coded."""
        return _Coding(*_coding_of_runs(self.classes, self.index[2], shape_of_classes()))

    @property
    def count(self) -> int:
        """Levels in all runs."""
        return self._coding.levels

    @property
    def low_bits(self) -> int:
        """Bits that all runs store raw."""
        return self._coding.low_bits

    @lazy
    def table_of_row(self) -> NDArray[np.uint16]:
        """Frozen table of each row of 32 symbols: that of its last symbol."""
        return tables_of_rows(self._coding.tables, self.index[2])

    def write(self, levels: Levels) -> bytes:
        """Code columns x tokens, each at most 2^22 in magnitude."""
        symbols, low, escapes = self._split(levels)
        return write_block(symbols, self.table_of_row, low, escapes)

    def bits(self, levels: Levels) -> float:
        """Bits that `write` takes, to a part in a thousand, without coding."""
        symbols, low, escapes = self._split(levels)
        return block_bits(symbols, self.table_of_row, low, escapes)

    def _split(self, levels: Levels) -> tuple[NDArray[np.uint8], bytes, bytes]:
        """Split levels into symbols in coding order, low bits and coded escapes."""
        shifts, radii = self._coding.shifts, self._coding.radii
        symbols = np.empty(self.count, np.uint8)
        low = np.zeros((self.low_bits + 7) // 8, np.uint8)
        high, run = _gather(levels, self.index, shifts, radii, symbols.view(np.int8))
        if low.size:
            pack_low_bits(levels, self.index, shifts, low)
        return symbols, low.tobytes(), write_escapes(high, radii[run])

    def read(self, data: memoryview, columns: int, tokens: int) -> Levels:
        """Decode columns x tokens from a block that holds these runs and nothing else; 0 outside of the runs."""
        coding = self._coding
        coded = CodedBlock.parse(data, coding.levels, coding.low_bits)
        symbols, escaped = self._symbols(coded)
        levels = np.zeros((columns, tokens), np.int32)
        _scatter(symbols.view(np.int8), self.index, levels)
        if len(escaped) or len(coded.escapes):
            run = np.searchsorted(np.cumsum(self.index[2]), escaped, side="right")
            high = read_escapes(coded.escapes, coding.radii[run], coding.shifts[run])
            _scatter_escapes(symbols.view(np.int8), self.index, high, levels)
        if len(coded.low):
            unpack_low_bits(as_bytes(coded.low), self.index, coding.shifts, levels)
        return levels

    def _symbols(self, coded: CodedBlock) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Decode the symbols of a block; return also the places of those that are escaped."""
        coding, tables = self._coding, sigma_tables()
        symbols, escaped, intact = _decode_symbols(
            as_bytes(coded.symbols), coding.tables, self.index[2], tables.slots.reshape(-1)
        )
        if not intact:
            coded.decode(coding.levels, self.table_of_row)  # names the damage
        return symbols, escaped


@compiled
def _coding_of_runs(
    classes: NDArray[np.uint8], length: NDArray[np.int64], shape: NDArray[np.int32]
) -> tuple[NDArray[np.uint16], NDArray[np.int32], NDArray[np.int32], Int, Int]:
    """Return the fields of `_Coding`."""
    runs, count, low_bits = classes.size, np.int64(0), np.int64(0)
    tables, shifts, radii = np.empty(runs, np.uint16), np.empty(runs, np.int32), np.empty(runs, np.int32)
    for run in range(runs):
        sigma_class = np.int64(classes[run])
        tables[run] = np.uint16(shape[0, sigma_class])
        shifts[run], radii[run] = shape[1, sigma_class], shape[2, sigma_class]
        count += length[run]
        low_bits += shifts[run] * length[run]
    return tables, shifts, radii, count, low_bits


@compiled
def _decode_symbols(
    data: NDArray[np.uint8], tables: NDArray[np.uint16], length: NDArray[np.int64], slots: NDArray[np.uint32]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], bool]:
    """Decode the symbols of all runs; return also the places of escapes, and whether there is no damage."""
    symbols = np.empty(length.sum(), np.uint8)
    intact = rans_cpu.decode_block(data, tables_of_rows(tables, length), slots, symbols)
    escaped = np.int64(0)
    for symbol in symbols:
        escaped += symbol == ESCAPE
    places = np.empty(escaped if intact else np.int64(0), np.int64)
    at = np.int64(0)
    while at < places.size:
        for place in range(symbols.size):
            if symbols[place] == ESCAPE:
                places[at] = place
                at += 1
    return symbols, places, intact


@compiled
def tables_of_rows(tables: NDArray[np.uint16], lengths: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Table of each row of 32 symbols, given the table and the length of each run: that of its last symbol."""
    count = lengths.sum()
    rows = np.empty((count + 31) // 32, np.uint16)
    run, end = np.int64(-1), np.int64(0)
    for row in range(rows.size):
        last = min(32 * row + 31, count - 1)
        while end <= last:
            run += 1
            end += lengths[run]
        rows[row] = tables[run]
    return rows


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
def _scatter(symbols: NDArray[np.int8], runs: RunIndex, levels: Levels) -> None:
    """Invert `_gather`, but for the high parts of the escaped levels."""
    column, first, length = runs
    at = 0
    for run in range(len(column)):
        row = levels[column[run], first[run] : first[run] + length[run]]
        for i in range(len(row)):
            row[i] = symbols[at + i]
        at += length[run]


@compiled
def _scatter_escapes(symbols: NDArray[np.int8], runs: RunIndex, escapes: NDArray[np.int64], levels: Levels) -> None:
    """Write the high parts of the escaped levels."""
    column, first, length = runs
    at, escape = 0, 0
    for run in range(len(column)):
        row = levels[column[run], first[run] : first[run] + length[run]]
        for i in range(len(row)):
            if symbols[at + i] == np.int8(-128):
                row[i] = np.int32(escapes[escape])
                escape += 1
        at += length[run]

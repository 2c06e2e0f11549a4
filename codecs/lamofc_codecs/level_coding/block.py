"""The frame of a block of levels: the length of its symbols, the symbols, the low bits, the escapes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import Tables, rans, rans_cpu, rans_layout, sigma_tables
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.runtime import as_bytes

_LENGTH = struct.Struct("<I")
MAX_LEVELS_PER_BYTE = 1 << 15
"""A symbol costs at least log2(4096 / 4095) bits."""


def write_block(symbols: NDArray[np.uint8], table_of_row: NDArray[np.uint16], low: bytes, escapes: bytes) -> bytes:
    """Code the symbols by the frozen table of each row of 32, and join all parts of the block."""
    coded = rans.encode_symbols(symbols, table_of_row, sigma_tables())
    return b"".join((_LENGTH.pack(len(coded)), coded, low, escapes))


def block_bits(symbols: NDArray[np.uint8], table_of_row: NDArray[np.uint16], low: bytes, escapes: bytes) -> float:
    """Bits of the parts of a block, to a part in a thousand, without coding."""
    return coded_bits(symbols, table_of_row, sigma_tables()) + 8.0 * (len(low) + len(escapes))


def coded_bits(symbols: NDArray[np.uint8], table_of_row: NDArray[np.uint16], tables: Tables) -> float:
    """Bits of symbols, to a part in a thousand, without coding."""
    cost = int(rans_cpu.coded_millibits(as_bytes(symbols), table_of_row, tables.millibits)[0]) / 1024
    lanes, streams = rans_layout.choose_layout(symbols.size, int(cost / 8))
    return cost + 32.0 * streams * (lanes + 1)


@dataclass(frozen=True)
class CodedBlock:
    """The parts of a block, before anything of them is decoded."""

    symbols: memoryview
    low: memoryview
    escapes: memoryview
    start: int
    """Byte of the block at which the symbols begin."""

    @classmethod
    def parse(cls, data: memoryview, count: int, low_bits: int) -> CodedBlock:
        """Split a block of `count` levels with `low_bits` raw bits in all; `data` must hold it and nothing else."""
        size = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
        low_start = _LENGTH.size + size
        low_end = low_start + (low_bits + 7) // 8
        if size < 0 or low_end > len(data) or count > len(data) * MAX_LEVELS_PER_BYTE:
            raise CorruptRecord(f"{len(data)} bytes for {count} levels: {size} of symbols, {low_bits} low bits")
        return cls(data[_LENGTH.size : low_start], data[low_start:low_end], data[low_end:], _LENGTH.size)

    def decode(self, count: int, table_of_row: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Decode the symbols."""
        return rans.decode_symbols(self.symbols, count, table_of_row, sigma_tables())

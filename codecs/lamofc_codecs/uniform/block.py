"""Whole numbers with a class for each column, to bytes and back: what stands behind the quantiser of every transform.

A block is tokens x columns. Columns stand one after another, those of narrow tables first, each with its tokens in a
row. Every 32 symbols share a table, the widest of theirs, so nothing is padded; which row has which table follows from
the classes and is never sent. A number beyond its column's radius is escaped, and the low bits of wide classes are
stored as they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import (
    LARGEST_LEVEL,
    rans,
    rans_cpu,
    rans_layout,
    read_numbers,
    shape_of_classes,
    sigma_tables,
    write_numbers,
)
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.uniform.block_kernels import find_escapes, gather, place_columns, scatter, unpack_low

_MOST = 1 << 15
"""Numbers in a byte: a symbol costs at least log2(4096 / 4095) bits."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Columns:
    """Where the numbers of each column stand, given its class and the tokens of the block."""

    classes: NDArray[np.uint8]
    tokens: int
    shifts: NDArray[np.int32]
    """How many low bits of each column are stored raw."""
    radii: NDArray[np.int32]
    """The largest magnitude of each column that is not escaped, its low bits apart."""
    order: NDArray[np.int64]
    """Columns as they stand in the symbols: by table, then by class, then by number."""
    starts: NDArray[np.int64]
    """Where each column's first token stands in the symbols."""
    table_of_row: NDArray[np.uint16]
    """Number of the frozen table of each row of symbols: that of its last symbol, the widest in the row."""
    low_bits: int
    """Bits stored raw, over the whole block."""

    @classmethod
    def of(cls, classes: NDArray[np.uint8], tokens: int) -> Columns:
        """Lay out columns of classes 0 to 137."""
        shape = shape_of_classes()[:, classes]
        order = np.argsort(shape[0].astype(np.int64) << 8 | classes, kind="stable")
        starts, rows = place_columns(shape[0], order, tokens)
        return cls(classes, tokens, shape[1], shape[2], order, starts, rows, int(shape[1].sum()) * tokens)

    @property
    def count(self) -> int:
        """Symbols of the whole block."""
        return len(self.classes) * self.tokens

    @property
    def wide(self) -> bool:
        """Whether any column has low bits."""
        return self.low_bits > 0


@dataclass(frozen=True)
class Block:
    """Numbers of a block: `high` holds each without its low bits, -128 where it is escaped."""

    columns: Columns
    high: NDArray[np.int8]
    """Tokens x columns, both padded to multiples of 8."""
    positions: NDArray[np.int64]
    """Of the escaped numbers, counting tokens before columns, in the order of the symbols."""
    escaped: NDArray[np.int64]
    """The high parts of the escaped numbers, as they are."""
    low: bytes
    """Low bits, column after column in the order of the symbols."""

    def symbols(self) -> NDArray[np.uint8]:
        """Return the symbols in coding order."""
        out = np.empty(self.columns.count, np.uint8)
        scatter(self.high, self.columns.starts, self.columns.tokens, out.view(np.int8))
        return out

    def numbers(self) -> NDArray[np.int32]:
        """Return the numbers, tokens x columns."""
        columns = self.columns
        out = np.ascontiguousarray(self.high[: columns.tokens, : len(columns.classes)], np.int32)
        out.reshape(-1)[self.positions] = self.escaped
        if columns.wide:
            unpack_low(np.frombuffer(self.low, np.uint8), columns.order, columns.shifts, out)
        return out

    def pack(self) -> bytes:
        """Code the block."""
        coded = rans.encode_symbols(self.symbols(), self.columns.table_of_row, sigma_tables())
        return b"".join((_LENGTH.pack(len(coded)), coded, self.low, self._escapes()))

    def _escapes(self) -> bytes:
        if not len(self.positions):
            return b""
        beyond = np.abs(self.escaped) - self.columns.radii[self.positions % len(self.columns.classes)] - 1
        return write_numbers(beyond << 1 | (self.escaped < 0))

    def bits(self) -> float:
        """Bits that `pack` would take, to a part in a thousand, without coding."""
        symbols = self.symbols()
        rows = self.columns.table_of_row
        cost = int(rans_cpu.coded_millibits(symbols, rows, sigma_tables().millibits)[0]) / 1024
        lanes, streams = rans_layout.choose_layout(symbols.size, int(cost / 8))
        return cost + 8.0 * (len(self.low) + len(self._escapes()) + 4 * streams * (lanes + 1))

    @classmethod
    def unpack(cls, data: memoryview, columns: Columns) -> Block:
        """Decode a block of known classes and tokens; `data` must hold it and nothing else."""
        size = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
        low_end = _LENGTH.size + size + (columns.low_bits + 7) // 8
        if size < 0 or low_end > len(data):
            raise CorruptRecord(f"{len(data)} bytes do not hold {size} of symbols and {columns.low_bits} low bits")
        if columns.count > len(data) * _MOST:
            raise CorruptRecord(f"{len(data)} bytes for {columns.tokens} tokens x {len(columns.classes)} columns")
        coded = data[_LENGTH.size : _LENGTH.size + size]
        symbols = rans.decode_symbols(coded, columns.count, columns.table_of_row, sigma_tables())
        low, rest = data[_LENGTH.size + size : low_end], data[low_end:]
        high = gather(symbols.view(np.int8), columns.starts, columns.tokens)
        positions = find_escapes(symbols.view(np.int8), columns.order, columns.starts, columns.tokens)
        return cls(columns, high, positions, _read_escapes(rest, positions, columns), bytes(low))


def _read_escapes(data: memoryview, positions: NDArray[np.int64], columns: Columns) -> NDArray[np.int64]:
    """Return the high parts that stand for the escape symbols."""
    if not len(positions):
        if len(data):
            raise CorruptRecord(f"{len(data)} bytes follow a block that has no escapes")
        return np.empty(0, np.int64)
    coded, used = read_numbers(data, len(positions))
    if used != len(data) or int(coded.max()) >> 1 > LARGEST_LEVEL:
        raise CorruptRecord(f"{len(positions)} escapes take {used} of {len(data)} bytes and reach {coded.max() >> 1}")
    beyond = (coded >> 1) + columns.radii[positions % len(columns.classes)] + 1
    return np.where(coded & 1, -beyond, beyond)

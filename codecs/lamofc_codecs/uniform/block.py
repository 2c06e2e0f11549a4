"""Blocks of quantised levels, tokens x columns, with a sigma class for each column: to bytes and back.

Columns stand one after another, those of narrow tables first, each with its tokens in a row. Every 32 symbols share a
table, the widest of theirs, so nothing is padded; the table of each row follows from the classes and is not stored.
A level beyond its column's radius is escaped, and the low bits of wide classes are stored as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import shape_of_classes
from lamofc_codecs.level_coding import (
    CodedBlock,
    RunIndex,
    block_bits,
    read_escapes,
    unpack_low_bits,
    write_block,
    write_escapes,
)
from lamofc_codecs.uniform.block_kernels import find_escapes, gather, place_columns, scatter


@dataclass(frozen=True)
class ColumnLayout:
    """Places of the levels of each column in a block, which follow from its class and the number of tokens."""

    classes: NDArray[np.uint8]
    tokens: int
    shifts: NDArray[np.int32]
    """Low bits of each column that are stored raw."""
    radii: NDArray[np.int32]
    """The largest magnitude of each column that is not escaped, its low bits apart."""
    order: NDArray[np.int64]
    """Columns as they stand in the symbols: by table, then by class, then by index."""
    starts: NDArray[np.int64]
    """Place of each column's first token in the symbols."""
    table_of_row: NDArray[np.uint16]
    """The frozen table of each row of symbols: that of its last symbol, the widest in the row."""
    low_bits: int
    """Bits stored raw, over the whole block."""

    @classmethod
    def from_classes(cls, classes: NDArray[np.uint8], tokens: int) -> ColumnLayout:
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

    @property
    def runs(self) -> RunIndex:
        """The columns as runs of all tokens, in the order of the symbols."""
        return self.order, np.zeros_like(self.order), np.full_like(self.order, self.tokens)


@dataclass(frozen=True)
class Block:
    """Levels of a block: `high` holds each without its low bits, -128 where it is escaped."""

    columns: ColumnLayout
    high: NDArray[np.int8]
    """Tokens x columns, both padded to multiples of 8."""
    positions: NDArray[np.int64]
    """Positions of the escaped levels, counting tokens before columns, in the order of the symbols."""
    escaped: NDArray[np.int64]
    """The high parts of the escaped levels, as they are."""
    low: bytes
    """Low bits, column after column in the order of the symbols."""

    def symbols(self) -> NDArray[np.uint8]:
        """Return the symbols in coding order."""
        out = np.empty(self.columns.count, np.uint8)
        scatter(self.high, self.columns.starts, self.columns.tokens, out.view(np.int8))
        return out

    def levels(self) -> NDArray[np.int32]:
        """Return the levels, tokens x columns."""
        columns = self.columns
        out = np.ascontiguousarray(self.high[: columns.tokens, : len(columns.classes)], np.int32)
        out.reshape(-1)[self.positions] = self.escaped
        if columns.wide:
            unpack_low_bits(np.frombuffer(self.low, np.uint8), columns.runs, columns.shifts[columns.order], out.T)
        return out

    def pack(self) -> bytes:
        """Code the block."""
        return write_block(self.symbols(), self.columns.table_of_row, self.low, self._escapes())

    def bits(self) -> float:
        """Bits that `pack` would take, to a part in a thousand, without coding."""
        return block_bits(self.symbols(), self.columns.table_of_row, self.low, self._escapes())

    def _escapes(self) -> bytes:
        column = self.positions % max(len(self.columns.classes), 1)
        return write_escapes(self.escaped, self.columns.radii[column])

    @classmethod
    def unpack(cls, data: memoryview, columns: ColumnLayout) -> Block:
        """Decode a block of known classes and tokens; `data` must hold it and nothing else."""
        coded = CodedBlock.parse(data, columns.count, columns.low_bits)
        symbols = coded.decode(columns.count, columns.table_of_row).view(np.int8)
        high = gather(symbols, columns.starts, columns.tokens)
        positions = find_escapes(symbols, columns.order, columns.starts, columns.tokens)
        column = positions % max(len(columns.classes), 1)
        escaped = read_escapes(coded.escapes, columns.radii[column], columns.shifts[column])
        return cls(columns, high, positions, escaped, bytes(coded.low))

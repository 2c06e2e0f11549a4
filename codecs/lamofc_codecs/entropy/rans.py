"""The entropy coder's one door: blocks of symbols to bytes and back, by whichever form is asked for.

The bytes are the same for every backend: "numba" (CPU, the usual one), "triton" (GPU) and "reference".
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import rans_cpu, rans_reference
from lamofc_codecs.entropy.rans_layout import (
    BAD_FRAME,
    ROW,
    START,
    STOP,
    WRONG,
    first_symbols,
    frame,
    list_streams,
    plan,
)
from lamofc_codecs.entropy.tables import ABSENT, Tables
from lamofc_codecs.errors import CorruptRecord, MissingExtra, UnsupportedInput
from lamofc_codecs.runtime import Bytes, as_bytes

Backend = Literal["numba", "reference", "triton"]
Rows = int | NDArray[np.uint8] | NDArray[np.uint16]
"""The table of each row of 32 symbols, or one for all."""


def encode_symbols(
    symbols: NDArray[np.uint8], table_of_row: Rows, tables: Tables, *, backend: Backend = "numba"
) -> bytes:
    """The block of uint8 symbols, in order, each row of 32 coded by its table. Decoding needs their count, too."""
    flat = np.ascontiguousarray(symbols, np.uint8).reshape(-1)
    rows = _row_tables(table_of_row, -(-flat.size // ROW), tables)
    if flat.size == 0:
        return b""
    total, largest = rans_cpu.coded_millibits(flat, rows, tables.millibits)
    if largest >= ABSENT:
        raise UnsupportedInput(_absent(flat, rows, tables), "make the table from all of the symbols")
    lanes, streams = plan(flat.size, int(total) // 8192)
    if backend == "reference":
        return rans_reference.encode_block(flat, rows, tables, lanes, streams)
    firsts = first_symbols(flat.size, streams)
    if backend == "triton":
        packed, sizes = _triton().encode_streams(flat, firsts, rows, tables, lanes)
    else:
        packed, sizes = rans_cpu.encode_streams(
            flat, firsts, rows, tables.coding.reshape(-1), tables.likeliest, np.int64(lanes)
        )
    return frame(lanes, sizes, packed.tobytes())


def decode_symbols(  # noqa: PLR0913 - the seam of all decoding; options are keywords
    data: Bytes,
    count: int,
    table_of_row: Rows,
    tables: Tables,
    *,
    out: NDArray[np.uint8] | None = None,
    backend: Backend = "numba",
    threads: int = 1,
) -> NDArray[np.uint8]:
    """The `count` symbols of one block. Any damage that can be seen raises CorruptRecord; nothing outside is read."""
    buffer = as_bytes(data)
    spans = np.array([[0, buffer.size]], np.int64)
    blocks = Blocks(buffer, spans, np.array([count], np.int64))
    return decode_blocks(blocks, table_of_row, tables, out=out, backend=backend, threads=threads)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of symbols in one buffer, to be decoded together."""

    buffer: NDArray[np.uint8]
    spans: NDArray[np.int64]
    """n x 2: where each block begins and ends."""
    counts: NDArray[np.int64]
    """Symbols of each."""


def decode_blocks(
    blocks: Blocks,
    table_of_row: Rows,
    tables: Tables,
    *,
    out: NDArray[np.uint8] | None = None,
    backend: Backend = "numba",
    threads: int = 1,
) -> NDArray[np.uint8]:
    """The symbols of many blocks, end to end, in one call; `table_of_row` holds the rows of all blocks end to end, too.

    With `threads`, streams are shared out by their bytes; the compiled loop holds no GIL.
    """
    total = int(blocks.counts.sum())
    rows = _row_tables(table_of_row, int((-(-blocks.counts // ROW)).sum()), tables)
    symbols = np.empty(total, np.uint8) if out is None else out
    if symbols.shape != (total,) or symbols.dtype != np.uint8 or not symbols.flags.c_contiguous:
        raise UnsupportedInput(f"out is {symbols.dtype} {symbols.shape}; expected contiguous uint8 ({total},)")
    streams, bad = list_streams(blocks.buffer, _inside(blocks), blocks.counts)
    if bad >= 0:
        raise CorruptRecord(f"rANS block {bad} of {len(blocks.counts)}: {WRONG[BAD_FRAME]}")
    _decode_streams(_Work(blocks.buffer, streams, rows, tables, symbols), backend, threads)
    return symbols


class _Work(NamedTuple):
    """What every form of the decoder takes: it fills `out` and returns -1, or 8 x a stream's number + what is wrong."""

    buffer: NDArray[np.uint8]
    streams: NDArray[np.int64]
    row_tables: NDArray[np.uint16]
    tables: Tables
    out: NDArray[np.uint8]


def _decode_streams(work: _Work, backend: Backend, threads: int) -> None:
    """Decode a stream list by one of the forms, on one thread or several."""
    decode = _form(backend)
    shares = [work.streams]
    if backend == "numba" and threads > 1 and len(work.streams) > 1:
        sizes = np.cumsum(work.streams[:, STOP] - work.streams[:, START])
        cuts = np.searchsorted(sizes, sizes[-1] * np.arange(1, threads) / threads, side="left") + 1
        shares = np.split(work.streams, cuts)
        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(lambda share: decode(*work._replace(streams=share)), shares))
    else:
        found = [decode(*work)]
    first = 0
    for share, wrong in zip(shares, found, strict=True):
        if wrong >= 0:
            raise CorruptRecord(f"rANS stream {first + wrong // 8} of {len(work.streams)}: {WRONG[wrong % 8]}")
        first += len(share)


def _form(backend: Backend) -> Callable[..., int]:
    """The decoder of that backend."""
    if backend == "numba":
        return _by_numba
    if backend == "reference":
        return rans_reference.decode_streams
    return _triton().decode_streams  # type: ignore[no-any-return]


def _triton() -> Any:
    """The GPU form, which not every machine has."""
    try:
        from lamofc_codecs.entropy import rans_gpu
    except ImportError as error:
        raise MissingExtra(
            f"backend 'triton' needs triton: {error}", "pip install triton, or use backend='numba'"
        ) from None
    return rans_gpu


def _by_numba(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    tables: Tables,
    out: NDArray[np.uint8],
) -> int:
    return int(rans_cpu.decode_streams(buffer, streams, row_tables, tables.slots.reshape(-1), out))


def _row_tables(table_of_row: Rows, rows: int, tables: Tables) -> NDArray[np.uint16]:
    """The table of each row, checked to be one of the tables."""
    if isinstance(table_of_row, int):
        chosen = np.full(rows, table_of_row, np.uint16)
    else:
        chosen = np.ascontiguousarray(table_of_row, np.uint16)
    if chosen.shape != (rows,) or (rows and int(chosen.max()) >= len(tables)):
        raise UnsupportedInput(f"tables of {chosen.shape} rows; expected ({rows},), each below {len(tables)}")
    return chosen


def _inside(blocks: Blocks) -> NDArray[np.int64]:
    """The spans, once they are known to lie in the buffer."""
    spans = np.ascontiguousarray(blocks.spans, np.int64)
    if spans.shape != (len(blocks.counts), 2) or (
        spans.size and (spans.min() < 0 or spans.max() > blocks.buffer.size or (spans[:, 0] > spans[:, 1]).any())
    ):
        raise CorruptRecord(f"{spans.shape} spans reach outside of the buffer's {blocks.buffer.size} bytes")
    return spans


def _absent(symbols: NDArray[np.uint8], rows: NDArray[np.uint16], tables: Tables) -> str:
    """Which symbol its table does not hold."""
    used = np.repeat(rows, ROW)[: symbols.size]
    place = int(np.flatnonzero(tables.freqs[used, symbols] == 0)[0])
    return f"symbol {symbols[place]} at place {place} has no slot in table {used[place]}"

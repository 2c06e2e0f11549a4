"""rANS coding of blocks of symbols, by any of three backends: "numba" (CPU, the default), "triton" (GPU), "reference".

The bytes are the same for all of them.
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
    STREAM_ERRORS,
    choose_layout,
    first_symbols,
    frame,
    list_streams,
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
    """Encode uint8 symbols as one block, each row of 32 with its table. The block does not hold their count."""
    flat = as_bytes(np.ascontiguousarray(symbols, np.uint8).reshape(-1))
    rows = _row_tables(table_of_row, -(-flat.size // ROW), tables)
    if flat.size == 0:
        return b""
    total, largest = rans_cpu.coded_millibits(flat, rows, tables.millibits)
    if largest >= ABSENT:
        raise UnsupportedInput(_absent_symbol(flat, rows, tables), "make the table from all of the symbols")
    lanes, streams = choose_layout(flat.size, int(total) // 8192)
    if backend == "reference":
        return rans_reference.encode_block(flat, rows, tables, lanes, streams)
    firsts = first_symbols(flat.size, streams)
    if backend == "triton":
        packed, sizes = _gpu_coder().encode_streams(flat, firsts, rows, tables, lanes)
    else:
        packed, sizes = rans_cpu.encode_streams(
            flat, firsts, rows, tables.coding.reshape(-1), tables.likeliest, np.int64(lanes)
        )
    return frame(lanes, sizes, memoryview(packed))


def decode_symbols(  # noqa: PLR0913 - options are keywords
    data: Bytes,
    count: int,
    table_of_row: Rows,
    tables: Tables,
    *,
    out: NDArray[np.uint8] | None = None,
    backend: Backend = "numba",
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Decode the `count` symbols of one block. CorruptRecord for damage; nothing outside `data` is read."""
    buffer = as_bytes(data)
    if backend == "numba" and threads == 1:
        rows, symbols = _row_tables(table_of_row, -(-count // ROW), tables), _output(out, count)
        if rans_cpu.decode_block(buffer, rows, tables.slots.reshape(-1), symbols):
            return symbols
    spans = np.array([[0, buffer.size]], np.int64)  # all else, and damage, which is named there
    blocks = Blocks(buffer, spans, np.array([count], np.int64))
    return decode_blocks(blocks, table_of_row, tables, out=out, backend=backend, threads=threads)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of symbols in one buffer, to be decoded together."""

    buffer: NDArray[np.uint8]
    spans: NDArray[np.int64]
    """n x 2: the first byte of each block, and the byte after its last."""
    counts: NDArray[np.int64]
    """Number of symbols of each block."""


def decode_blocks(
    blocks: Blocks,
    table_of_row: Rows,
    tables: Tables,
    *,
    out: NDArray[np.uint8] | None = None,
    backend: Backend = "numba",
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Decode many blocks into one array, end to end. `table_of_row` holds the tables of all their rows, end to end.

    With several `threads`, each decodes streams of about the same total of bytes; the compiled loop releases the GIL.
    """
    total = int(blocks.counts.sum())
    rows = _row_tables(table_of_row, int((-(-blocks.counts // ROW)).sum()), tables)
    symbols = _output(out, total)
    buffer = as_bytes(blocks.buffer)
    streams, damaged = list_streams(buffer, _checked_spans(blocks), blocks.counts)
    if damaged >= 0:
        raise CorruptRecord(f"rANS block {damaged} of {len(blocks.counts)}: {STREAM_ERRORS[BAD_FRAME]}")
    _decode_streams(_Job(buffer, streams, rows, tables, symbols), backend, threads)
    return symbols


class _Job(NamedTuple):
    """Arguments of a backend's decoder.

    It fills `out` and returns -1, or 8 * number of the first damaged stream + code of its error in STREAM_ERRORS.
    """

    buffer: NDArray[np.uint8]
    streams: NDArray[np.int64]
    row_tables: NDArray[np.uint16]
    tables: Tables
    out: NDArray[np.uint8]


def _decode_streams(job: _Job, backend: Backend, threads: int) -> None:
    """Decode a list of streams by one of the backends, on one thread or several."""
    decode = _stream_decoder(backend)
    shares = [job.streams]
    if backend == "numba" and threads > 1 and len(job.streams) > 1:
        sizes = np.cumsum(job.streams[:, STOP] - job.streams[:, START])
        bounds = np.searchsorted(sizes, sizes[-1] * np.arange(1, threads) / threads, side="left") + 1
        shares = np.split(job.streams, bounds)
        with ThreadPoolExecutor(threads) as pool:
            errors = list(pool.map(lambda share: decode(*job._replace(streams=share)), shares))
    else:
        errors = [decode(*job)]
    first = 0
    for share, error in zip(shares, errors, strict=True):
        if error >= 0:
            raise CorruptRecord(f"rANS stream {first + error // 8} of {len(job.streams)}: {STREAM_ERRORS[error % 8]}")
        first += len(share)


def _stream_decoder(backend: Backend) -> Callable[..., int]:
    """Return the decoder of a backend."""
    if backend == "numba":
        return _decode_on_cpu
    if backend == "reference":
        return rans_reference.decode_streams
    return _gpu_coder().decode_streams  # type: ignore[no-any-return]


def _gpu_coder() -> Any:
    """Import the GPU backend; MissingExtra without Triton."""
    try:
        from lamofc_codecs.entropy import rans_gpu
    except ImportError as error:
        raise MissingExtra(
            f"backend 'triton' needs triton: {error}", "pip install triton, or use backend='numba'"
        ) from None
    return rans_gpu


def _decode_on_cpu(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    tables: Tables,
    out: NDArray[np.uint8],
) -> int:
    return int(rans_cpu.decode_streams(buffer, streams, row_tables, tables.slots.reshape(-1), out))


def _output(out: NDArray[np.uint8] | None, count: int) -> NDArray[np.uint8]:
    """Return the array to decode to, made here or checked."""
    symbols = np.empty(count, np.uint8) if out is None else out
    if symbols.shape != (count,) or symbols.dtype != np.uint8 or not symbols.flags.c_contiguous:
        raise UnsupportedInput(f"out is {symbols.dtype} {symbols.shape}; expected contiguous uint8 ({count},)")
    return symbols


def _row_tables(table_of_row: Rows, rows: int, tables: Tables) -> NDArray[np.uint16]:
    """Return the table of each row, checked to be one of `tables`."""
    if isinstance(table_of_row, int):
        numbers = np.full(rows, table_of_row, np.uint16)
    else:
        numbers = np.ascontiguousarray(table_of_row, np.uint16)
    if numbers.shape != (rows,) or (rows and int(numbers.max()) >= len(tables)):
        raise UnsupportedInput(f"tables of {numbers.shape} rows; expected ({rows},), each below {len(tables)}")
    return numbers


def _checked_spans(blocks: Blocks) -> NDArray[np.int64]:
    """Return the spans, checked to lie inside the buffer."""
    spans = np.ascontiguousarray(blocks.spans, np.int64)
    if spans.shape != (len(blocks.counts), 2) or (
        spans.size and (spans.min() < 0 or spans.max() > blocks.buffer.size or (spans[:, 0] > spans[:, 1]).any())
    ):
        raise CorruptRecord(
            f"the {len(spans)} spans of blocks reach outside of the buffer's {blocks.buffer.size} bytes"
        )
    return spans


def _absent_symbol(symbols: NDArray[np.uint8], rows: NDArray[np.uint16], tables: Tables) -> str:
    """Describe the first symbol that has no slot in its table."""
    table = np.repeat(rows, ROW)[: symbols.size]
    place = int(np.flatnonzero(tables.freqs[table, symbols] == 0)[0])
    return f"symbol {symbols[place]} at place {place} has no slot in table {table[place]}"

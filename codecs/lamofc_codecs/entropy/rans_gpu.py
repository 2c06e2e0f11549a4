"""rANS on a GPU: the bytes of `rans_reference`, one warp for a stream, a batch in one launch.

Import this module only where it is used: not every machine has Triton. With TRITON_INTERPRET=1 set before the import,
the same kernels run on the CPU, slowly; so they are tested without a GPU. Tables are passed as int32 and become uint32
in the kernels, because torch hardly supports uint32.
"""

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from lamofc_codecs.entropy.tables import Tables

STREAMS_PER_PROGRAM = 4
"""Streams of one program, each a row of 32 lanes and one warp: sums along a row then stay inside a warp."""


@triton.jit  # type: ignore[untyped-decorator]
def streams_of(streams, count, STREAMS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Load this program's streams: their numbers, whether the list has them, and the columns of the list."""
    stream = tl.program_id(0) * STREAMS + tl.arange(0, STREAMS)
    listed = stream < count
    start = tl.load(streams + stream * 6, mask=listed, other=0)
    stop = tl.load(streams + stream * 6 + 1, mask=listed, other=0)
    lanes = tl.load(streams + stream * 6 + 2, mask=listed, other=1).to(tl.int32)
    first = tl.load(streams + stream * 6 + 3, mask=listed, other=0)
    symbols = tl.load(streams + stream * 6 + 4, mask=listed, other=0)
    rows = tl.load(streams + stream * 6 + 5, mask=listed, other=0)
    return stream, listed, start, stop, lanes, first, symbols, rows


@triton.jit  # type: ignore[untyped-decorator]
def decode_kernel(buffer, streams, row_tables, slots, out, errors, count, STREAMS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0913
    """Decode `STREAMS` of `count` listed streams; write the code of each one's error, or 0, to `errors`."""
    stream, listed, at, stop, lanes, first, symbols, rows = streams_of(streams, count, STREAMS)
    lane = tl.arange(0, 32)[None, :]
    live = (lane < lanes[:, None]) & listed[:, None]
    place = at[:, None] + 4 * lane
    x = tl.load(buffer + place, mask=live, other=0).to(tl.uint32)
    for byte in tl.static_range(1, 4):
        x |= tl.load(buffer + place + byte, mask=live, other=0).to(tl.uint32) << (8 * byte)
    bad_starts = tl.sum((live & ((x < 32768) | (x >= 2147483648))).to(tl.int32), axis=1)
    at += 4 * lanes
    missing = tl.zeros([STREAMS], dtype=tl.int32)
    steps = (symbols + lanes - 1) // lanes
    for step in range(tl.max(steps, axis=0)):
        symbol = (step * lanes.to(tl.int64))[:, None] + lane
        working = live & (step < steps)[:, None]
        table = tl.load(row_tables + rows + step * lanes.to(tl.int64) // 32, mask=listed & (step < steps), other=0)
        slot = table.to(tl.int64)[:, None] * 4096 + (x & 4095).to(tl.int64)
        entry = tl.load(slots + slot, mask=working, other=0).to(tl.uint32, bitcast=True)
        inside = working & (symbol < symbols[:, None])
        tl.store(out + first[:, None] + symbol, (entry & 255).to(tl.uint8), mask=inside)
        x = tl.where(working, ((entry >> 8) & 4095) * (x >> 12) + (entry >> 20), x)
        refill = working & (x < 32768)
        taken = refill.to(tl.int32)
        word_at = at[:, None] + 2 * (tl.cumsum(taken, axis=1) - taken)
        readable = refill & (word_at + 2 <= stop[:, None])
        word = tl.load(buffer + word_at, mask=readable, other=0).to(tl.uint32)
        word |= tl.load(buffer + word_at + 1, mask=readable, other=0).to(tl.uint32) << 8
        x = tl.where(refill, (x << 16) | word, x)
        missing += tl.sum((refill & (word_at + 2 > stop[:, None])).to(tl.int32), axis=1)
        at += 2 * tl.sum(taken, axis=1)
    bad_ends = tl.sum((live & (x != 32768)).to(tl.int32), axis=1)
    # The codes of `rans_layout`, which a kernel cannot import: END_STATE, WORDS_UNUSED, WORDS_MISSING, FIRST_STATE.
    error = tl.where(bad_ends > 0, 3, 0)
    error = tl.where(at != stop, 2, error)
    error = tl.where(missing > 0, 1, error)
    error = tl.where(bad_starts > 0, 4, error)
    tl.store(errors + stream, error, mask=listed)


def decode_streams(
    buffer: NDArray[np.uint8],
    streams: NDArray[np.int64],
    row_tables: NDArray[np.uint16],
    tables: Tables,
    out: NDArray[np.uint8],
) -> int:
    """Decode for `rans`: copy arrays to the GPU, decode, and copy the symbols back."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    symbols = torch.empty(out.size, dtype=torch.uint8, device=device)
    errors = decode_listed(
        torch.from_numpy(buffer.copy()).to(device),
        torch.from_numpy(streams).to(device),
        torch.from_numpy(row_tables.astype(np.int32)).to(device),
        torch.from_numpy(tables.slots.view(np.int32)).to(device),
        symbols,
    )
    out[:] = symbols.cpu().numpy()
    damaged = torch.nonzero(errors).flatten()
    return int(damaged[0]) * 8 + int(errors[damaged[0]]) if len(damaged) else -1


def decode_listed(
    buffer: torch.Tensor, streams: torch.Tensor, row_tables: torch.Tensor, slots: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    """Decode listed streams (int64, n x 6) into `out` (uint8); return the code of each one's error, or 0.

    `row_tables` is int32, `slots` is `Tables.slots` viewed as int32, all on one device. There is one launch and no
    synchronisation, so a caller may queue more work before it reads the errors.
    """
    count = len(streams)
    errors = torch.zeros(count, dtype=torch.int32, device=buffer.device)
    if count:
        grid = (triton.cdiv(count, STREAMS_PER_PROGRAM),)
        arguments = (buffer, streams, row_tables, slots, out, errors, count)
        decode_kernel[grid](*arguments, STREAMS=STREAMS_PER_PROGRAM, num_warps=STREAMS_PER_PROGRAM)
    return errors


@triton.jit  # type: ignore[untyped-decorator]
def encode_kernel(symbols, streams, row_tables, codes, likeliest, scratch, starts, count, STREAMS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, PLR0913
    """Encode `STREAMS` of `count` listed streams, each backwards from its end in `scratch`; write the `starts`."""
    stream, listed, _, at, lanes, first, size, rows = streams_of(streams, count, STREAMS)
    lane = tl.arange(0, 32)[None, :]
    live = (lane < lanes[:, None]) & listed[:, None]
    x = tl.full([STREAMS, 32], 32768, dtype=tl.uint32)
    steps = (size + lanes - 1) // lanes
    for back in range(tl.max(steps, axis=0)):
        step = steps - 1 - back
        working = live & (step >= 0)[:, None]
        place = (step * lanes.to(tl.int64))[:, None] + lane
        table = tl.load(row_tables + rows + step * lanes.to(tl.int64) // 32, mask=listed & (step >= 0), other=0)
        padding = tl.load(likeliest + table, mask=listed & (step >= 0), other=0).to(tl.int32)
        inside = working & (place < size[:, None])
        symbol = tl.load(symbols + first[:, None] + place, mask=inside, other=0).to(tl.int32)
        symbol = tl.where(inside, symbol, padding[:, None])
        entry = tl.load(codes + table.to(tl.int64)[:, None] * 256 + symbol, mask=working, other=1)
        freq = (entry & 4095).to(tl.uint32)
        full = working & (x >= (freq << 19))
        taken = full.to(tl.int32)
        at -= 2 * tl.sum(taken, axis=1)
        word_at = at[:, None] + 2 * (tl.cumsum(taken, axis=1) - taken)
        tl.store(scratch + word_at, (x & 255).to(tl.uint8), mask=full)
        tl.store(scratch + word_at + 1, ((x >> 8) & 255).to(tl.uint8), mask=full)
        x = tl.where(full, x >> 16, x)
        share = x // freq
        x = tl.where(working, (share << 12) + (entry >> 12).to(tl.uint32) + (x - share * freq), x)
    at -= 4 * lanes
    for byte in tl.static_range(4):
        tl.store(scratch + at[:, None] + 4 * lane + byte, ((x >> (8 * byte)) & 255).to(tl.uint8), mask=live)
    tl.store(starts + stream, at, mask=listed)


def encode_streams(
    symbols: NDArray[np.uint8], firsts: NDArray[np.int64], row_tables: NDArray[np.uint16], tables: Tables, lanes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode for `rans`: return all streams of a block, end to end, and the bytes of each."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    counts = np.diff(firsts)
    capacities = 2 * (-(-counts // lanes) * lanes) + 4 * lanes
    ends = np.cumsum(capacities)
    listed = np.stack([ends - capacities, ends, np.full(len(counts), lanes), firsts[:-1], counts, firsts[:-1] // 32], 1)
    scratch = torch.empty(int(ends[-1]), dtype=torch.uint8, device=device)
    starts = encode_on_device(
        torch.from_numpy(symbols).to(device),
        torch.from_numpy(np.ascontiguousarray(listed, np.int64)).to(device),
        torch.from_numpy(row_tables.astype(np.int32)).to(device),
        (torch.from_numpy(pack_codes(tables)).to(device), torch.from_numpy(tables.likeliest).to(device)),
        scratch,
    )
    written = scratch.cpu().numpy()
    streams = [written[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return np.concatenate(streams), np.array([len(stream) for stream in streams], np.int64)


def encode_on_device(
    symbols: torch.Tensor,
    streams: torch.Tensor,
    row_tables: torch.Tensor,
    tables: tuple[torch.Tensor, torch.Tensor],
    scratch: torch.Tensor,
) -> torch.Tensor:
    """Encode listed streams (int64, n x 6, as for decoding) into their parts of `scratch`; return where each begins.

    `tables` are `pack_codes` and the likeliest symbols of all tables. Each part holds two bytes a symbol and four a
    lane.
    """
    count = len(streams)
    starts = torch.zeros(count, dtype=torch.int64, device=symbols.device)
    if count:
        grid = (triton.cdiv(count, STREAMS_PER_PROGRAM),)
        codes, likeliest = tables
        arguments = (symbols, streams, row_tables, codes, likeliest, scratch, starts, count)
        encode_kernel[grid](*arguments, STREAMS=STREAMS_PER_PROGRAM, num_warps=STREAMS_PER_PROGRAM)
    return starts


def pack_codes(tables: Tables) -> NDArray[np.int32]:
    """Pack tables x 256 as frequency | first slot << 12, with frequency 1 for symbols that a table does not hold."""
    return (np.maximum(tables.freqs, 1).astype(np.int32) | tables.starts.astype(np.int32) << 12).astype(np.int32)

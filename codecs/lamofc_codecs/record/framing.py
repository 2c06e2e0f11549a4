"""The framing of records: header, grid, section index, checksums. The codec alone interprets the sections.

A record is a grid of items (each with its own token count) x parts (each with its own dtype and channels), coded in
layers, coarse first. A layer is cut into sections: one for the whole grid, or one for each item, part or cell of it.
A prefix of the bytes that ends where a layer ends is a valid record of a lower rate. The layout is in codecs/README.md.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.record.grid import DTYPE_CODES, DTYPES, MAX_ELEMENTS, MAX_ITEMS, MAX_PARTS, Grid, Partition
from lamofc_codecs.record.header import Header
from lamofc_codecs.runtime import crc32c

MAGIC = b"LMFC"
VERSION = 1
MAX_LAYERS = 32

FLAG_GRID, FLAG_WIDE, FLAG_SAME_TOKENS, FLAG_SAME_PARTS = 1, 2, 4, 8

Buffer = bytes | bytearray | memoryview

_START = struct.Struct("<4sBBBB16s")
_SHORT = struct.Struct("<BII")
_GRID = struct.Struct("<IH")
_U32 = struct.Struct("<I")
_SHORT_END = _START.size + _SHORT.size
_UPGRADE_HINT = "upgrade lamofc-store"


def pack(
    number: int,
    profile: str,
    grid: Grid,
    layers: Sequence[Sequence[Buffer]],
    partitions: Sequence[int] | None = None,
) -> bytes:
    """Pack the sections of layers, coarse first, into the bytes of a record.

    `profile` is the id of the profile, 32 hex digits of it or more, or "" for none. Without `partitions` every layer is
    one section.
    """
    cuts = tuple(partitions) if partitions is not None else (int(Partition.WHOLE),) * len(layers)
    grid.check()
    if not 1 <= len(layers) <= MAX_LAYERS or len(cuts) != len(layers):
        raise UnsupportedInput(
            f"{len(layers)} layers with {len(cuts)} partitions; a record has 1 to {MAX_LAYERS} of each"
        )
    for layer, (cut, parts) in enumerate(zip(cuts, layers, strict=True)):
        if len(parts) != grid.sections(cut):
            raise UnsupportedInput(
                f"layer {layer} has {len(parts)} sections; its partition {Partition(cut).name} of "
                f"{grid.items} items x {grid.parts} parts has {grid.sections(cut)}"
            )
    sections = list(chain.from_iterable(layers))
    lengths = [len(memoryview(section).cast("B")) if len(section) else 0 for section in sections]
    short = grid.items == grid.parts == 1
    flags = FLAG_WIDE * (max(lengths) >= 1 << 32)
    if not short:
        flags |= FLAG_GRID | FLAG_SAME_TOKENS * (len(set(grid.tokens)) == 1)
        flags |= FLAG_SAME_PARTS * (len(set(grid.channels)) == len(set(grid.dtypes)) == 1)
    entry = "<QI" if flags & FLAG_WIDE else "<II"
    header = b"".join(
        (
            _START.pack(MAGIC, VERSION, number, flags, len(layers), bytes.fromhex(profile[:32]).ljust(16, b"\0")),
            _pack_grid(grid, flags),
            b"" if short else bytes(cuts),
            *(struct.pack(entry, n, crc32c(section)) for n, section in zip(lengths, sections, strict=True)),
        )
    )
    return b"".join((header, _U32.pack(crc32c(header)), *sections))


def _pack_grid(grid: Grid, flags: int) -> bytes:
    codes = [DTYPE_CODES[name] for name in grid.dtypes]
    if not flags & FLAG_GRID:
        return _SHORT.pack(codes[0], grid.tokens[0], grid.channels[0])
    tokens = grid.tokens[:1] if flags & FLAG_SAME_TOKENS else grid.tokens
    parts = 1 if flags & FLAG_SAME_PARTS else grid.parts
    return b"".join(
        (
            _GRID.pack(grid.items, grid.parts),
            struct.pack(f"<{len(tokens)}I", *tokens),
            *(struct.pack("<BI", codes[k], grid.channels[k]) for k in range(parts)),
        )
    )


class _Frame(NamedTuple):
    """The fields of a header before its section index, and the struct of that index."""

    number: int
    profile: str
    grid: Grid
    partitions: tuple[int, ...]
    index_start: int
    index_struct: struct.Struct
    """Struct of the section index and the crc32c after it."""


def parse(record: Buffer, *, verified: bool = False) -> Header:
    """Parse and check the header of a record, or of a prefix that ends with a layer; the sections are not read.

    With `verified` the checksum of the header is not computed again, because `verify` has done so.
    """
    try:
        view = memoryview(record).cast("B")
    except TypeError:
        raise UnsupportedInput(f"a record is a {type(record).__name__}, not bytes", "give its data") from None
    frame = _short_frame(bytes(view[:_SHORT_END])) if len(view) > 6 and not view[6] & FLAG_GRID else _frame(view)
    size = frame.index_start + frame.index_struct.size
    if size > len(view):
        raise CorruptRecord(f"header of {size} bytes in a record of {len(view)} bytes")
    index = frame.index_struct.unpack_from(view, frame.index_start)
    if not verified and (computed := crc32c(view[: size - 4])) != index[-1]:
        raise CorruptRecord(f"header has crc32c {computed:#010x}, it says {index[-1]:#010x}")
    lengths = index[:-1:2]
    layers, present = _count_present(len(view) - size, frame, lengths)
    number, profile, grid, partitions = frame[:4]
    return Header(VERSION, number, profile, grid, partitions, lengths, index[1::2], size, layers, present)


def _frame(view: memoryview | bytes) -> _Frame:
    """Parse and check the fields of a header before its section index."""
    try:
        magic, version, number, flags, layers, profile = _START.unpack_from(view)
        if magic != MAGIC:
            raise CorruptRecord(f"record begins with {magic!r}, not with {MAGIC!r}")
        if version != VERSION:
            raise CorruptRecord(f"record of format version {version}; this reader knows {VERSION}", _UPGRADE_HINT)
        if flags >= 16 or (flags & 12 and not flags & FLAG_GRID) or not 1 <= layers <= MAX_LAYERS:
            raise CorruptRecord(
                f"record has flags {flags:#04x}, {layers} layers; expected known flags, 1 to {MAX_LAYERS}"
            )
        grid, partitions, at = _parse_grid(view, flags, layers)
    except struct.error:
        raise CorruptRecord(f"header is cut short by the record's end at {len(view)} bytes") from None
    count = sum(grid.sections(partition) for partition in partitions)
    if flags & FLAG_GRID and at + 8 * count > len(view):
        raise CorruptRecord(f"header of {count} sections in a record of {len(view)} bytes")
    index = struct.Struct("<" + ("QI" if flags & FLAG_WIDE else "II") * count + "I")
    return _Frame(number, profile.hex() if any(profile) else "", grid, partitions, at, index)


_short_frame = lru_cache(1024)(_frame)
"""`_frame` with a cache, because the short headers of one feature mostly begin with the same bytes."""


def _parse_grid(view: memoryview | bytes, flags: int, layers: int) -> tuple[Grid, tuple[int, ...], int]:
    """Parse the grid and the partition of each layer, and return the start of the section index with them.

    A header that is too short raises struct.error.
    """
    at = _START.size
    if not flags & FLAG_GRID:
        code, tokens, channels = _SHORT.unpack_from(view, at)
        grid = _checked_grid((tokens,), (channels,), (code,))
        return grid, (0,) * layers, at + _SHORT.size
    items, parts = _GRID.unpack_from(view, at)
    if not 1 <= items <= MAX_ITEMS or not 1 <= parts <= MAX_PARTS:
        raise CorruptRecord(f"grid of {items} items x {parts} parts; expected 1 to {MAX_ITEMS} x 1 to {MAX_PARTS}")
    at += _GRID.size
    token_counts = 1 if flags & FLAG_SAME_TOKENS else items
    lengths = struct.unpack_from(f"<{token_counts}I", view, at)
    at += 4 * token_counts
    part_shapes = 1 if flags & FLAG_SAME_PARTS else parts
    shapes = struct.unpack_from("<" + "BI" * part_shapes, view, at)
    at += 5 * part_shapes
    partitions = struct.unpack_from(f"<{layers}B", view, at)
    if max(partitions) > Partition.CELL:
        raise CorruptRecord(f"partitions {partitions}; expected each to be 0 to {int(Partition.CELL)}")
    grid = _checked_grid(
        lengths * items if token_counts < items else lengths,
        shapes[1::2] * parts if part_shapes < parts else shapes[1::2],
        shapes[::2] * parts if part_shapes < parts else shapes[::2],
    )
    return grid, partitions, at + layers


def _checked_grid(tokens: tuple[int, ...], channels: tuple[int, ...], codes: tuple[int, ...]) -> Grid:
    """Return the grid of the numbers in a header, or refuse an unknown dtype or too many elements."""
    try:
        grid = Grid(tokens, channels, tuple([DTYPES[code] for code in codes]))
    except KeyError as unknown:
        raise CorruptRecord(f"dtype code {unknown}; expected one of {list(DTYPES)}", _UPGRADE_HINT) from None
    if grid.elements > MAX_ELEMENTS:
        raise CorruptRecord(f"record claims {grid.elements} elements; the format allows {MAX_ELEMENTS}")
    return grid


def _count_present(payload: int, frame: _Frame, lengths: tuple[int, ...]) -> tuple[int, int]:
    """Count the layers and the sections that a payload of this many bytes holds."""
    count, end, present, ends = 0, 0, (0, 0), []
    for layer, partition in enumerate(frame.partitions):
        more = frame.grid.sections(partition)
        end += sum(lengths[count : count + more])
        count += more
        ends.append(end)
        if end == payload:
            present = layer + 1, count
    if not present[0]:
        raise CorruptRecord(f"{payload} bytes follow the header; its layers end after {ends}")
    return present


def sections(record: Buffer, header: Header, *, verified: bool = False) -> list[memoryview]:
    """Return views of the sections that a record holds, in order, each checked against its crc32c.

    With `verified` no checksum is computed again.
    """
    view = memoryview(record).cast("B")
    bounds = list(accumulate(header.lengths[: header.present], initial=header.size))
    contents = [view[start:stop] for start, stop in pairwise(bounds)]
    if not verified:
        for number, content in enumerate(contents):
            _check(content, header, number)
    return contents


def section(record: Buffer, header: Header, number: int) -> memoryview:
    """Return one section by its number among all sections, checked against its crc32c."""
    if not 0 <= number < header.present:
        raise CorruptRecord(
            f"section {number} is not among the {header.present} here", "read more layers of the record"
        )
    start = header.size + sum(header.lengths[:number])
    view = memoryview(record).cast("B")[start : start + header.lengths[number]]
    _check(view, header, number)
    return view


def _check(content: memoryview, header: Header, number: int) -> None:
    computed, stored = crc32c(content), header.checksums[number]
    if computed != stored:
        raise CorruptRecord(f"section {number} has crc32c {computed:#010x}, the header says {stored:#010x}")


def inspect(record: Buffer) -> Header:
    """Parse the header of a record and check it against its checksum; the sections are not read."""
    return parse(record)

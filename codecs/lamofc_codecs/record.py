"""The framing of records: header, grid, section index, checksums. What the sections hold is the codec's business.

A record is a grid of items (each with its own token count) x parts (each with its own dtype and channels), coded in
layers, coarse first. A layer is cut into sections: one whole, or one for each item, part, or cell of the grid. A prefix
of the bytes that ends where a layer ends is a valid record of a lower rate. The byte-exact layout is in codecs/README.md.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from lamofc_codecs.checksum import crc32c
from lamofc_codecs.errors import CorruptRecord, UnsupportedInput
from lamofc_codecs.grid import DTYPE_CODES, DTYPES, MAX_ELEMENTS, MAX_ITEMS, MAX_PARTS, Grid, Partition

MAGIC = b"LMFC"
VERSION = 1
MAX_LAYERS = 32

FLAG_GRID, FLAG_WIDE, FLAG_SAME_TOKENS, FLAG_SAME_PARTS = 1, 2, 4, 8

Buffer = bytes | bytearray | memoryview

_START = struct.Struct("<4sBBBB16s")
_SHORT = struct.Struct("<BII")
_GRID = struct.Struct("<IH")
_U32 = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Header:
    """All that a record says before its first section."""

    version: int
    number: int
    """Of the codec that wrote the sections."""
    profile: str
    """First 16 bytes of the profile's id as 32 hex digits, or "" where none is needed."""
    grid: Grid
    partitions: tuple[int, ...]
    """Of each layer that was written, a `Partition`."""
    lengths: tuple[int, ...]
    """Bytes of each section, layer after layer, of all layers that were written."""
    checksums: tuple[int, ...]
    """crc32c of each section."""
    size: int
    """Bytes of the header, which is where the first section begins."""
    layers: int
    """How many layers these bytes hold: all that were written, or fewer in a prefix."""

    @property
    def items(self) -> int:
        """How many samples."""
        return self.grid.items

    @property
    def parts(self) -> int:
        """How many features of each sample."""
        return self.grid.parts

    @property
    def tokens(self) -> tuple[int, ...]:
        """Of each item."""
        return self.grid.tokens

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each part."""
        return self.grid.channels

    @property
    def dtype(self) -> str:
        """The torch dtype that all parts share, or "mixed"."""
        kinds = set(self.grid.dtypes)
        return kinds.pop() if len(kinds) == 1 else "mixed"

    @property
    def present(self) -> int:
        """How many sections these bytes hold."""
        return self.first(self.layers)

    @property
    def payload_bits(self) -> int:
        """Bits of the sections that these bytes hold, without the header."""
        return 8 * sum(self.lengths[: self.present])

    @property
    def stored_bits(self) -> int:
        """Bits of all these bytes, header included."""
        return 8 * self.size + self.payload_bits

    def first(self, layer: int) -> int:
        """The number of a layer's first section among all sections."""
        return sum(self.grid.sections(partition) for partition in self.partitions[:layer])

    def section(self, layer: int, item: int = 0, part: int = 0) -> int:
        """The number, among all sections, of the one that holds that cell in that layer."""
        return self.first(layer) + self.grid.section(self.partitions[layer], item, part)

    def layer_bytes(self) -> tuple[int, ...]:
        """Bytes of each layer that was written; the header counts with the first, so sums are lengths of prefixes."""
        bounds = [self.first(layer) for layer in range(len(self.partitions) + 1)]
        sums = [sum(self.lengths[a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]
        return (sums[0] + self.size, *sums[1:])


def pack(
    number: int,
    profile: str,
    grid: Grid,
    layers: Sequence[Sequence[Buffer]],
    partitions: Sequence[int] | None = None,
) -> bytes:
    """The bytes of a record from the sections of its layers, coarse first; `profile` may be the whole id or "".

    Without `partitions` every layer is one whole section.
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
    kind = "<QI" if flags & FLAG_WIDE else "<II"
    header = b"".join(
        (
            _START.pack(MAGIC, VERSION, number, flags, len(layers), bytes.fromhex(profile[:32]).ljust(16, b"\0")),
            _pack_grid(grid, flags),
            b"" if short else bytes(cuts),
            *(struct.pack(kind, n, crc32c(section)) for n, section in zip(lengths, sections, strict=True)),
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


def parse(record: Buffer) -> Header:
    """The header of a record, or of a prefix that ends with a layer. Trusts nothing, reads only the header."""
    view = memoryview(record).cast("B")
    if len(view) < _START.size:
        raise CorruptRecord(
            f"record of {len(view)} bytes is shorter than the {_START.size} bytes that every record has"
        )
    magic, version, number, flags, layers, profile = _START.unpack_from(view)
    if magic != MAGIC:
        raise CorruptRecord(f"record begins with {magic!r}, not with {MAGIC!r}")
    if version != VERSION:
        raise CorruptRecord(f"record of format version {version}; this reader knows {VERSION}", "upgrade lamofc-store")
    if flags >= 16 or (flags & 12 and not flags & FLAG_GRID) or not 1 <= layers <= MAX_LAYERS:
        raise CorruptRecord(
            f"record has flags {flags:#04x} and {layers} layers; expected known flags, 1 to {MAX_LAYERS}"
        )
    try:
        grid, partitions, at = _parse_grid(view, flags, layers)
        count = sum(grid.sections(partition) for partition in partitions)
        wide = bool(flags & FLAG_WIDE)
        size = at + count * (12 if wide else 8) + 4
        if size > len(view):
            raise CorruptRecord(f"header of {size} bytes for {count} sections, in a record of {len(view)} bytes")
        index = struct.unpack_from("<" + ("QI" if wide else "II") * count + "I", view, at)
    except struct.error:
        raise CorruptRecord(f"header is cut short by the record's end at {len(view)} bytes") from None
    found = crc32c(view[: size - 4])
    if found != index[-1]:
        raise CorruptRecord(f"header has crc32c {found:#010x}, it says {index[-1]:#010x}")
    lengths = index[:-1:2]
    present = _layers_present(len(view) - size, grid, partitions, lengths)
    name = profile.hex() if any(profile) else ""
    return Header(version, number, name, grid, partitions, lengths, index[1::2], size, present)


def _parse_grid(view: memoryview, flags: int, layers: int) -> tuple[Grid, tuple[int, ...], int]:
    """The grid, the partition of each layer, and where the section index begins. May raise struct.error."""
    at = _START.size
    if not flags & FLAG_GRID:
        code, tokens, channels = _SHORT.unpack_from(view, at)
        grid = _known_grid((tokens,), (channels,), (code,))
        return grid, (0,) * layers, at + _SHORT.size
    items, parts = _GRID.unpack_from(view, at)
    if not 1 <= items <= MAX_ITEMS or not 1 <= parts <= MAX_PARTS:
        raise CorruptRecord(f"grid of {items} items x {parts} parts; expected 1 to {MAX_ITEMS} x 1 to {MAX_PARTS}")
    at += _GRID.size
    told = 1 if flags & FLAG_SAME_TOKENS else items
    lengths = struct.unpack_from(f"<{told}I", view, at)
    at += 4 * told
    told_parts = 1 if flags & FLAG_SAME_PARTS else parts
    shapes = struct.unpack_from("<" + "BI" * told_parts, view, at)
    at += 5 * told_parts
    partitions = struct.unpack_from(f"<{layers}B", view, at)
    if max(partitions) > Partition.CELL:
        raise CorruptRecord(f"partitions {partitions}; expected each to be 0 to {int(Partition.CELL)}")
    grid = _known_grid(
        lengths * items if told < items else lengths,
        shapes[1::2] * parts if told_parts < parts else shapes[1::2],
        shapes[::2] * parts if told_parts < parts else shapes[::2],
    )
    return grid, partitions, at + layers


def _known_grid(tokens: tuple[int, ...], channels: tuple[int, ...], codes: tuple[int, ...]) -> Grid:
    """The grid of numbers from a header, once they are known to be sane."""
    try:
        grid = Grid(tokens, channels, tuple([DTYPES[code] for code in codes]))
    except KeyError as unknown:
        raise CorruptRecord(f"dtype code {unknown}; expected one of {list(DTYPES)}", "upgrade lamofc-store") from None
    if grid.elements > MAX_ELEMENTS:
        raise CorruptRecord(f"record claims {grid.elements} elements; the format allows {MAX_ELEMENTS}")
    return grid


def _layers_present(payload: int, grid: Grid, partitions: tuple[int, ...], lengths: tuple[int, ...]) -> int:
    """How many layers a payload of that many bytes holds."""
    bounds = list(accumulate((grid.sections(partition) for partition in partitions), initial=0))
    ends = [sum(lengths[: bounds[layer]]) for layer in range(1, len(bounds))]
    for layer in range(len(partitions), 0, -1):
        if ends[layer - 1] == payload:
            return layer
    raise CorruptRecord(f"{payload} bytes follow the header; its layers end after {ends}")


def sections(record: Buffer, header: Header) -> list[memoryview]:
    """The sections that the record holds, in order, each checked against its crc32c; views, nothing is copied."""
    starts = accumulate(header.lengths, initial=header.size)
    return [
        _checked(record, header, number, start) for number, start in zip(range(header.present), starts, strict=False)
    ]


def section(record: Buffer, header: Header, number: int) -> memoryview:
    """One section, by its number among all, checked against its crc32c."""
    if not 0 <= number < header.present:
        raise CorruptRecord(
            f"section {number} is asked for; the record holds {header.present}", "read all of its layers"
        )
    return _checked(record, header, number, header.size + sum(header.lengths[:number]))


def _checked(record: Buffer, header: Header, number: int, start: int) -> memoryview:
    view = memoryview(record).cast("B")[start : start + header.lengths[number]]
    found = crc32c(view)
    if found != header.checksums[number]:
        raise CorruptRecord(
            f"section {number} has crc32c {found:#010x}, the header says {header.checksums[number]:#010x}"
        )
    return view


def inspect(record: Buffer) -> Header:
    """The header of a record, its own checksum checked, its sections not read."""
    return parse(record)

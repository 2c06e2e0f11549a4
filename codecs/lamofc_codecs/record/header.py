"""The header of a record, parsed."""

from dataclasses import dataclass
from itertools import pairwise

from lamofc_codecs.record.grid import Grid


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a record's header, and how much of the record is present."""

    version: int
    number: int
    """Number of the codec that wrote the sections."""
    profile: str
    """First 16 bytes of the profile's id as 32 hex digits, or "" if none is needed."""
    grid: Grid
    partitions: tuple[int, ...]
    """The `Partition` of each layer that was written."""
    lengths: tuple[int, ...]
    """Bytes of each section, layer after layer, of all layers that were written."""
    checksums: tuple[int, ...]
    """crc32c of each section."""
    size: int
    """Bytes of the header; the first section begins after them."""
    layers: int
    """Number of layers that the parsed bytes hold: all that were written, or fewer in a prefix."""
    present: int
    """Number of sections that the parsed bytes hold."""

    @property
    def items(self) -> int:
        """Number of items."""
        return self.grid.items

    @property
    def parts(self) -> int:
        """Number of parts of each item."""
        return self.grid.parts

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of each item."""
        return self.grid.tokens

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each part."""
        return self.grid.channels

    @property
    def dtype(self) -> str:
        """Name of the torch dtype that all parts share, or "mixed"."""
        dtypes = set(self.grid.dtypes)
        return dtypes.pop() if len(dtypes) == 1 else "mixed"

    @property
    def payload_bits(self) -> int:
        """Bits of the sections that the parsed bytes hold, without the header."""
        return 8 * sum(self.lengths[: self.present])

    @property
    def stored_bits(self) -> int:
        """Bits of all parsed bytes, the header included."""
        return 8 * self.size + self.payload_bits

    def first(self, layer: int) -> int:
        """Return the number of a layer's first section among all sections."""
        return sum(self.grid.sections(partition) for partition in self.partitions[:layer])

    def section(self, layer: int, item: int = 0, part: int = 0) -> int:
        """Return the number, among all sections, of the section that holds a cell in a layer."""
        return self.first(layer) + self.grid.section(self.partitions[layer], item, part)

    def layer_bytes(self) -> tuple[int, ...]:
        """Return the bytes of each written layer. The first counts the header, so that sums are lengths of prefixes."""
        bounds = [self.first(layer) for layer in range(len(self.partitions) + 1)]
        sums = [sum(self.lengths[a:b]) for a, b in pairwise(bounds)]
        return (sums[0] + self.size, *sums[1:])

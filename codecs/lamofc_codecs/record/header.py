"""What a record says of itself before its first section."""

from dataclasses import dataclass
from itertools import pairwise

from lamofc_codecs.record.grid import Grid


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
    present: int
    """How many sections these bytes hold."""

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
        sums = [sum(self.lengths[a:b]) for a, b in pairwise(bounds)]
        return (sums[0] + self.size, *sums[1:])

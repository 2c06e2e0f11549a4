"""What a record holds: its grid of items and parts, their dtypes, and how a layer is cut into sections."""

from dataclasses import dataclass
from enum import IntEnum

from lamofc_codecs.errors import UnsupportedInput

MAX_ITEMS = 1 << 20
MAX_PARTS = 1 << 14
MAX_ELEMENTS = 1 << 33
"""Elements of one record, over all items and parts: what a decoder may be asked to allocate."""

DTYPES = {
    1: "float64", 2: "float32", 3: "float16", 4: "bfloat16",
    8: "float8_e4m3fn", 9: "float8_e5m2", 10: "float8_e4m3fnuz", 11: "float8_e5m2fnuz", 12: "float8_e8m0fnu",
    16: "int8", 17: "int16", 18: "int32", 19: "int64", 24: "uint8", 25: "uint16", 26: "uint32", 27: "uint64",
    32: "bool", 40: "complex32", 41: "complex64", 42: "complex128",
}  # fmt: skip
"""dtype code -> name of the torch dtype. Codes are never given to another dtype."""

DTYPE_CODES = {name: code for code, name in DTYPES.items()}


class Partition(IntEnum):
    """How a layer is cut into sections, in the order in which they stand."""

    WHOLE = 0
    ITEM = 1
    PART = 2
    CELL = 3
    """One for each item and part, the parts of an item side by side."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What a record holds: items x parts of tensors, tokens x channels each."""

    tokens: tuple[int, ...]
    """Of each item."""
    channels: tuple[int, ...]
    """Of each part."""
    dtypes: tuple[str, ...]
    """Of each part; names of torch dtypes, such as "bfloat16"."""

    @property
    def items(self) -> int:
        """How many samples."""
        return len(self.tokens)

    @property
    def parts(self) -> int:
        """How many features of each."""
        return len(self.channels)

    @property
    def elements(self) -> int:
        """Values over all items and parts."""
        return sum(self.tokens) * sum(self.channels)

    def sections(self, partition: int) -> int:
        """How many sections a layer has that is cut in that way."""
        return (1, self.items, self.parts, self.items * self.parts)[partition]

    def section(self, partition: int, item: int, part: int) -> int:
        """Which section of such a layer holds that cell."""
        return (0, item, part, item * self.parts + part)[partition]

    def check(self) -> None:
        """Refuse what no header can say."""
        if len(self.dtypes) != self.parts or not 1 <= self.items <= MAX_ITEMS or not 1 <= self.parts <= MAX_PARTS:
            raise UnsupportedInput(
                f"{self.items} items x {self.parts} parts with {len(self.dtypes)} dtypes; "
                f"a record has 1 to {MAX_ITEMS} items, 1 to {MAX_PARTS} parts and a dtype for each part",
                "split the samples over several records",
            )
        for name in self.dtypes:
            if name not in DTYPE_CODES:
                raise UnsupportedInput(
                    f"dtype {name!r} has no code in the record format", f"use one of {sorted(DTYPE_CODES)}"
                )
        largest = max(*self.tokens, *self.channels)
        if largest >= 1 << 32 or min(*self.tokens, *self.channels) < 0 or self.elements > MAX_ELEMENTS:
            raise UnsupportedInput(
                f"{self.elements} elements, an axis of {largest}: a record holds up to {MAX_ELEMENTS} elements",
                "split the tensor along its tokens",
            )

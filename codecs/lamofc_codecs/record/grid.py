"""The grid of a record: its items and parts, their dtypes, and the cut of a layer into sections."""

from dataclasses import dataclass
from enum import IntEnum

from lamofc_codecs.errors import UnsupportedInput

MAX_ITEMS = 1 << 20
MAX_PARTS = 1 << 14
MAX_ELEMENTS = 1 << 33
"""Elements of one record, over all items and parts, which bounds what a decoder may have to allocate."""

DTYPES = {
    1: "float64", 2: "float32", 3: "float16", 4: "bfloat16",
    8: "float8_e4m3fn", 9: "float8_e5m2", 10: "float8_e4m3fnuz", 11: "float8_e5m2fnuz", 12: "float8_e8m0fnu",
    16: "int8", 17: "int16", 18: "int32", 19: "int64", 24: "uint8", 25: "uint16", 26: "uint32", 27: "uint64",
    32: "bool", 40: "complex32", 41: "complex64", 42: "complex128",
}  # fmt: skip
"""Name of the torch dtype of each dtype code. A code never comes to mean another dtype."""

DTYPE_CODES = {name: code for code, name in DTYPES.items()}


class Partition(IntEnum):
    """The cut of a layer into sections: one for all, or one for each item, part or cell."""

    WHOLE = 0
    ITEM = 1
    PART = 2
    CELL = 3
    """One section for each item and part, the parts of an item side by side."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Items x parts of tensors in a record, tokens x channels each."""

    tokens: tuple[int, ...]
    """Tokens of each item."""
    channels: tuple[int, ...]
    """Channels of each part."""
    dtypes: tuple[str, ...]
    """Names of the torch dtypes of each part, such as "bfloat16"."""

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.tokens)

    @property
    def parts(self) -> int:
        """Number of parts of each item."""
        return len(self.channels)

    @property
    def elements(self) -> int:
        """Number of values over all items and parts."""
        return sum(self.tokens) * sum(self.channels)

    def sections(self, partition: int) -> int:
        """Count the sections of a layer with this partition."""
        return (1, self.items, self.parts, self.items * self.parts)[partition]

    def section(self, partition: int, item: int, part: int) -> int:
        """Return the index of the section that holds a cell, within a layer with this partition."""
        return (0, item, part, item * self.parts + part)[partition]

    def check(self) -> None:
        """Refuse a grid that the header of a record cannot express."""
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

"""Probability tables: frozen ones for levels of a given spread, and tables normalised from a histogram.

A table gives each of 256 symbols a frequency; the frequencies sum to 4096 and none is 4096. Symbols of levels are int8
values viewed as uint8: 0 is zero, 255 is -1, and 128 (-128) is `ESCAPE`; so decoded bytes, viewed as int8, are the
levels. There are 48 frozen classes, six to an octave of sigma / step. A class above them codes `level >> bits` with a
table of the top octave and leaves the low bits raw, so that any rate is possible.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy.sigma_classes import frozen
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.runtime import lazy

BITS = 12
SLOTS = 1 << BITS
SYMBOLS = 256
ESCAPE = 128
ABSENT = 1 << 24
"""Cost, in 1/1024 bit, of a symbol that a table does not hold."""

SIGMA_TABLES = "sigma-1"
"""Id of the frozen tables. Other tables get another id, so codecs that name this one keep their bytes."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of a block of symbols; each row of the block names one by its number."""

    freqs: NDArray[np.uint16]
    """tables x 256; each sums to 4096, none of them 4096."""

    def __post_init__(self) -> None:
        freqs = self.freqs
        if freqs.dtype != np.uint16 or freqs.ndim != 2 or freqs.shape[1] != SYMBOLS or not 1 <= len(freqs) <= 1 << 16:
            raise UnsupportedInput(f"tables of {freqs.dtype} {freqs.shape}; expected uint16, 1 to 65536 x {SYMBOLS}")
        sums = freqs.sum(axis=1, dtype=np.int64)
        invalid = np.flatnonzero((sums != SLOTS) | (freqs.max(axis=1) >= SLOTS))
        if invalid.size:
            raise UnsupportedInput(
                f"table {invalid[0]} sums to {sums[invalid[0]]} with a largest frequency of {freqs[invalid[0]].max()}; "
                f"expected a sum of {SLOTS} and at most {SLOTS - 1}",
                "make tables with normalise(counts)",
            )

    def __len__(self) -> int:
        return len(self.freqs)

    @classmethod
    def of(cls, *freqs: NDArray[np.uint16]) -> "Tables":
        """Stack single tables."""
        return cls(np.ascontiguousarray(np.stack(freqs)))

    @lazy
    def starts(self) -> NDArray[np.uint16]:
        """tables x 256: the first slot of each symbol."""
        ends = np.cumsum(self.freqs, axis=1, dtype=np.uint16)
        return np.asarray(ends - self.freqs, np.uint16)

    @lazy
    def slots(self) -> NDArray[np.uint32]:
        """tables x 4096 for decoders: symbol | frequency << 8 | (slot - first slot) << 20."""
        symbols = np.repeat(np.tile(np.arange(SYMBOLS, dtype=np.uint32), len(self)), self.freqs.ravel())
        symbols = symbols.reshape(len(self), SLOTS)
        row = np.arange(len(self))[:, None]
        bias = np.arange(SLOTS, dtype=np.uint32) - self.starts[row, symbols]
        return np.ascontiguousarray(symbols | self.freqs[row, symbols].astype(np.uint32) << 8 | bias << 20, np.uint32)

    @lazy
    def likeliest(self) -> NDArray[np.uint8]:
        """The most probable symbol of each table, the first among equals. Blocks are padded with it."""
        return np.asarray(self.freqs.argmax(axis=1), np.uint8)

    @lazy
    def costs(self) -> NDArray[np.float32]:
        """tables x 256: bits of each symbol, infinite where the table does not hold it."""
        with np.errstate(divide="ignore"):
            return (BITS - np.log2(self.freqs.astype(np.float64))).astype(np.float32)

    @lazy
    def millibits(self) -> NDArray[np.uint32]:
        """tables x 256: costs in 1/1024 bit, rounded up; `ABSENT` where the table does not hold the symbol."""
        present = self.freqs > 0
        bits = np.where(present, self.costs, 0)
        return np.where(present, np.ceil(bits * 1024), ABSENT).astype(np.uint32)

    @lazy
    def coding(self) -> NDArray[np.uint64]:
        """tables x 256 for encoders: reciprocal | frequency << 32 | first slot << 44 | k << 56.

        2^k is the smallest power that is not below the frequency, and the reciprocal is ceil(2^(31 + k) / frequency).
        Then x // frequency is x * reciprocal >> (31 + k) for all x < 2^31.
        """
        freqs, starts = np.maximum(self.freqs, 1).astype(np.uint64), self.starts.astype(np.uint64)
        k = np.searchsorted(1 << np.arange(BITS + 1), freqs).astype(np.uint64)
        reciprocals = ((np.uint64(1) << (k + np.uint64(31))) + freqs - np.uint64(1)) // freqs
        packed = reciprocals | freqs << np.uint64(32) | starts << np.uint64(44) | k << np.uint64(56)
        return np.ascontiguousarray(packed, np.uint64)


@cache
def sigma_tables() -> Tables:
    """Return the 48 frozen tables."""
    return Tables(np.ascontiguousarray(frozen()["freqs"], np.uint16))

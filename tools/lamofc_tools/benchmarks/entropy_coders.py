"""The rANS coder beside CompressAI's on the same symbols and tables; one core, no threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import rans, sigma_classes, tables
from lamofc_tools.machine import median_seconds

SYMBOLS = 1 << 20
ESCAPE = 128
TABLE_RANGES = {"10 dB, about 1 bit": (6, 18), "20 dB, about 2.5 bits": (18, 28)}
"""Ranges of frozen tables that the rows of a feature use at such a rate."""


@dataclass(frozen=True)
class RandomSymbols:
    """Symbols sampled from the tables that they will be coded with."""

    symbols: NDArray[np.uint8]
    rows: NDArray[np.uint16]


def sample_symbols(first: int, last: int) -> RandomSymbols:
    """Sample rows of 32 symbols, each row from one of the tables `first` to `last`, without escapes."""
    generator = np.random.default_rng(first)
    rows = np.sort(generator.integers(first, last, SYMBOLS // 32)).astype(np.uint16)
    slots = tables.sigma_tables().slots[np.repeat(rows, 32), generator.integers(0, 4096, SYMBOLS)]
    symbols = (slots & 0xFF).astype(np.uint8)
    symbols[symbols == ESCAPE] = 0
    return RandomSymbols(symbols, rows)


def symbols_per_second(work: Callable[[], object], rounds: int) -> float:
    """Return the median speed over rounds, after one that warms up."""
    return SYMBOLS / median_seconds(work, rounds)


def measure_rans(sampled: RandomSymbols, rounds: int) -> dict[str, float]:
    """Measure this package's coder."""
    frozen = tables.sigma_tables()
    coded = rans.encode_symbols(sampled.symbols, sampled.rows, frozen)
    out = np.empty(SYMBOLS, np.uint8)
    if not np.array_equal(rans.decode_symbols(coded, SYMBOLS, sampled.rows, frozen, out=out), sampled.symbols):
        raise AssertionError("the coder gave other symbols back")
    return {
        "encode": symbols_per_second(lambda: rans.encode_symbols(sampled.symbols, sampled.rows, frozen), rounds),
        "decode": symbols_per_second(
            lambda: rans.decode_symbols(coded, SYMBOLS, sampled.rows, frozen, out=out), rounds
        ),
        "bits": 8 * len(coded) / SYMBOLS,
    }


def measure_compressai(sampled: RandomSymbols, rounds: int) -> dict[str, float]:
    """Measure CompressAI's coder; its lists and tables are prepared outside the timing, which favours it."""
    from compressai import ans

    cdfs, sizes, offsets = compressai_tables()
    values = sampled.symbols.view(np.int8).astype(int).tolist()
    indexes = np.repeat(sampled.rows, 32).astype(int).tolist()
    coded = ans.RansEncoder().encode_with_indexes(values, indexes, cdfs, sizes, offsets)
    if ans.RansDecoder().decode_with_indexes(coded, indexes, cdfs, sizes, offsets) != values:
        raise AssertionError("CompressAI's coder gave other symbols back")
    fewer = max(2, rounds // 3)
    return {
        "encode": symbols_per_second(
            lambda: ans.RansEncoder().encode_with_indexes(values, indexes, cdfs, sizes, offsets), fewer
        ),
        "decode": symbols_per_second(
            lambda: ans.RansDecoder().decode_with_indexes(coded, indexes, cdfs, sizes, offsets), fewer
        ),
        "bits": 8 * len(coded) / SYMBOLS,
    }


def compressai_tables() -> tuple[list[list[int]], list[int], list[int]]:
    """Convert the frozen tables to CompressAI's form: 16-bit cumulative frequencies, lengths, smallest symbols."""
    frozen, cdfs, sizes, offsets = tables.sigma_tables(), [], [], []
    for number, radius in enumerate(sigma_classes.radii().astype(int).tolist()):
        values = np.arange(-radius, radius + 1).astype(np.int8).view(np.uint8)
        frequencies = np.append(frozen.freqs[number][values], frozen.freqs[number][ESCAPE]).astype(int) * 16
        cdfs.append([0, *np.cumsum(frequencies).tolist()])
        sizes.append(2 * radius + 3)
        offsets.append(-radius)
    return cdfs, sizes, offsets


def measure_entropy_coders(rounds: int) -> dict[str, Any]:
    """Measure both coders on every range of tables; without CompressAI (extra `learned`) only this package's."""
    figures: dict[str, Any] = {}
    for name, (first, last) in TABLE_RANGES.items():
        sampled = sample_symbols(first, last)
        figures[name] = measure_rans(sampled, rounds)
        try:
            peer = measure_compressai(sampled, rounds)
        except ImportError:
            continue
        figures[f"{name}, CompressAI"] = peer
        figures[name]["decode_times"] = figures[name]["decode"] / peer["decode"]
        figures[name]["encode_times"] = figures[name]["encode"] / peer["encode"]
    return figures

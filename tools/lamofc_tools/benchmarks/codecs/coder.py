"""The entropy coder alone, beside CompressAI's on the same symbols with the same tables; one core, no threads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import rans, sigma_classes, tables

SYMBOLS = 1 << 20
ESCAPE = 128
SOURCES = {"10 dB, about 1 bit": (6, 18), "20 dB, about 2.5 bits": (18, 28)}
"""Ranges of frozen tables, as the rows of a feature coded at such a rate use them."""


@dataclass(frozen=True)
class Drawn:
    """Symbols drawn from the tables that they will be coded with."""

    symbols: NDArray[np.uint8]
    rows: NDArray[np.uint16]


def draw(first: int, last: int) -> Drawn:
    """Rows of 32 symbols, each row from one of the tables `first` to `last`, without escapes."""
    noise = np.random.default_rng(first)
    rows = np.sort(noise.integers(first, last, SYMBOLS // 32)).astype(np.uint16)
    slots = tables.sigma_tables().slots[np.repeat(rows, 32), noise.integers(0, 4096, SYMBOLS)]
    symbols = (slots & 0xFF).astype(np.uint8)
    symbols[symbols == ESCAPE] = 0
    return Drawn(symbols, rows)


def rate(work: Callable[[], object], rounds: int) -> float:
    """Symbols a second: median over rounds after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return SYMBOLS / statistics.median(seconds)


def ours(drawn: Drawn, rounds: int) -> dict[str, float]:
    """This package's coder."""
    frozen = tables.sigma_tables()
    coded = rans.encode_symbols(drawn.symbols, drawn.rows, frozen)
    out = np.empty(SYMBOLS, np.uint8)
    if not np.array_equal(rans.decode_symbols(coded, SYMBOLS, drawn.rows, frozen, out=out), drawn.symbols):
        raise AssertionError("the coder gave other symbols back")
    return {
        "encode": rate(lambda: rans.encode_symbols(drawn.symbols, drawn.rows, frozen), rounds),
        "decode": rate(lambda: rans.decode_symbols(coded, SYMBOLS, drawn.rows, frozen, out=out), rounds),
        "bits": 8 * len(coded) / SYMBOLS,
    }


def theirs(drawn: Drawn, rounds: int) -> dict[str, float]:
    """CompressAI's coder; lists and tables are made ready outside the timing, which favours it."""
    from compressai import ans

    cdfs, sizes, offsets = compressai_tables()
    values = drawn.symbols.view(np.int8).astype(int).tolist()
    indexes = np.repeat(drawn.rows, 32).astype(int).tolist()
    coded = ans.RansEncoder().encode_with_indexes(values, indexes, cdfs, sizes, offsets)
    if ans.RansDecoder().decode_with_indexes(coded, indexes, cdfs, sizes, offsets) != values:
        raise AssertionError("CompressAI's coder gave other symbols back")
    return {
        "encode": rate(
            lambda: ans.RansEncoder().encode_with_indexes(values, indexes, cdfs, sizes, offsets), max(2, rounds // 3)
        ),
        "decode": rate(
            lambda: ans.RansDecoder().decode_with_indexes(coded, indexes, cdfs, sizes, offsets), max(2, rounds // 3)
        ),
        "bits": 8 * len(coded) / SYMBOLS,
    }


def compressai_tables() -> tuple[list[list[int]], list[int], list[int]]:
    """The frozen tables in CompressAI's form: 16-bit cumulative frequencies, their lengths, the smallest symbols."""
    frozen, cdfs, sizes, offsets = tables.sigma_tables(), [], [], []
    for number, radius in enumerate(sigma_classes.radii().astype(int).tolist()):
        values = np.arange(-radius, radius + 1).astype(np.int8).view(np.uint8)
        frequencies = np.append(frozen.freqs[number][values], frozen.freqs[number][ESCAPE]).astype(int) * 16
        cdfs.append([0, *np.cumsum(frequencies).tolist()])
        sizes.append(2 * radius + 3)
        offsets.append(-radius)
    return cdfs, sizes, offsets


def measure(rounds: int) -> dict[str, Any]:
    """Both coders on every source; without CompressAI (extra `learned`) only ours."""
    found: dict[str, Any] = {}
    for name, (first, last) in SOURCES.items():
        drawn = draw(first, last)
        found[name] = ours(drawn, rounds)
        try:
            peer = theirs(drawn, rounds)
        except ImportError:
            continue
        found[f"{name}, CompressAI"] = peer
        found[name]["decode_times"] = found[name]["decode"] / peer["decode"]
        found[name]["encode_times"] = found[name]["encode"] / peer["encode"]
    return found

"""Refinement levels after the first layer: each divides the step by three, so the quantisers are embedded.

A level becomes three times what it was, plus a digit -1, 0 or 1. The digit, turned so that 1 points away from zero, has
a table by the run's class and by the magnitude so far, three and more being one context. Both are known once the levels
before are decoded, so no symbol depends on a neighbour. Symbols are coded sorted by magnitude, then by class, then by
run, so that symbols of one table stand together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import CLASSES, LARGEST_LEVEL, SYMBOLS, Tables, normalise, rans, sigma_tables
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.klt.layers.digit_kernels import (
    INWARD,
    MAGNITUDES,
    OUTWARD,
    TERNARY,
    gather_digits,
    lay_out_pass,
    read_pass,
    tally_digits,
    triple,
)
from lamofc_codecs.klt.layers.passes import MIN_TWO_PASS_CLASS, Pass
from lamofc_codecs.klt.layers.runs import Levels, Runs
from lamofc_codecs.level_coding import MAX_LEVELS_PER_BYTE, coded_bits
from lamofc_codecs.runtime import as_bytes

STEP_RATIO = 3
"""Factor between the steps of neighbouring refinement levels."""
MAX_REFINABLE = (LARGEST_LEVEL + 1) // STEP_RATIO
"""Largest magnitude that may be refined: what becomes of it is not above the largest level."""


@cache
def digit_frequencies() -> NDArray[np.int64]:
    """Magnitudes x classes x 3: how often a level moves inwards, stays, moves outwards, by the frozen tables.

    The digits -1, 0 and 1 on top of 3 m are as likely as the levels 3 m - 1, 3 m and 3 m + 1.
    """
    frozen = sigma_tables().freqs.astype(np.int64)
    frequencies = np.zeros((MAGNITUDES, CLASSES, STEP_RATIO), np.int64)
    for magnitude in range(MAGNITUDES):
        alike = np.array([magnitude] if magnitude < MAGNITUDES - 1 else range(magnitude, 42))
        for digit in (-1, 0, 1):
            frequencies[magnitude, :, digit + 1] = frozen[:, (3 * alike + digit) % SYMBOLS].sum(1)
    return frequencies


@cache
def refinement_tables() -> Tables:
    """Tables of each alphabet, by the magnitude so far and by class."""
    inwards, stays, outwards = (digit_frequencies()[..., digit] for digit in range(3))
    alphabets = [(inwards, stays, outwards), (None, inwards + stays, outwards), (inwards, stays, 0 * outwards)]
    counts = np.zeros((len(alphabets), MAGNITUDES, CLASSES, SYMBOLS), np.int64)
    for alphabet, frequencies in enumerate(alphabets):
        for digit, count in zip((-1, 0, 1), frequencies, strict=True):
            if count is not None:
                counts[alphabet, ..., digit % SYMBOLS] = 1 + 64 * count
    return Tables(np.stack([normalise(table) for table in counts.reshape(-1, SYMBOLS)]))


def previous_level(levels: Levels) -> Levels:
    """Levels of the refinement level before: a third, rounded to nearest."""
    coarse: Levels = (np.sign(levels) * ((np.abs(levels) + 1) // STEP_RATIO)).astype(np.int32)
    return coarse


def pad_columns(levels: Levels, columns: int) -> Levels:
    """Append columns of zeros up to this many."""
    if len(levels) == columns:
        return levels
    padded = np.zeros((columns, levels.shape[1]), np.int32)
    padded[: len(levels)] = levels
    return padded


def count_digits(levels: Levels, coarse: Levels, runs: Runs) -> NDArray[np.int64]:
    """Count the levels of each magnitude and class that move inwards, stay, move outwards."""
    counts = np.zeros((MAGNITUDES, CLASSES, STEP_RATIO), np.int64)
    tally_digits(levels, pad_columns(coarse, len(levels)), runs.classes, runs.index, counts)
    return counts


def pass_bits(digits: NDArray[np.int64]) -> NDArray[np.float64]:
    """Predict the bits of each class in an outward pass and in the rest, from counts of digits.

    Narrow classes have no outward pass.
    """
    costs = refinement_tables().costs[:, [255, 0, 1]].reshape(3, MAGNITUDES, CLASSES, STEP_RATIO).astype(np.float64)
    outward = digits[..., :2].sum(2) * costs[OUTWARD, ..., 1] + digits[..., 2] * costs[OUTWARD, ..., 2]
    inward = (digits[..., :2] * costs[INWARD, ..., :2]).sum(2)
    bits: NDArray[np.float64] = np.stack([outward.sum(0), inward.sum(0)], 1)
    ternary = (digits * costs[TERNARY]).sum((0, 2))
    bits[:MIN_TWO_PASS_CLASS, 0], bits[:MIN_TWO_PASS_CLASS, 1] = 0, ternary[:MIN_TWO_PASS_CLASS]
    return bits


def write_refinement(levels: Levels, coarse: Levels, runs: Runs, passes: Sequence[Pass]) -> list[bytes]:
    """Code the digits of `levels` over `coarse`, which may have fewer columns: the others were 0. One layer a pass."""
    coded = _symbols(levels, coarse, runs, passes)
    return [rans.encode_symbols(symbols, rows, refinement_tables()) for symbols, rows in coded]


def refinement_bits(levels: Levels, coarse: Levels, runs: Runs, passes: Sequence[Pass]) -> float:
    """Bits that `write_refinement` takes, to a part in a thousand, without coding."""
    return sum(
        coded_bits(symbols, rows, refinement_tables()) for symbols, rows in _symbols(levels, coarse, runs, passes)
    )


def _symbols(
    levels: Levels, coarse: Levels, runs: Runs, passes: Sequence[Pass]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
    """Yield the symbols of each pass and the tables of their rows."""
    coarse = pad_columns(coarse, len(levels))
    zeros = triple(coarse, runs.tokens.bounds)[1]
    for coding_pass in passes:
        which = runs.classes, runs.index, coding_pass.span, alphabets_of(coding_pass)
        starts, table_of_row, count = lay_out_pass(levels, coarse, zeros, *which)
        symbols = np.empty(count, np.uint8)
        gather_digits(levels, coarse, *which, starts, symbols.view(np.int8))
        yield symbols, table_of_row


def read_refinement(sections: Sequence[memoryview], coarse: Levels, runs: Runs, passes: Sequence[Pass]) -> Levels:
    """Invert `write_refinement` as far as there are sections; levels without a symbol stand at thrice the coarse."""
    coarse = pad_columns(coarse, runs.columns)
    levels, zeros, largest = triple(coarse, runs.tokens.bounds)
    if largest > MAX_REFINABLE:
        raise CorruptRecord(f"a level of {largest} to refine; the largest is {MAX_REFINABLE}")
    tables = refinement_tables()
    for data, coding_pass in zip(sections, passes, strict=False):
        which = zeros, runs.classes, runs.index, coding_pass.span, alphabets_of(coding_pass)
        if not read_pass(as_bytes(data), coarse, *which, tables.slots.reshape(-1), levels):
            _, table_of_row, count = lay_out_pass(levels, coarse, *which)
            if count > len(data) * MAX_LEVELS_PER_BYTE:
                raise CorruptRecord(f"{len(data)} bytes for {count} levels to refine")
            rans.decode_symbols(data, count, table_of_row, tables)  # names the damage
    return levels


@lru_cache(256)
def alphabets_of(coding_pass: Pass) -> NDArray[np.uint8]:
    """Alphabet of the symbols that a pass has, for each class."""
    return np.where(coding_pass.ternary, TERNARY, OUTWARD if coding_pass.outward else INWARD).astype(np.uint8)

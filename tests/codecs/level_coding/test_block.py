"""Parts of a block of levels: low bits, escapes, the frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_codecs import CorruptRecord
from lamofc_codecs.entropy import LARGEST_LEVEL
from lamofc_codecs.entropy.exp_golomb import write_numbers
from lamofc_codecs.level_coding import (
    CodedBlock,
    block_bits,
    pack_low_bits,
    read_escapes,
    tables_of_rows,
    unpack_low_bits,
    write_block,
    write_escapes,
)
from lamofc_codecs.runtime import as_bytes

RUNS = np.array([2, 0, 1]), np.array([1, 0, 0]), np.array([4, 5, 2])
"""Columns, first tokens and lengths."""


@settings(deadline=None)
@given(st.lists(st.integers(0, 15), min_size=3, max_size=3), st.integers(0, 1000), st.booleans())
def test_low_bits_and_high_parts_are_the_levels(shifts: list[int], seed: int, by_token: bool) -> None:
    shift = np.array(shifts, np.int32)
    levels = np.random.default_rng(seed).integers(-LARGEST_LEVEL, LARGEST_LEVEL + 1, (3, 5)).astype(np.int32)
    if by_token:
        levels = np.asfortranarray(levels)
    out = np.zeros((int(shift @ RUNS[2]) + 7) // 8, np.uint8)
    pack_low_bits(levels, RUNS, shift, out)
    found = np.asfortranarray(np.zeros_like(levels)) if by_token else np.zeros_like(levels)
    for run, (column, first, length) in enumerate(zip(*RUNS, strict=True)):
        there = slice(first, first + length)
        found[column, there] = (levels[column, there] + (1 << shifts[run] >> 1)) >> shifts[run]
    unpack_low_bits(as_bytes(out), RUNS, shift, found)
    for column, first, length in zip(*RUNS, strict=True):
        assert np.array_equal(found[column, first : first + length], levels[column, first : first + length])


def test_escapes_are_distances_beyond_the_radius() -> None:
    radii, shifts = np.array([127, 3, 40], np.int32), np.array([0, 0, 7], np.int32)
    high = np.array([-128, 900, 41], np.int64)
    data = memoryview(write_escapes(high, radii))
    assert read_escapes(data, radii, shifts).tolist() == high.tolist()
    assert write_escapes(high[:0], radii[:0]) == b""
    for wrong in (bytes(data)[:-1], bytes(data) + b"\0", b""):
        with pytest.raises(CorruptRecord):
            read_escapes(memoryview(wrong), radii, shifts)
    with pytest.raises(CorruptRecord, match="none is escaped"):
        read_escapes(data, radii[:0], shifts[:0])


@pytest.mark.parametrize(("distance", "shift"), [(LARGEST_LEVEL, 0), (LARGEST_LEVEL >> 15, 15), (1 << 22, 15)])
def test_no_escape_stands_for_a_level_above_the_largest(distance: int, shift: int) -> None:
    data = memoryview(write_numbers(np.array([2 * distance], np.int64)))
    with pytest.raises(CorruptRecord, match=r"escaped level of|escapes take"):
        read_escapes(data, np.array([20], np.int32), np.array([shift], np.int32))


def test_a_block_is_split_into_its_parts_and_costs_what_it_takes() -> None:
    symbols = np.random.default_rng(1).integers(-2, 3, 3000).astype(np.int8).view(np.uint8)
    rows = np.full(-(-3000 // 32), 20, np.uint16)
    low, escapes = b"\x55" * 40, write_escapes(np.array([300], np.int64), np.array([9], np.int32))
    data = write_block(symbols, rows, low, escapes)
    coded = CodedBlock.parse(memoryview(data), 3000, 8 * 40 - 3)
    assert (bytes(coded.low), bytes(coded.escapes), bytes(coded.symbols)) == (
        low,
        escapes,
        data[4 : -40 - len(escapes)],
    )
    assert np.array_equal(coded.decode(3000, rows), symbols)
    assert block_bits(symbols, rows, low, escapes) / 8 == pytest.approx(len(data), rel=0.01)
    for wrong in (data[:3], b"\xff\xff\xff\xff" + data[4:], data[:10]):
        with pytest.raises(CorruptRecord):
            CodedBlock.parse(memoryview(wrong), 3000, 317)
    with pytest.raises(CorruptRecord, match="levels"):
        CodedBlock.parse(memoryview(b"\1\0\0\0\0"), 5 << 15 | 1, 0)


@given(st.lists(st.tuples(st.integers(0, 47), st.integers(1, 90)), max_size=12))
def test_a_row_has_the_table_of_its_last_symbol(runs: list[tuple[int, int]]) -> None:
    tables, lengths = (np.array([run[k] for run in runs], np.int64) for k in (0, 1))
    each = np.repeat(tables, lengths).tolist()
    found = tables_of_rows(tables.astype(np.uint16), lengths).tolist()
    assert found == [each[min(first + 31, len(each) - 1)] for first in range(0, len(each), 32)]

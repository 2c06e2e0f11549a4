"""Exact entries and the numbers that tell where they stand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_codecs import CorruptRecord
from lamofc_codecs.entropy.exact_values import read_exact_values, write_exact_values
from lamofc_codecs.entropy.exp_golomb import read_numbers, write_numbers


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 20), st.integers(0, (1 << 40) - 1)), min_size=1, max_size=50))
def test_numbers_come_back(numbers: list[int]) -> None:
    data = write_numbers(np.array(numbers))
    found, used = read_numbers(memoryview(data + b"more"), len(numbers))
    assert found.tolist() == numbers
    assert used == len(data)


def test_numbers_of_one_size_take_about_their_bits() -> None:
    numbers = np.random.default_rng(1).integers(0, 1000, 4000)
    assert len(write_numbers(numbers)) < 4000 * 11.5 / 8


def test_numbers_as_the_format_says() -> None:
    # k = 0: "1", "0 1 0", "0 1 1", "0 0 1 1 0"; the lowest bit of each byte comes first
    assert write_numbers(np.array([0, 1, 2, 4])) == bytes([0, 0b01100101, 0b0110])
    # k = 3: "1" and 101 of 5, "0 1 1" and 001 of 20, each lowest bit first
    found, used = read_numbers(memoryview(bytes([3, 0b01101011, 0b10])), 2)
    assert (found.tolist(), used) == ([5, 20], 3)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=30), st.integers(1, 40))
def test_any_bytes_are_numbers_or_corrupt(data: bytes, count: int) -> None:
    try:
        found, used = read_numbers(memoryview(data), count)
    except CorruptRecord:
        return
    assert len(found) == count and used <= len(data)
    assert found.min() >= 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_entries_come_back_bit_by_bit(dtype: torch.dtype) -> None:
    source = torch.randn(50, 20, generator=torch.Generator().manual_seed(1)).to(dtype)
    source[0, 0], source[49, 19], source[7, 7] = float("nan"), float("inf"), -0.0
    positions = np.array([0, 1, 147, 500, 999])
    out = torch.zeros_like(source)
    data = write_exact_values(positions, source)
    read_exact_values(memoryview(data), out)
    expected = torch.zeros_like(source)
    expected.view(-1)[positions] = source.view(-1)[positions]
    assert out.view(torch.uint8).numpy().tobytes() == expected.view(torch.uint8).numpy().tobytes()
    for end in range(len(data)):
        with pytest.raises(CorruptRecord):
            read_exact_values(memoryview(data[:end]), out)
    with pytest.raises(CorruptRecord):
        read_exact_values(memoryview(data), torch.zeros(998, dtype=dtype))

"""Coded matrices: every matrix comes back, in about as many bytes as its spread tells, and damage is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lamofc_codecs import CorruptRecord
from lamofc_codecs.level_coding import read_matrix, write_matrix

DRAW = np.random.default_rng(3)


def normal(rows: int, columns: int, spread: float) -> NDArray[np.int32]:
    drawn: NDArray[np.int32] = np.rint(DRAW.normal(size=(rows, columns)) * spread).astype(np.int32)
    return drawn


@pytest.mark.parametrize(
    "matrix",
    [
        normal(5, 300, 3.0),
        normal(3, 127, 0.1),
        normal(2, 129, 20000.0),
        np.concatenate([normal(4, 128, 0.3), normal(4, 40, 300.0)], axis=1),
        np.array([[0, 0, 1 << 20, -5]], np.int32),
        np.zeros((7, 256), np.int32),
        np.zeros((0, 9), np.int32),
        np.zeros((3, 0), np.int32),
    ],
    ids=["even", "short", "wide", "uneven", "escaped", "zeros", "no rows", "no columns"],
)
def test_a_matrix_comes_back(matrix: NDArray[np.int32]) -> None:
    data = write_matrix(matrix)
    assert np.array_equal(read_matrix(memoryview(data), *matrix.shape), matrix)


def test_each_run_takes_the_bits_of_its_spread() -> None:
    spreads = np.exp2(np.arange(64) % 7)
    matrix = np.concatenate([normal(1, 1024, spread) for spread in spreads])
    entropy = float(np.log2(spreads * np.sqrt(2 * np.pi * np.e)).sum()) * 1024 / 8
    assert len(write_matrix(matrix)) == pytest.approx(entropy, rel=0.02)


def test_damage_is_refused() -> None:
    data = write_matrix(normal(6, 200, 4.0))
    for damaged in (b"", data[:3], data[:40], data + b"\0", b"\xff\xff\xff\x7f" + data[4:]):
        with pytest.raises(CorruptRecord):
            read_matrix(memoryview(damaged), 6, 200)
    with pytest.raises(CorruptRecord, match="a matrix of 1048576 x 1048576"):
        read_matrix(memoryview(data), 1 << 20, 1 << 20)
    for rows, columns in (((1 << 16) + 1, 1), (1, (1 << 28) + 1)):
        with pytest.raises(CorruptRecord, match=f"{rows} x {columns} is coded; expected at most 65536 rows"):
            read_matrix(memoryview(bytes(1 << 14)), rows, columns)
    constant = write_matrix(np.zeros((1, 100), np.int32))
    with pytest.raises(CorruptRecord, match="class 138 of a run"):
        read_matrix(memoryview(constant[:5] + bytes((138,)) + constant[6:]), 1, 100)

"""Matrices of the block DCT, and the loops that apply them in place."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.runtime import Floats, compiled

BLOCK_SIDE = 8
"""Most tokens of a block, down and along."""
_COLUMNS_AT_ONCE = 64
"""Columns that are transformed together: a block of them stays in the processor's nearest cache."""

Bounds = NDArray[np.int64]


@cache
def dct_matrix(count: int) -> Floats:
    """Cosine transform of so many tokens: frequencies x tokens, orthonormal, rounded to float32."""
    frequency, token = np.arange(count)[:, None], np.arange(count)[None, :]
    matrix = np.cos(np.pi * (2 * token + 1) * frequency / (2 * count)) * np.sqrt(2 / count)
    matrix[0] = np.sqrt(1 / count)
    rounded: Floats = matrix.astype(np.float32)
    return rounded


@cache
def forward_matrices() -> Floats:
    """The transforms of 0 to 8 tokens, each in a matrix of 8 x 8."""
    matrices = np.zeros((BLOCK_SIDE + 1, BLOCK_SIDE, BLOCK_SIDE), np.float32)
    for count in range(1, BLOCK_SIDE + 1):
        matrices[count, :count, :count] = dct_matrix(count)
    return matrices


@cache
def inverse_matrices() -> Floats:
    """The inverse transforms of 0 to 8 tokens."""
    return np.ascontiguousarray(forward_matrices().transpose(0, 2, 1))


def block_bounds(count: int) -> Bounds:
    """First row of each block of `count` rows, and the end; blocks have at most 8 rows and are as even as can be."""
    blocks = -(-count // BLOCK_SIDE)
    return np.arange(blocks + 1, dtype=np.int64) * count // max(blocks, 1)


def inverse_tensor(coefficients: Tensor) -> Tensor:
    """Transform back along the first axis; each sum runs from the lowest frequency up."""
    if len(coefficients) < 2:
        return coefficients
    weights = torch.from_numpy(dct_matrix(len(coefficients))).to(coefficients.device)
    tokens = weights[0, :, None, None] * coefficients[0]
    for frequency in range(1, len(coefficients)):
        tokens = tokens + weights[frequency, :, None, None] * coefficients[frequency]
    return tokens


@compiled
def forward_rows(columns: Floats, width: int, down: Bounds, along: Bounds, matrices: Floats) -> None:
    """Transform down the columns of blocks, then along their rows."""
    scratch = np.empty((8, _COLUMNS_AT_ONCE), np.float32)
    for left in range(0, columns.shape[1], _COLUMNS_AT_ONCE):
        for block in range(len(down) - 1):
            count = down[block + 1] - down[block]
            for column in range(width):
                _transform(columns, (down[block] * width + column, width, left), matrices[count], count, scratch)
        for row in range(down[-1]):
            for block in range(len(along) - 1):
                count = along[block + 1] - along[block]
                _transform(columns, (row * width + along[block], 1, left), matrices[count], count, scratch)


@compiled
def inverse_rows(coefficients: Floats, width: int, down: Bounds, along: Bounds, matrices: Floats) -> None:
    """Transform back along the rows of blocks, then down their columns; sums run from the lowest frequency up."""
    scratch = np.empty((8, _COLUMNS_AT_ONCE), np.float32)
    for left in range(0, coefficients.shape[1], _COLUMNS_AT_ONCE):
        for row in range(down[-1]):
            for block in range(len(along) - 1):
                count = along[block + 1] - along[block]
                _transform(coefficients, (row * width + along[block], 1, left), matrices[count], count, scratch)
        for block in range(len(down) - 1):
            count = down[block + 1] - down[block]
            for column in range(width):
                _transform(coefficients, (down[block] * width + column, width, left), matrices[count], count, scratch)


@compiled
def _transform(rows: Floats, where: tuple[int, int, int], matrix: Floats, count: int, scratch: Floats) -> None:
    """Replace some rows by weighted sums of themselves; `where` is the first, their distance, and the first column."""
    if count < 2:
        return
    first, distance, left = where
    columns = min(rows.shape[1] - left, scratch.shape[1])
    for i in range(count):
        source = rows[first + i * distance, left : left + columns]
        for c in range(columns):
            scratch[i, c] = source[c]
    for out in range(count):
        target = rows[first + out * distance, left : left + columns]
        for c in range(columns):
            target[c] = matrix[out, 0] * scratch[0, c]
        for i in range(1, count):
            weight = matrix[out, i]
            for c in range(columns):
                target[c] += weight * scratch[i, c]

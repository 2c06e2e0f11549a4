"""Values as the pixels of a frame of ten bits, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.plane import Range
from lamofc_codecs.published import BITS
from lamofc_codecs.runtime import LARGEST_HALF, Floats

Pixels = NDArray[np.uint16]
LEVELS = (1 << BITS) - 1
_MIN_SIDE, _SIDE_MULTIPLE = 16, 8
"""Fewest rows and columns of a frame, and the number that both are multiples of."""
_GREY = 1 << (BITS - 1)


def quantise_values(values: Floats, ends: Range, *, floor: bool) -> Pixels:
    """Clip values to a range, and return their levels."""
    low, high = ends
    scaled = (values.clip(low, high).astype(np.float64) - low) / ((high - low) / LEVELS)
    rounded = np.floor(scaled) if floor else np.rint(scaled)
    numbers: Pixels = rounded.clip(0, LEVELS).astype(np.uint16)
    return numbers


def restore_values(pixels: Pixels, ends: Range, out: Tensor) -> None:
    """Fill `out` with the values of levels."""
    low, high = ends
    levels = (low + np.arange(LEVELS + 1) * ((high - low) / LEVELS)).astype(np.float32)
    if out.dtype == torch.float16:
        levels = levels.clip(-LARGEST_HALF, LARGEST_HALF)
    out.copy_(torch.from_numpy(levels[pixels]))


def frame_sides(shape: Sequence[int]) -> tuple[int, int]:
    """Return the rows and columns of the frame."""
    rows, columns = (max(_MIN_SIDE, -(-side // _SIDE_MULTIPLE) * _SIDE_MULTIPLE) for side in shape)
    return rows, columns


def frame_bytes(pixels: Pixels, *, colour: bool = True) -> bytes:
    """Return the bytes of a plane that is padded with its edge, and of two planes of grey, unless it has no colour."""
    rows, columns = frame_sides(pixels.shape)
    filled = np.pad(pixels, ((0, rows - pixels.shape[0]), (0, columns - pixels.shape[1])), mode="edge")
    grey = np.full(rows * columns // 2 if colour else 0, _GREY, "<u2")
    return filled.astype("<u2").tobytes() + grey.tobytes()

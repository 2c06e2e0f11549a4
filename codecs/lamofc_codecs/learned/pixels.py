"""Scales of a plane: values to pixels from 0 to 1 and back, by the levels of a codebook or by a clipped range.

In a plane of several features each has levels or a range of its own. Decoded pixels are kept as what they stand for:
the index of a level, or the pixel itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codebook import Levels, Numbers
from lamofc_codecs.plane import Range
from lamofc_codecs.runtime import Floats, as_dtype


class Scale(Protocol):
    """A scale for each feature of a plane."""

    dtype: torch.dtype
    """Dtype of kept pixels."""

    def keep(self, part: int, values: Floats) -> Tensor:
        """Turn the values of one feature into kept pixels."""

    def to_pixels(self, kept: Tensor) -> Tensor:
        """Return float32 pixels, from 0 to 1."""

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Return what decoded pixels stand for."""

    def values(self, part: int, kept: Tensor) -> Tensor:
        """Return the values of one feature, float32, on the device of its kept pixels."""

    def restore(self, part: int, kept: Tensor, out: Tensor) -> None:
        """Fill `out` with the values of one feature, rounded to its dtype."""


class LevelScale:
    """Pixels as indices of levels, divided by their number."""

    def __init__(self, levels: Sequence[Levels]) -> None:
        self._levels = levels
        self._count = len(levels[0].levels)
        self.dtype = torch.uint8 if levels[0].bits <= 8 else torch.int16

    def keep(self, part: int, values: Floats) -> Tensor:
        """Return the index of each value's level."""
        numbers = self._levels[part].numbers(values)
        kept_dtype = numbers.dtype if numbers.itemsize == 1 else np.dtype(np.int16)
        return torch.from_numpy(numbers.astype(kept_dtype, copy=False)).view(values.shape)

    def to_pixels(self, kept: Tensor) -> Tensor:
        """Divide indices by the number of levels."""
        return kept.to(torch.float32) / self._count

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Return the index of the nearest level for each pixel."""
        rounded = torch.round(torch.nan_to_num(pixels, 0.0).clamp(0, 1) * self._count).clamp(0, self._count - 1)
        return rounded.to(self.dtype)

    def values(self, part: int, kept: Tensor) -> Tensor:
        """Look up the levels."""
        return torch.from_numpy(self._levels[part].levels).to(kept.device)[kept.long()]

    def restore(self, part: int, kept: Tensor, out: Tensor) -> None:
        """Look up the levels, each rounded once."""
        self._levels[part].restore(_flat(kept), out)


class RangeScale:
    """Pixels as values that are clipped to a range and scaled to it, in float32 as LaMoFC has it; no levels."""

    dtype = torch.float32

    def __init__(self, ranges: Sequence[Range]) -> None:
        self._ranges = ranges

    def keep(self, part: int, values: Floats) -> Tensor:
        """Clip to the range, and scale to 0 to 1."""
        low, high = self._ranges[part]
        return torch.from_numpy((np.clip(values, low, high) - np.float32(low)) * np.float32(1 / (high - low)))

    def to_pixels(self, kept: Tensor) -> Tensor:
        """Return them as they are."""
        return kept

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Limit pixels to 0 to 1."""
        return torch.nan_to_num(pixels, 0.0).clamp(0, 1)

    def values(self, part: int, kept: Tensor) -> Tensor:
        """Scale back to the range."""
        low, high = self._ranges[part]
        return kept / float(np.float32(1 / (high - low))) + float(np.float32(low))

    def restore(self, part: int, kept: Tensor, out: Tensor) -> None:
        """Scale back to the range, and round to the dtype of `out`."""
        out.copy_(as_dtype(self.values(part, kept), out.dtype))


def _flat(numbers: Tensor) -> Numbers:
    """Return level indices as the flat unsigned array that the codebook takes."""
    flat = numbers.cpu().contiguous().view(-1).numpy()
    return flat if flat.itemsize == 1 else flat.astype(np.uint16)

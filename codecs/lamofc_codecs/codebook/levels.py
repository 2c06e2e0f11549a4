"""A scalar codebook: rising levels, and the mapping of values to level indices and back.

The published code assigns a value to the level below it (`floor`), its paper to the nearest level. The decoder is the
same for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codebook.kmeans import place_levels
from lamofc_codecs.codebook.options import MAX_BITS, Assignment
from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Floats, as_dtype, compiled, convert, devices
from lamofc_codecs.stats import Bulk, collect_statistics

ASSIGN = get_args(Assignment)
Numbers = NDArray[np.uint8] | NDArray[np.uint16]
"""Level indices."""


class Levels:
    """The 2 ** bits levels of a codebook, and the assignment of values to them."""

    def __init__(self, levels: Floats, assign: object = "nearest") -> None:
        if assign not in ASSIGN:
            raise UnsupportedInput(f"assign={assign!r}", f"give one of {', '.join(ASSIGN)}")
        self.levels = levels
        self.bits = len(levels).bit_length() - 1
        # The search halves the levels once for each bit, whatever the value: the last edge lies above all values.
        self._edges = np.append(_edges(levels, assign), np.float32(np.inf))

    @classmethod
    def of(cls, profile: Profile) -> Levels:
        """Read the levels of a profile, and check them, because the profile may come from anybody."""
        levels = checked_levels(profile.tensor("levels", torch.float32, -1).numpy())
        return cls(levels, profile.config.get("assign"))

    def numbers(self, values: Floats) -> Numbers:
        """Return the index of each value's level. NaN must not occur."""
        size = values.size
        numbers: Numbers = np.empty(size, np.uint8) if self.bits <= 8 else np.empty(size, np.uint16)
        _search(values.reshape(-1), self._edges, numbers)
        return numbers

    def restore(self, numbers: Numbers, out: Tensor) -> None:
        """Fill `out` with the levels of these indices, rounded to its dtype."""
        rounded = as_dtype(torch.from_numpy(self.levels), out.dtype)
        if out.dtype == torch.float32:
            _look_up(numbers, rounded.numpy(), out.view(-1).numpy())
        else:
            words = torch.int16 if out.itemsize == 2 else torch.int64
            _look_up(numbers, rounded.view(words).numpy(), out.view(-1).view(words).numpy())

    def quantise(self, tensor: Tensor) -> Tensor:
        """Replace each value by its level."""
        out = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        self.restore(self.numbers(convert(tensor.contiguous(), torch.float32).numpy()), out)
        return out


def checked_levels(levels: object, bits: int | None = None) -> Floats:
    """Return a list of levels, such as that of a published mapping, as an array, or refuse it."""
    try:
        checked = np.array(levels, np.float32)
    except (TypeError, ValueError) as error:
        raise UnsupportedInput(f"levels: {error}", "give a list of numbers") from error
    counts = [1 << depth for depth in ([bits] if bits else range(1, MAX_BITS + 1))]
    if (
        checked.shape not in [(count,) for count in counts]
        or not np.isfinite(checked).all()
        or (np.diff(checked) <= 0).any()
    ):
        count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}, a power of two,"
        raise UnsupportedInput(
            f"{checked.size} levels from {checked.min(initial=np.inf)} to {checked.max(initial=-np.inf)}",
            f"give {count} finite numbers that rise in float32",
        )
    return checked


def fit_levels(
    samples: Iterable[Tensor], levels: object, bits: int | None, device: torch.device | str | None
) -> tuple[Floats, Floats, Bulk | None]:
    """Return the levels, the sorted values of the samples, and their bulk.

    The levels are placed on the samples unless `levels` lists them. Without samples `levels` must list them, and there
    is no bulk.
    """
    collected = collect_statistics(samples)
    if not collected.tokens and levels is not None:
        return checked_levels(levels, bits), np.empty(0, np.float32), None
    values = _sorted(collected.values().reshape(-1), device)
    if not values.size:
        raise CodecError(f"nothing to fit on: {collected.tokens} tokens of no channels", "give samples with values")
    placed = place_levels(values, 1 << (bits or 8)) if levels is None else checked_levels(levels, bits)
    return placed, values, collected.finish()[0]


def _sorted(values: Floats, device: torch.device | str | None) -> Floats:
    """Sort values, on a GPU if `device` names one, because sorting is most of the work of a fit."""
    place = devices.usable(device or "cpu")
    if place.type == "cpu":
        return np.sort(values)
    sorted_values: Floats = torch.from_numpy(values).to(place).sort().values.cpu().numpy()
    return sorted_values


def _edges(levels: Floats, assign: object) -> Floats:
    """Return the least value of each level after the first."""
    if assign == "floor":
        return levels[1:]
    middles = ((levels[1:].astype(np.float64) + levels[:-1]) / 2).astype(np.float32)
    # Between neighbouring floats the middle may round to the lower one, which would then belong to the upper level.
    return np.maximum(middles, np.nextafter(levels[:-1], np.float32(np.inf)))


@compiled
def _search(values: Floats, edges: Floats, numbers: Numbers) -> None:
    # Without a branch, the searches of several values overlap.
    first = len(edges) >> 1
    for i in range(len(values)):
        v = values[i]
        at = np.int64(0)
        step = np.int64(first)
        while step:
            at += step * np.int64(edges[at + step - 1] <= v)
            step >>= 1
        numbers[i] = at


@compiled
def _look_up(numbers: Numbers, levels: Floats, out: Floats) -> None:
    for i in range(len(numbers)):
        out[i] = levels[numbers[i]]

"""A scalar codebook: rising levels, from values to their numbers and back.

The published code gives a value to the level on its left (`floor`), its paper to the nearest one; numbers mean the same
to a decoder in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codebook.kmeans import place_levels
from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.published import refuse_unrouted
from lamofc_codecs.runtime import Floats, compiled, convert
from lamofc_codecs.stats import Bulk, collect_statistics

ASSIGN = ("nearest", "floor")
MOST_BITS = 10
Numbers = NDArray[np.uint8] | NDArray[np.uint16]


class Levels:
    """2 ** bits levels, and how values are given to them."""

    def __init__(self, levels: Floats, assign: object = "nearest") -> None:
        if assign not in ASSIGN:
            raise UnsupportedInput(f"assign={assign!r}", f"one of {ASSIGN}")
        self.levels = levels
        self.bits = len(levels).bit_length() - 1
        # The search takes as many halvings as there are bits, whatever the value: the last edge is past all values.
        self._edges = np.append(_edges(levels, assign), np.float32(np.inf))

    def numbers(self, values: Floats) -> Numbers:
        """The number of each value's level. NaN must not come here."""
        size = values.size
        numbers: Numbers = np.empty(size, np.uint8) if self.bits <= 8 else np.empty(size, np.uint16)
        _search(values.reshape(-1), self._edges, numbers)
        return numbers

    def restore(self, numbers: Numbers, out: Tensor) -> None:
        """Fill `out` with the levels of numbers, rounded to its dtype."""
        levels = torch.from_numpy(self.levels)
        if out.dtype == torch.float16:  # past the largest of these a level would become infinite
            levels = levels.clamp(-torch.finfo(out.dtype).max, torch.finfo(out.dtype).max)
        rounded = levels.to(out.dtype)
        if out.dtype == torch.float32:
            _look_up(numbers, rounded.numpy(), out.view(-1).numpy())
        else:
            words = torch.int16 if out.itemsize == 2 else torch.int64
            _look_up(numbers, rounded.view(words).numpy(), out.view(-1).view(words).numpy())


def given_levels(levels: object, bits: int | None = None) -> Floats:
    """Check a list of levels, such as a published mapping's JSON holds."""
    try:
        found = np.array(levels, np.float32)
    except (TypeError, ValueError) as error:
        raise UnsupportedInput(f"levels: {error}", "give a list of numbers") from error
    counts = [1 << depth for depth in ([bits] if bits else range(1, MOST_BITS + 1))]
    if found.shape not in [(count,) for count in counts] or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        wanted = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}, a power of two,"
        raise UnsupportedInput(
            f"{found.size} levels from {found.min(initial=np.inf)} to {found.max(initial=-np.inf)}",
            f"give {wanted} finite numbers that rise in float32",
        )
    return found


def fit_levels(samples: Iterable[Tensor], options: Mapping[str, object]) -> tuple[Floats, Floats, Bulk | None]:
    """Levels, given or placed; the samples' values, sorted; and their bulk. Without samples levels must be given.

    Of the options `levels`, `bits` and `device` count; a mapping needs to be looked up before.
    """
    refuse_unrouted(options)
    levels, depth = options.get("levels"), _bits(options.get("bits"))
    collected = collect_statistics(samples)
    if not collected.tokens and levels is not None:
        return given_levels(levels, depth), np.empty(0, np.float32), None
    values = _sorted(collected.values().reshape(-1), options.get("device"))
    if not values.size:
        raise CodecError(f"nothing to fit on: {collected.tokens} tokens of no channels", "give samples with values")
    placed = place_levels(values, 1 << (depth or 8)) if levels is None else given_levels(levels, depth)
    return placed, values, collected.finish()[0]


def _bits(bits: object) -> int | None:
    if bits is not None and (type(bits) is not int or not 1 <= bits <= MOST_BITS):
        raise UnsupportedInput(f"bits={bits!r}", f"give 1 to {MOST_BITS}; 8 are usual")
    return bits


def _sorted(values: Floats, device: object) -> Floats:
    """Sorted, on a GPU if one is named: of all the work of a fit that is the most."""
    if device in (None, "cpu"):
        return np.sort(values)
    found: Floats = torch.from_numpy(values).to(torch.device(str(device))).sort().values.cpu().numpy()
    return found


def _edges(levels: Floats, assign: object) -> Floats:
    """Return the least value of each level but the first."""
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


def number_planes(samples: Sequence[Tensor], fit: int = 10) -> Iterator[Tensor]:
    """The level numbers of some samples, uint8, of 256 levels that are placed on the first few: what networks see."""
    placed, _, _ = fit_levels(samples[:fit], {})
    levels = Levels(placed)
    for sample in samples:
        values = convert(sample.contiguous(), torch.float32).numpy()
        yield torch.from_numpy(levels.numbers(values).reshape(values.shape))

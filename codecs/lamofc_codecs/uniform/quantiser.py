"""Floats to whole numbers and back: one step for all columns, each about its own middle.

A number q stands for middle + (q - sign(q) * drawn) * step, in float32, each operation rounded by itself. `drawn` moves
the values of a class towards its middle, where most of a cell's entries lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES, LARGEST_LEVEL, class_sigma
from lamofc_codecs.runtime import LARGEST_HALF, Floats, compiled, convert, convert_into
from lamofc_codecs.stats import Bulk
from lamofc_codecs.uniform.block import Block, Columns
from lamofc_codecs.uniform.block_kernels import pack_low, padded

OPEN = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))
_HUGE = np.float32(2.0**126)
_FITTED = 1 << 19


@dataclass(frozen=True)
class Scale:
    """How numbers stand for floats."""

    middle: Floats
    """Of each column."""
    step: np.float32
    drawn: Floats
    """Of each column, which part of a step its values are drawn inwards: a multiple of 1/64."""


@dataclass(frozen=True)
class Quantised:
    """A block, and the positions of the entries that it cannot hold: not finite, out of bounds, or too large."""

    block: Block
    exact: NDArray[np.int64]


def quantise(values: Floats, scale: Scale, columns: Columns, bounds: tuple[float, float] = OPEN) -> Quantised:
    """Round tokens x columns to the nearest numbers; entries outside `bounds` are left to be stored exactly."""
    tokens, count = values.shape
    inverse = np.float32(1) / scale.step
    reach = np.array([inverse, max(bounds[0], -_HUGE), min(bounds[1], _HUGE)], np.float32)
    high = padded(tokens, count)
    if not columns.wide:
        _quantise(values, scale.middle, columns.radii.astype(np.float32), reach, high)
        numbers = None
    else:
        numbers = np.empty((tokens, count), np.int32)
        _quantise_wide(values, scale.middle, reach, numbers)
        _split_high(numbers, columns.shifts, columns.radii, high)
    positions = _ordered(_escaped(high, tokens, count), columns)
    away = values.reshape(-1)[positions]
    column = positions % max(count, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.rint((away - scale.middle[column]) * inverse)
        inside = (np.abs(rounded) <= LARGEST_LEVEL) & (away >= reach[1]) & (away <= reach[2])
    exact = np.sort(positions[~inside])
    high[exact // max(count, 1), exact % max(count, 1)] = 0
    shifts = columns.shifts[column[inside]].astype(np.int64)
    escaped = (rounded[inside].astype(np.int64) + ((np.int64(1) << shifts) >> 1)) >> shifts
    low = np.zeros((columns.low_bits + 7) // 8, np.uint8)
    if numbers is not None:
        pack_low(numbers, columns.order, columns.shifts, low)
    return Quantised(Block(columns, high, positions[inside], escaped, low.tobytes()), exact)


def _ordered(positions: NDArray[np.int64], columns: Columns) -> NDArray[np.int64]:
    """Positions in the order of the symbols."""
    count = max(len(columns.classes), 1)
    return positions[np.argsort(columns.starts[positions % count] + positions // count, kind="stable")]


def restore(block: Block, scale: Scale, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """Return what the numbers stand for, tokens x columns, rounded to a dtype; in `out`, if one is given."""
    shape = (block.columns.tokens, len(block.columns.classes))
    direct = out if out is not None and dtype == torch.float32 else torch.empty(shape)
    _restore_floats(block, scale, direct.numpy())
    if dtype == torch.float16:
        np.clip(direct.numpy(), -LARGEST_HALF, LARGEST_HALF, out=direct.numpy())
    return convert(direct, dtype) if out is None or out is direct else convert_into(direct, out)


def _restore_floats(block: Block, scale: Scale, out: Floats) -> None:
    if block.columns.wide:
        _restore_wide(block.numbers(), scale.middle, scale.drawn, scale.step, out)
        return
    _restore(block.high, scale.middle, scale.drawn, scale.step, out)
    if len(block.positions):
        column = block.positions % out.shape[1]
        number = block.escaped.astype(np.float32)
        inwards = number - np.sign(number) * scale.drawn[column]
        with np.errstate(over="ignore", invalid="ignore"):
            out.reshape(-1)[block.positions] = inwards * scale.step + scale.middle[column]


def drawn_inwards(shrink: NDArray[np.uint8]) -> Floats:
    """Return, for each class, which part of a step its values are drawn inwards; those with low bits stay in place."""
    drawn = np.zeros(ALL_CLASSES, np.float32)
    drawn[:CLASSES] = shrink.astype(np.float32) / np.float32(64)
    return drawn


def fit_shrink(values: Floats, bulk: Bulk, sigma: Floats) -> NDArray[np.uint8]:
    """Return, for each frozen class, how far the mean of what rounds to a number lies from it, in 64ths of a step."""
    stride = -(-values.size // _FITTED)
    rows = values[:: max(1, stride)]
    inside = (rows >= bulk.low) & (rows <= bulk.high) & (sigma > 0)
    with np.errstate(over="ignore"):
        unit = np.abs((rows - bulk.mean) / np.where(sigma > 0, sigma, np.float32(1)))[inside]
    shrink = np.zeros(CLASSES, np.uint8)
    for number, spread in enumerate(class_sigma(np.arange(CLASSES))):
        away = unit * spread
        rounded = np.rint(away)
        coded = rounded > 0
        if coded.any():
            drawn = float((rounded[coded] - away[coded]).mean(dtype=np.float64))
            shrink[number] = np.clip(np.rint(64 * drawn), 0, 32)
    return shrink


@compiled
def _quantise(values: Floats, middle: Floats, radius: Floats, reach: Floats, high: NDArray[np.int8]) -> None:
    inverse, least, most = reach[0], reach[1], reach[2]
    for t in range(values.shape[0]):
        row, out = values[t], high[t]
        for c in range(values.shape[1]):
            v = row[c]
            rounded = np.rint((v - middle[c]) * inverse)
            inside = (abs(rounded) <= radius[c]) & (v >= least) & (v <= most)
            out[c] = np.int8(rounded if inside else np.float32(-128))


@compiled
def _quantise_wide(values: Floats, middle: Floats, reach: Floats, numbers: NDArray[np.int32]) -> None:
    inverse, least, most = reach[0], reach[1], reach[2]
    for t in range(values.shape[0]):
        row, out = values[t], numbers[t]
        for c in range(values.shape[1]):
            v = row[c]
            rounded = np.rint((v - middle[c]) * inverse)
            inside = (abs(rounded) <= np.float32(LARGEST_LEVEL)) & (v >= least) & (v <= most)
            # An entry that the block cannot hold becomes a number beyond all tables, so that it is found again.
            out[c] = np.int32(rounded if inside else np.float32(2 * LARGEST_LEVEL))


@compiled
def _split_high(
    numbers: NDArray[np.int32], shifts: NDArray[np.int32], radius: NDArray[np.int32], high: NDArray[np.int8]
) -> None:
    for t in range(numbers.shape[0]):
        row, out = numbers[t], high[t]
        for c in range(numbers.shape[1]):
            part = (row[c] + ((np.int32(1) << shifts[c]) >> np.int32(1))) >> shifts[c]
            out[c] = np.int8(part if abs(part) <= radius[c] else np.int32(-128))


@compiled
def _escaped(high: NDArray[np.int8], tokens: int, count: int) -> NDArray[np.int64]:
    """Positions of the escapes, token by token."""
    total = np.int64(0)
    for t in range(tokens):
        row = high[t]
        for c in range(count):
            total += row[c] == np.int8(-128)
    found = np.empty(total, np.int64)
    at = 0
    for t in range(tokens):
        if at < total:
            for c in range(count):
                if high[t, c] == np.int8(-128):
                    found[at] = t * count + c
                    at += 1
    return found


@compiled
def _restore(high: NDArray[np.int8], middle: Floats, drawn: Floats, step: np.float32, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there = high[t], out[t]
        for c in range(out.shape[1]):
            number = row[c]
            sign = np.float32(min(max(number, np.int8(-1)), np.int8(1)))
            there[c] = (np.float32(number) - sign * drawn[c]) * step + middle[c]


@compiled
def _restore_wide(numbers: NDArray[np.int32], middle: Floats, drawn: Floats, step: np.float32, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, there = numbers[t], out[t]
        for c in range(out.shape[1]):
            number = row[c]
            sign = np.float32(min(max(number, np.int32(-1)), np.int32(1)))
            there[c] = (np.float32(number) - sign * drawn[c]) * step + middle[c]

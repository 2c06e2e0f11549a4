"""Values to levels and back: one step for all columns, each about its own middle.

A level q stands for middle + (q - sign(q) * offset) * step, in float32, each operation rounded by itself. The
reconstruction offset of a class moves its values towards the middle, where most of an interval's entries lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES, LARGEST_LEVEL, class_sigma
from lamofc_codecs.level_coding import pack_low_bits
from lamofc_codecs.runtime import Floats, compiled, saturate_into
from lamofc_codecs.stats import Bulk, fit_offset
from lamofc_codecs.uniform.block import Block, ColumnLayout
from lamofc_codecs.uniform.block_kernels import padded

UNBOUNDED = (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max))
_MAX_CODED = np.float32(2.0**126)
"""Values beyond it are stored exactly: their distance from the middle might overflow."""
_OFFSETS_PER_STEP = 64
"""Unit of the reconstruction offsets: a step has so many."""
_MAX_FIT_ENTRIES = 1 << 19


@dataclass(frozen=True)
class Scale:
    """The relation of levels to values."""

    middle: Floats
    """Middle of each column."""
    step: np.float32
    offsets: Floats
    """Reconstruction offset of each column, in steps: a multiple of 1/64."""


@dataclass(frozen=True)
class Quantised:
    """A block, and the positions of the entries that it cannot hold: not finite, out of bounds, or too large."""

    block: Block
    exact: NDArray[np.int64]


def quantise(values: Floats, scale: Scale, columns: ColumnLayout, bounds: tuple[float, float] = UNBOUNDED) -> Quantised:
    """Round tokens x columns to the nearest levels; entries outside `bounds` are left to be stored exactly."""
    tokens, count = values.shape
    inverse = np.float32(1) / scale.step
    reach = np.array([inverse, max(bounds[0], -_MAX_CODED), min(bounds[1], _MAX_CODED)], np.float32)
    high = padded(tokens, count)
    if not columns.wide:
        _quantise(values, scale.middle, columns.radii.astype(np.float32), reach, high)
        levels = None
    else:
        levels = np.empty((tokens, count), np.int32)
        _quantise_wide(values, scale.middle, reach, levels)
        _split_high(levels, columns.shifts, columns.radii, high)
    positions = _in_coding_order(_escaped(high, tokens, count), columns)
    escaped_values = values.reshape(-1)[positions]
    column = positions % max(count, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        rounded = np.rint((escaped_values - scale.middle[column]) * inverse)
        inside = (np.abs(rounded) <= LARGEST_LEVEL) & (escaped_values >= reach[1]) & (escaped_values <= reach[2])
    exact = np.sort(positions[~inside])
    high[exact // max(count, 1), exact % max(count, 1)] = 0
    shifts = columns.shifts[column[inside]].astype(np.int64)
    escaped = (rounded[inside].astype(np.int64) + ((np.int64(1) << shifts) >> 1)) >> shifts
    low = np.zeros((columns.low_bits + 7) // 8, np.uint8)
    if levels is not None:
        pack_low_bits(levels.T, columns.runs, columns.shifts[columns.order], low)
    return Quantised(Block(columns, high, positions[inside], escaped, low.tobytes()), exact)


def _in_coding_order(positions: NDArray[np.int64], columns: ColumnLayout) -> NDArray[np.int64]:
    """Sort positions as their symbols stand in the block."""
    count = max(len(columns.classes), 1)
    return positions[np.argsort(columns.starts[positions % count] + positions // count, kind="stable")]


def restore(block: Block, scale: Scale, dtype: torch.dtype, out: Tensor | None = None) -> Tensor:
    """Return the values that the levels stand for, tokens x columns, rounded to a dtype; in `out` if it is given."""
    shape = (block.columns.tokens, len(block.columns.classes))
    direct = out if out is not None and dtype == torch.float32 else torch.empty(shape)
    _restore_floats(block, scale, direct.numpy())
    if dtype == torch.float32:
        return direct
    return saturate_into(direct, torch.empty(shape, dtype=dtype) if out is None else out)


def _restore_floats(block: Block, scale: Scale, out: Floats) -> None:
    if block.columns.wide:
        _restore_wide(block.levels(), scale.middle, scale.offsets, scale.step, out)
        return
    _restore(block.high, scale.middle, scale.offsets, scale.step, out)
    if len(block.positions):
        column = block.positions % out.shape[1]
        level = block.escaped.astype(np.float32)
        moved = level - np.sign(level) * scale.offsets[column]
        with np.errstate(over="ignore", invalid="ignore"):
            out.reshape(-1)[block.positions] = moved * scale.step + scale.middle[column]


def offsets_in_steps(offsets: NDArray[np.uint8]) -> Floats:
    """Return the reconstruction offset of every class in steps; classes with low bits have none."""
    every = np.zeros(ALL_CLASSES, np.float32)
    every[:CLASSES] = offsets.astype(np.float32) / np.float32(_OFFSETS_PER_STEP)
    return every


def fit_offsets(values: Floats, bulk: Bulk, sigma: Floats) -> NDArray[np.uint8]:
    """Return the reconstruction offset of each frozen class, in 64ths of a step."""
    stride = -(-values.size // _MAX_FIT_ENTRIES)
    rows = values[:: max(1, stride)]
    inside = (rows >= bulk.low) & (rows <= bulk.high) & (sigma > 0)
    with np.errstate(over="ignore"):
        unit = np.abs((rows - bulk.mean) / np.where(sigma > 0, sigma, np.float32(1)))[inside]
    offsets = np.zeros(CLASSES, np.uint8)
    for sigma_class, spread in enumerate(class_sigma(np.arange(CLASSES))):
        magnitudes = unit * spread
        levels = np.rint(magnitudes)
        coded = levels > 0
        offsets[sigma_class] = fit_offset(levels[coded], magnitudes[coded], _OFFSETS_PER_STEP)
    return offsets


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
def _quantise_wide(values: Floats, middle: Floats, reach: Floats, levels: NDArray[np.int32]) -> None:
    inverse, least, most = reach[0], reach[1], reach[2]
    for t in range(values.shape[0]):
        row, out = values[t], levels[t]
        for c in range(values.shape[1]):
            v = row[c]
            rounded = np.rint((v - middle[c]) * inverse)
            inside = (abs(rounded) <= np.float32(LARGEST_LEVEL)) & (v >= least) & (v <= most)
            # An entry that the block cannot hold becomes a level beyond all tables, so that `_escaped` finds it.
            out[c] = np.int32(rounded if inside else np.float32(2 * LARGEST_LEVEL))


@compiled
def _split_high(
    levels: NDArray[np.int32], shifts: NDArray[np.int32], radius: NDArray[np.int32], high: NDArray[np.int8]
) -> None:
    for t in range(levels.shape[0]):
        row, out = levels[t], high[t]
        for c in range(levels.shape[1]):
            part = (row[c] + ((np.int32(1) << shifts[c]) >> np.int32(1))) >> shifts[c]
            out[c] = np.int8(part if abs(part) <= radius[c] else np.int32(-128))


@compiled
def _escaped(high: NDArray[np.int8], tokens: int, count: int) -> NDArray[np.int64]:
    """Return the positions of the escapes, token by token."""
    total = np.int64(0)
    for t in range(tokens):
        row = high[t]
        for c in range(count):
            total += row[c] == np.int8(-128)
    positions = np.empty(total, np.int64)
    at = 0
    for t in range(tokens):
        if at < total:
            for c in range(count):
                if high[t, c] == np.int8(-128):
                    positions[at] = t * count + c
                    at += 1
    return positions


@compiled
def _restore(high: NDArray[np.int8], middle: Floats, offsets: Floats, step: np.float32, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, out_row = high[t], out[t]
        for c in range(out.shape[1]):
            level = row[c]
            sign = np.float32(min(max(level, np.int8(-1)), np.int8(1)))
            out_row[c] = (np.float32(level) - sign * offsets[c]) * step + middle[c]


@compiled
def _restore_wide(levels: NDArray[np.int32], middle: Floats, offsets: Floats, step: np.float32, out: Floats) -> None:
    for t in range(out.shape[0]):
        row, out_row = levels[t], out[t]
        for c in range(out.shape[1]):
            level = row[c]
            sign = np.float32(min(max(level, np.int32(-1)), np.int32(1)))
            out_row[c] = (np.float32(level) - sign * offsets[c]) * step + middle[c]

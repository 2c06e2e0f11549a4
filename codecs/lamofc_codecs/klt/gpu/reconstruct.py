"""Levels of a batch of `klt` records to tensors, by array operations that run on any device.

The floats are those of the CPU's reconstruction: sums are exact, and each operation after them is rounded by itself, in
the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES
from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.gpu.batch_entry import BatchEntry, LevelPlaces
from lamofc_codecs.klt.gpu.finish import finish
from lamofc_codecs.klt.layers import COMPLETE, OUTWARD_READ, STEP_RATIO, undecided_offsets
from lamofc_codecs.klt.quantise import SIXTEENTHS
from lamofc_codecs.runtime.products import int8_matmul

_MAX_TWO_BYTES = 16000
"""Largest magnitude, in sixteenths of a step, that two bytes hold."""
_MULTIPLE = 8
"""Rows and columns of int8 matrices on a GPU must be multiples of this."""
_MIN_ROWS = 32
"""Rows that an int8 matrix on a GPU must have."""


def sixteenths_of(
    batch: Sequence[BatchEntry], parameters: KltParameters, order: Tensor, levels: Tensor, coarse: Tensor | None
) -> Tensor:
    """Reconstruct levels in sixteenths of the last step; `coarse` are those of the refinement level before."""
    chosen = [(entry, entry.runs[-1], np.arange(len(entry.runs[-1].classes))) for entry in batch]
    places = LevelPlaces.of_runs(chosen, order, levels.shape[1])
    classes = np.concatenate([entry.runs[-1].classes for entry in batch]).astype(np.int64)
    level = levels.view(-1)[places.place]
    every = np.zeros((ALL_CLASSES, 2), np.int32)
    every[:CLASSES] = parameters.offsets
    offsets = torch.from_numpy(every).to(order.device)
    values = _dequantise(level, offsets[places.spread(classes)])
    if coarse is not None:
        before = coarse.view(-1)[places.place]
        state = places.spread(np.concatenate([_state(entry) for entry in batch]))
        sigma_class = places.spread(np.minimum(classes, CLASSES - 1))
        magnitude = before.abs()
        offset = torch.from_numpy(undecided_offsets()).to(order.device)[sigma_class, magnitude.clamp(max=3)]
        undecided = _with_sign(SIXTEENTHS * STEP_RATIO * magnitude - offset, before)
        coarse_class = places.spread(np.concatenate([_coarse_classes(entry) for entry in batch]))
        unread = STEP_RATIO * _dequantise(before, offsets[coarse_class])
        complete = (state == COMPLETE) | ((state == OUTWARD_READ) & (level != STEP_RATIO * before))
        values = torch.where(complete, values, torch.where(state == OUTWARD_READ, undecided, unread))
    sixteenths = torch.zeros_like(levels)
    sixteenths.view(-1)[places.place] = values
    return sixteenths


def _dequantise(level: Tensor, offsets: Tensor) -> Tensor:
    magnitude = level.abs()
    offset = torch.where(magnitude == 1, offsets[:, 0], offsets[:, 1]) * (magnitude > 0)
    return _with_sign(SIXTEENTHS * magnitude - offset, level)


def _with_sign(magnitude: Tensor, like: Tensor) -> Tensor:
    return torch.where(like < 0, -magnitude, magnitude)


def _state(entry: BatchEntry) -> NDArray[np.int64]:
    """Decoded state of each run of the last refinement level."""
    state = np.full(CLASSES, COMPLETE) if entry.opened.state is None else entry.opened.state
    return np.asarray(state[np.minimum(entry.runs[-1].classes, CLASSES - 1)], np.int64)


def _coarse_classes(entry: BatchEntry) -> NDArray[np.int64]:
    """Class, one refinement level before, of each run of the last one; 0 where that held no such column."""
    runs, coarse = entry.runs[-1], entry.runs[max(len(entry.runs) - 2, 0)]
    present = runs.index[0] < coarse.columns
    if not coarse.columns:
        return np.zeros(len(runs.index[0]), np.int64)
    classes = coarse.group_classes[runs.group, np.where(present, runs.index[0], 0)]
    return np.where(present, classes, 0).astype(np.int64)


def values_of(batch: Sequence[BatchEntry], parameters: KltParameters, sixteenths: Tensor, channels: slice) -> Tensor:
    """Reconstruct some channels in float32, the tokens of all records below each other."""
    sums = _channel_sums(parameters, sixteenths, channels)
    if any(entry.opened.side.grid.rows for entry in batch):
        sums = sums.to(torch.float32)
        for entry in batch:
            entry.opened.side.grid.inverse_dct(sums[entry.rows])
    values = finish(batch, parameters, sums, channels)
    if not parameters.space.positioned:
        return values
    positions = np.concatenate([entry.opened.side.positions for entry in batch])
    return parameters.space.leave_on_device(values, channels, positions)


def _channel_sums(parameters: KltParameters, sixteenths: Tensor, channels: slice) -> Tensor:
    """Transform columns to channels, without scales."""
    device, columns = sixteenths.device, sixteenths.shape[1]
    if parameters.basis is None:
        sums = torch.zeros(len(sixteenths), parameters.channels, device=device)
        sums[:, torch.from_numpy(parameters.order[:columns]).to(device)] = sixteenths.to(torch.float32)
        return sums[:, channels]
    stride = torch.from_numpy(parameters.stride[:columns]).to(device)
    return _product(sixteenths * stride, parameters.basis.rows[:columns, channels].to(device))


def _product(values: Tensor, rows: Tensor) -> Tensor:
    """Multiply by an int8 matrix, exactly, into int32, or, of huge values, into float32."""
    largest = int(values.abs().max()) if values.numel() else 0
    if largest > _MAX_TWO_BYTES:
        return (values.to(torch.float64) @ rows.to(torch.float64)).to(torch.float32)
    low = ((values + 64) & 127) - 64
    sums = exact_product(low, rows)
    if largest > 63:
        sums += 128 * exact_product((values - low) >> 7, rows)
    return sums


def exact_product(values: Tensor, rows: Tensor) -> Tensor:
    """Multiply matrices whose entries a byte holds, exactly, into int32."""
    tokens, columns, channels = len(values), len(rows), rows.shape[1]
    inner = _MULTIPLE * -(-columns // _MULTIPLE)
    left = torch.zeros(max(tokens, _MIN_ROWS), inner, dtype=torch.int8, device=values.device)
    left[:tokens, :columns] = values
    right = torch.zeros(inner, _MULTIPLE * -(-channels // _MULTIPLE), dtype=torch.int8, device=values.device)
    right[:columns, :channels] = rows
    return int8_matmul(left, right)[:tokens, :channels]

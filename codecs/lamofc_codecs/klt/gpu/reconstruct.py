"""From the numbers of a batch of `klt` records to tensors, by array operations that run on any device.

The same floats as `synthesis` makes, wherever sums are whole numbers that bytes hold: each operation is rounded by
itself, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import ALL_CLASSES, CLASSES
from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.gpu.levels import Flat, Laid
from lamofc_codecs.klt.layers import ALL, FACTOR, HALF, half_known
from lamofc_codecs.klt.quantise import PARTS, down
from lamofc_codecs.runtime import int8_matmul

_TWO = 16000
"""Parts of a step that two bytes hold."""
_EIGHT = 8
"""Matrices of bytes have such multiples of rows and columns on a GPU, and more than 16 rows."""
_FEWEST = 32


def parts_of(
    batch: Sequence[Laid], known: KltParameters, order: Tensor, numbers: Tensor, before: Tensor | None
) -> Tensor:
    """What numbers stand for, in parts of the last level's step; `before` are those of the level before."""
    chosen = [(laid, laid.runs[-1], np.arange(len(laid.runs[-1].order))) for laid in batch]
    flat = Flat.of(chosen, order, numbers.shape[1])
    kinds = np.concatenate([laid.runs[-1].classes for laid in batch]).astype(np.int64)
    number = numbers.view(-1)[flat.places]
    drawn = np.zeros((ALL_CLASSES, 2), np.int32)
    drawn[:CLASSES] = known.drawn
    inwards = torch.from_numpy(drawn).to(order.device)
    found = _stands(number, inwards[flat.each(kinds)])
    if before is not None:
        earlier = before.view(-1)[flat.places]
        told = flat.each(np.concatenate([_told(laid) for laid in batch]))
        kind = flat.each(np.minimum(kinds, CLASSES - 1))
        away = earlier.abs()
        offset = torch.from_numpy(half_known()).to(order.device)[kind, away.clamp(max=3)]
        undecided = _signed(PARTS * FACTOR * away - offset, earlier)
        kind_before = flat.each(np.concatenate([_kinds_before(laid) for laid in batch]))
        untold = FACTOR * _stands(earlier, inwards[kind_before])
        settled = (told == ALL) | ((told == HALF) & (number != FACTOR * earlier))
        found = torch.where(settled, found, torch.where(told == HALF, undecided, untold))
    parts = torch.zeros_like(numbers)
    parts.view(-1)[flat.places] = found
    return parts


def _stands(number: Tensor, inwards: Tensor) -> Tensor:
    away = number.abs()
    drawn = torch.where(away == 1, inwards[:, 0], inwards[:, 1]) * (away > 0)
    return _signed(PARTS * away - drawn, number)


def _signed(size: Tensor, like: Tensor) -> Tensor:
    return torch.where(like < 0, -size, size)


def _told(laid: Laid) -> NDArray[np.int64]:
    """How much is known of each run of the last level."""
    known = np.full(CLASSES, ALL) if laid.opened.known is None else laid.opened.known
    return np.asarray(known[np.minimum(laid.runs[-1].classes, CLASSES - 1)], np.int64)


def _kinds_before(laid: Laid) -> NDArray[np.int64]:
    """The class of each run of the last level in the level before; 0 where it held no such column."""
    runs, earlier = laid.runs[-1], laid.runs[max(len(laid.runs) - 2, 0)]
    there = runs.column < earlier.columns
    found = earlier.kinds[runs.group, np.where(there, runs.column, 0)] if earlier.columns else 0 * runs.column
    return np.where(there, found, 0).astype(np.int64)


def values_of(batch: Sequence[Laid], known: KltParameters, parts: Tensor, channels: slice) -> Tensor:
    """Float32 of some channels, the tokens of all records below each other."""
    middle = torch.from_numpy(known.bulk.mean[channels]).to(parts.device)
    if known.basis is None:
        sums = torch.zeros(len(parts), known.channels, device=parts.device)
        sums[:, torch.from_numpy(known.order[: parts.shape[1]]).to(parts.device)] = parts.to(torch.float32)
        sums = sums[:, channels]
    else:
        stride = torch.from_numpy(known.stride[: parts.shape[1]]).to(parts.device)
        sums = _sums(parts * stride, known.basis.rows[: parts.shape[1], channels].to(parts.device))
    units = [np.float32(_step(laid) / np.float32(PARTS)) for laid in batch]
    for laid, unit in zip(batch, units, strict=True):
        here = sums[laid.rows]
        if laid.opened.side.field.rows:
            laid.opened.side.field.back_on(here)
        if laid.opened.side.lifts is not None:
            here *= torch.from_numpy(down(laid.opened.side.lifts, len(here))[:, None]).to(parts.device)
        factor = unit / known.metric.weight if known.basis is None else known.basis.scale.numpy() * unit
        here *= torch.from_numpy(np.ascontiguousarray(factor[channels])).to(parts.device)
    sums += middle
    if known.means is not None:
        index = np.concatenate([laid.opened.side.index for laid in batch if laid.opened.side.index is not None])
        rows = known.means.basis.rows[:, channels].to(parts.device)[torch.from_numpy(index).to(parts.device)]
        sums += rows.to(torch.float32) * known.means.basis.scale[channels].to(parts.device)
    return sums


def _step(laid: Laid) -> np.float32:
    return laid.opened.head.step_of(len(laid.runs) - 1)


def _sums(parts: Tensor, rows: Tensor) -> Tensor:
    """Parts times a matrix of bytes: exactly, in float32."""
    largest = int(parts.abs().max()) if parts.numel() else 0
    if largest > _TWO:
        return (parts.to(torch.float64) @ rows.to(torch.float64)).to(torch.float32)
    low = ((parts + 64) & 127) - 64
    found = exact_product(low, rows)
    if largest > 63:
        found += 128 * exact_product((parts - low) >> 7, rows)
    return found.to(torch.float32)


def exact_product(numbers: Tensor, rows: Tensor) -> Tensor:
    """The exact product of matrices whose entries a byte holds, in int32."""
    tokens, columns, channels = len(numbers), len(rows), rows.shape[1]
    wide = _EIGHT * -(-columns // _EIGHT)
    left = torch.zeros(max(tokens, _FEWEST), wide, dtype=torch.int8, device=numbers.device)
    left[:tokens, :columns] = numbers
    right = torch.zeros(wide, _EIGHT * -(-channels // _EIGHT), dtype=torch.int8, device=numbers.device)
    right[:columns, :channels] = rows
    return int8_matmul(left, right)[:tokens, :channels]

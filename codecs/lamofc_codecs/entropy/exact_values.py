"""Exact values: the positions and the bytes of entries that are stored as they are.

The bytes are: u32 count; the distance of each position to the one before, less one, in exponential Golomb codes; the
values, little-endian in the source's dtype. A position is token * channels + channel. Positions rise.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy.exp_golomb import read_numbers, write_numbers
from lamofc_codecs.errors import CorruptRecord

_COUNT = struct.Struct("<I")


def write_exact_values(positions: NDArray[np.int64], source: Tensor) -> bytes:
    """Write the elements of a contiguous `source` at rising `positions`."""
    gaps = np.diff(positions, prepend=-1) - 1
    values = source.reshape(-1)[torch.from_numpy(positions)]
    return _COUNT.pack(len(positions)) + write_numbers(gaps) + values.view(torch.uint8).numpy().tobytes()


def read_exact_values(data: memoryview, out: Tensor) -> None:
    """Copy the exact values to their positions in a contiguous `out`, on any device."""
    positions, values = _read(data, out.numel(), out.itemsize)
    exact = torch.frombuffer(bytearray(values), dtype=out.dtype)
    out.view(-1)[torch.from_numpy(positions).to(out.device)] = exact.to(out.device)


def exact_positions(data: memoryview, out: Tensor) -> NDArray[np.int64]:
    """Return the positions of the exact values of a tensor with the size and dtype of `out`."""
    return _read(data, out.numel(), out.itemsize)[0]


def _read(data: memoryview, elements: int, itemsize: int) -> tuple[NDArray[np.int64], memoryview]:
    """Return the positions and the bytes of the exact values of a tensor."""
    count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else 0
    if not 0 < count <= elements or count * itemsize > len(data):
        raise CorruptRecord(f"{count} exact values in {len(data)} bytes for a tensor of {elements} elements")
    gaps, used = read_numbers(data[_COUNT.size :], count)
    values = data[_COUNT.size + used :]
    # In float64, because a sum of forged int64 distances could overflow.
    end = float(gaps.sum(dtype=np.float64)) + count
    if len(values) != count * itemsize or end > elements:
        raise CorruptRecord(
            f"{count} exact values take {len(values)} bytes and end at element {end:.0f} of a tensor of {elements}"
        )
    return np.cumsum(gaps + 1) - 1, values


def write_exact_parts(positions: tuple[NDArray[np.int64], ...], sources: Sequence[Tensor]) -> bytes:
    """Write the exact values of each part of a group; for a single part the bytes of `write_exact_values` alone."""
    blocks = [
        write_exact_values(of_part, source) if len(of_part) else b""
        for of_part, source in zip(positions, sources, strict=True)
    ]
    if len(blocks) == 1:
        return blocks[0]
    return write_numbers(np.array([len(block) for block in blocks], np.int64)) + b"".join(blocks)


def read_exact_parts(data: memoryview, outs: Sequence[Tensor | None]) -> None:
    """Copy the exact values of each part to its tensor; None where a part is not decoded."""
    for out, block in zip(outs, _blocks(data, len(outs)), strict=True):
        if out is not None and len(block):
            read_exact_values(block, out)


def _blocks(data: memoryview, parts: int) -> list[memoryview]:
    """Return the bytes of each part, empty for a part without exact values."""
    if parts == 1:
        return [data]
    lengths, at = read_numbers(data, parts)
    if float(lengths.sum(dtype=np.float64)) != len(data) - at:
        raise CorruptRecord(f"the exact values of {parts} parts do not fill their {len(data)} bytes")
    bounds = [at, *(at + np.cumsum(lengths)).tolist()]
    return [data[first:last] for first, last in pairwise(bounds)]


@dataclass(frozen=True)
class ExactValues:
    """The exact values of one part, and the token and channel of each."""

    token: NDArray[np.int64]
    channel: NDArray[np.int64]
    values: NDArray[np.float64]


def exact_values_by_part(
    data: memoryview, shapes: Sequence[tuple[int, int]], dtypes: Sequence[torch.dtype], parts: Sequence[int]
) -> dict[int, ExactValues]:
    """Read the exact values of those of `parts` that have any. `shapes` are tokens x channels of all parts."""
    blocks = _blocks(data, len(shapes)) if len(data) else []
    by_part = {}
    for part in parts if blocks else ():
        (tokens, channels), dtype = shapes[part], dtypes[part]
        if len(blocks[part]):
            positions, values = _read(blocks[part], tokens * channels, dtype.itemsize)
            exact = torch.frombuffer(bytearray(values), dtype=dtype).to(torch.float64).numpy()
            by_part[part] = ExactValues(positions // channels, positions % channels, exact)
    return by_part

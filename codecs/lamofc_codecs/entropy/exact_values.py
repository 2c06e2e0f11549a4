"""Entries kept exactly: where they stand and their own bytes.

The bytes are: u32 count; the distances from each position to the one before, less one, as `golomb` writes them; the
values, little-endian in the source's dtype. Positions count elements, tokens before channels, and rise.
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


def write_outliers(positions: NDArray[np.int64], source: Tensor) -> bytes:
    """Store the elements of a contiguous `source` at rising `positions`."""
    gaps = np.diff(positions, prepend=-1) - 1
    values = source.reshape(-1)[torch.from_numpy(positions)]
    return _COUNT.pack(len(positions)) + write_numbers(gaps) + values.view(torch.uint8).numpy().tobytes()


def read_outliers(data: memoryview, out: Tensor) -> None:
    """Put the stored elements into a contiguous `out`, wherever it is."""
    places, values = _read(data, out.numel(), out.itemsize)
    positions, exact = torch.from_numpy(places), torch.frombuffer(bytearray(values), dtype=out.dtype)
    out.view(-1)[positions.to(out.device)] = exact.to(out.device)


def positions_of(data: memoryview, out: Tensor) -> NDArray[np.int64]:
    """Where the stored elements of such a tensor stand."""
    return _read(data, out.numel(), out.itemsize)[0]


def _read(data: memoryview, elements: int, itemsize: int) -> tuple[NDArray[np.int64], memoryview]:
    """Positions and bytes of the stored elements."""
    count = _COUNT.unpack_from(data)[0] if len(data) >= _COUNT.size else 0
    if not 0 < count <= elements or count * itemsize > len(data):
        raise CorruptRecord(f"{count} exact values in {len(data)} bytes for a tensor of {elements} elements")
    gaps, used = read_numbers(data[_COUNT.size :], count)
    values = data[_COUNT.size + used :]
    reach = float(gaps.sum(dtype=np.float64)) + count
    if len(values) != count * itemsize or reach > elements:
        raise CorruptRecord(
            f"{count} exact values take {len(values)} bytes and reach to {reach:.0f} in a tensor of {elements}"
        )
    return np.cumsum(gaps + 1) - 1, values


def write_exact(positions: tuple[NDArray[np.int64], ...], sources: Sequence[Tensor]) -> bytes:
    """Store elements of each tensor of a group at rising positions; of a single tensor as `write_outliers` does."""
    blocks = [
        write_outliers(there, source) if len(there) else b"" for there, source in zip(positions, sources, strict=True)
    ]
    if len(blocks) == 1:
        return blocks[0]
    return write_numbers(np.array([len(block) for block in blocks], np.int64)) + b"".join(blocks)


def read_exact(data: memoryview, outs: Sequence[Tensor | None]) -> None:
    """Put the stored elements into those tensors that are wanted."""
    for out, block in zip(outs, _blocks(data, len(outs)), strict=True):
        if out is not None and len(block):
            read_outliers(block, out)


def _blocks(data: memoryview, parts: int) -> list[memoryview]:
    """What is stored of each feature."""
    if parts == 1:
        return [data]
    lengths, at = read_numbers(data, parts)
    if float(lengths.sum(dtype=np.float64)) != len(data) - at:
        raise CorruptRecord(f"exact values of {parts} features do not fill their {len(data)} bytes")
    bounds = [at, *(at + np.cumsum(lengths)).tolist()]
    return [data[first:last] for first, last in pairwise(bounds)]


@dataclass(frozen=True)
class Kept:
    """Elements of a feature that were kept exactly."""

    token: NDArray[np.int64]
    channel: NDArray[np.int64]
    values: NDArray[np.float64]


def exact_of(
    data: memoryview, shapes: Sequence[tuple[int, int]], dtypes: Sequence[torch.dtype], parts: Sequence[int]
) -> dict[int, Kept]:
    """Those of the wanted parts, tokens x channels each, that have any."""
    blocks = _blocks(data, len(shapes)) if len(data) else []
    found = {}
    for part in parts if blocks else ():
        (tokens, channels), dtype = shapes[part], dtypes[part]
        if len(blocks[part]):
            places, values = _read(blocks[part], tokens * channels, dtype.itemsize)
            exact = torch.frombuffer(bytearray(values), dtype=dtype).to(torch.float64).numpy()
            found[part] = Kept(places // channels, places % channels, exact)
    return found

"""The values that codecs take and return: a surveyed tensor, and the layers coded from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.runtime import Floats, convert
from lamofc_codecs.stats import NO_DISTORTION, Bulk, Distortion, Sums, compute_sums, total_sums

MOST_PER_BYTE = 1 << 18
CPU = torch.device("cpu")
LOSSY_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Source:
    """A tensor on its way into a record, with what every codec wants to know of it."""

    tensors: tuple[Tensor, ...]
    """Tokens x channels, contiguous, on the CPU, each in its own dtype: one, or the features of a group."""
    values: Floats
    """The same in float32, side by side; of complex numbers, twice the channels; of other exact types, the nearest."""
    sums: Sums
    """Of all."""
    part_sums: tuple[Sums, ...]
    """Of each."""
    items: tuple[int, ...] = ()
    """Tokens of each item, of a tensor that holds several one after another."""
    device: torch.device = CPU
    """Where a codec may work on it."""

    @classmethod
    def of(cls, tensor: Tensor, bulk: Bulk | None, items: tuple[int, ...] = ()) -> Source:
        """Survey a tensor; without a bulk, or with one of another width, by its own channel means."""
        real = torch.view_as_real(tensor).flatten(1) if tensor.is_complex() else tensor
        values = convert(real, torch.float32).numpy()
        fits = bulk is not None and len(bulk.mean) == values.shape[1]
        sums = compute_sums(values, bulk if fits else None)
        return cls((tensor,), values, sums, (sums,), items)

    @classmethod
    def of_parts(cls, tensors: Sequence[Tensor], bulk: Bulk) -> Source:
        """Survey the features of a group, which share their tokens; `bulk` is of all of their channels."""
        values = torch.cat([convert(tensor, torch.float32) for tensor in tensors], 1).numpy()
        sums, first = [], 0
        for tensor in tensors:
            last = first + tensor.shape[1]
            sums.append(compute_sums(np.ascontiguousarray(values[:, first:last]), bulk.of_channels(first, last)))
            first = last
        return cls(tuple(tensors), values, total_sums(sums), tuple(sums))

    @property
    def tensor(self) -> Tensor:
        """The one tensor, or the first of a group."""
        return self.tensors[0]

    def part(self, number: int) -> Floats:
        """The values of one tensor."""
        if len(self.tensors) == 1:
            return self.values
        first = sum(tensor.shape[1] for tensor in self.tensors[:number])
        return np.ascontiguousarray(self.values[:, first : first + self.tensors[number].shape[1]])

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def tokens(self) -> int:
        """First length."""
        return self.tensor.shape[0]

    @property
    def channels(self) -> int:
        """Second length, of all tensors together."""
        return sum(tensor.shape[1] for tensor in self.tensors)


class PartShape(NamedTuple):
    """What a part of a record looks like."""

    channels: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Coded:
    """The layers of a record, coarse first, and what is lost."""

    layers: tuple[bytes, ...]
    errors: tuple[Distortion, ...] = (NO_DISTORTION,)
    """Of what a decoder makes of each prefix of the layers."""
    reached: bool = True
    """False where the quality asked for could not be reached, so that the source is better kept as it is."""
    part_errors: tuple[tuple[Distortion, ...], ...] = ()
    """Of a group: for each prefix of the layers, of each feature."""
    item_errors: tuple[tuple[Distortion, ...], ...] = ()
    """Of several items: for each prefix of the layers, of each item; found by decoding where a codec tells none."""


@dataclass(frozen=True)
class DecodeRequest:
    """What a codec is to decode of one record."""

    layers: Sequence[memoryview]
    tokens: int
    channels: Sequence[int]
    """Of each part."""
    dtypes: Sequence[torch.dtype]
    parts: Sequence[int]
    """Those that are wanted."""

"""Columns to channels: the values of several records, their tokens below each other, by the product that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs.klt.decode.sixteenths import Sixteenths
from lamofc_codecs.klt.format import KltParameters
from lamofc_codecs.klt.transform import Basis, Sums
from lamofc_codecs.runtime import Floats, lazy


class Product(Protocol):
    """Sums of columns in the channels, before the channels are scaled."""

    def sums(self, tokens: slice, channels: slice) -> Sums:
        """Return some channels of some tokens."""


def products_of(sixteenths: Sequence[Sixteenths], parameters: KltParameters) -> Iterator[tuple[Product, list[int]]]:
    """Yield products, each with the indices of the records whose tokens it has: of bytes where they hold all values."""
    every = list(range(len(sixteenths)))
    if parameters.basis is None:
        yield ScatteredColumns(sixteenths, parameters), every
        return
    two_bytes = [own.two_byte_columns() for own in sixteenths]
    held = [number for number in every if two_bytes[number] >= 0]
    if held:
        most = max(two_bytes[number] for number in held)
        yield ByteProduct([sixteenths[number] for number in held], parameters.basis, most), held
    wide = [number for number in every if two_bytes[number] < 0]
    if wide:
        yield WideProduct([sixteenths[number] for number in wide], parameters.basis), wide


class ScatteredColumns:
    """Without a transform: each column is a channel."""

    def __init__(self, sixteenths: Sequence[Sixteenths], parameters: KltParameters) -> None:
        self._values, self._parameters = _values_of(sixteenths), parameters

    def sums(self, tokens: slice, channels: slice) -> Sums:
        """Put the columns where their channels are."""
        values = self._values[tokens]
        out = np.zeros((len(values), self._parameters.channels), np.int32)
        out[:, self._parameters.order[: values.shape[1]]] = values
        return out[:, channels]


class ByteProduct:
    """Through the matrix by exact sums of bytes."""

    def __init__(self, sixteenths: Sequence[Sixteenths], basis: Basis, two_bytes: int) -> None:
        """Hold the first `two_bytes` columns in two bytes, the others in one."""
        bounds = np.cumsum([0, *(own.tokens.count for own in sixteenths)])
        self._low = np.zeros((bounds[-1], max(len(own.levels) for own in sixteenths)), np.int8)
        self._high, self._basis = np.zeros((bounds[-1], two_bytes), np.int8), basis
        for own, first, last in zip(sixteenths, bounds, bounds[1:], strict=False):
            own.write_bytes(self._low[first:last], self._high[first:last])

    def sums(self, tokens: slice, channels: slice) -> Sums:
        """Multiply integers."""
        return self._basis.inverse(self._low[tokens], self._high[tokens], channels)


class WideProduct:
    """Through the matrix in float64, for values that two bytes do not hold: exact, as sums are below 2^53."""

    def __init__(self, sixteenths: Sequence[Sixteenths], basis: Basis) -> None:
        self._values, self._basis = _values_of(sixteenths), basis

    def sums(self, tokens: slice, channels: slice) -> Sums:
        """Multiply, then round to float32."""
        values = torch.from_numpy(self._values[tokens]).to(torch.float64)
        sums: Floats = torch.mm(values, self._rows[:, channels]).to(torch.float32).numpy()
        return sums

    @lazy
    def _rows(self) -> torch.Tensor:
        return self._basis.rows[: self._values.shape[1]].to(torch.float64)


def _values_of(sixteenths: Sequence[Sixteenths]) -> NDArray[np.int32]:
    """Return the values of all tokens, in as many columns as the widest record has."""
    bounds = np.cumsum([0, *(own.tokens.count for own in sixteenths)])
    values = np.zeros((bounds[-1], max(len(own.levels) for own in sixteenths)), np.int32)
    for own, first, last in zip(sixteenths, bounds, bounds[1:], strict=False):
        values[first:last, : len(own.levels)] = own.by_token()
    return values

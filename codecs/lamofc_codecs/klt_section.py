"""The bytes of a `klt` record's layers: one place where they are written and read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.codec import need
from lamofc_codecs.energy import ENERGIES, Tokens
from lamofc_codecs.first_layer import read_first, write_first
from lamofc_codecs.golomb import read_numbers, write_numbers
from lamofc_codecs.order0 import Form, read_plane, write_plane
from lamofc_codecs.parameters import Parameters
from lamofc_codecs.refinement import FACTOR, read_refinement, write_refinement
from lamofc_codecs.runs import Numbers, Runs

MAX_LAYERS = 8
FINEST = 2.0**-100
"""Steps and their inverses stay well within float32."""
_START = struct.Struct("<fBB")
_EXACT = 1
_LENGTHS = 3


@dataclass(frozen=True)
class Head:
    """What a record says before its numbers."""

    step: float
    """Of the finest layer."""
    columns: tuple[int, ...]
    """Of each layer, coarse first: how many columns it holds, never fewer than the one before."""

    def step_of(self, layers: int) -> np.float32:
        """The step of a prefix of so many layers."""
        return np.float32(np.float32(self.step) * np.float32(FACTOR ** (len(self.columns) - layers)))

    def runs_of(self, layer: int, tokens: Tokens, known: Parameters) -> Runs:
        """Where the numbers of a layer stand."""
        return Runs.of(known.sigma[: self.columns[layer]], self.step_of(layer + 1), tokens)


@dataclass(frozen=True)
class Side:
    """What is told of each token."""

    tokens: Tokens
    index: NDArray[np.int64] | None
    """The number of its mean, where the profile has means."""


@dataclass(frozen=True)
class Read:
    """What layers hold."""

    numbers: Numbers
    runs: Runs
    step: np.float32
    side: Side
    exact: memoryview


def write_layers(
    head: Head, coded: Sequence[tuple[Numbers, Runs]], side: Side, known: Parameters, exact: bytes, least: int
) -> tuple[bytes, ...]:
    """Code all layers; the first is made to take `least` bytes if it would not."""
    base = write_first(*coded[0])
    index = b"" if side.index is None or known.means is None else known.means.write(side.index)
    form, plane = write_plane(side.tokens.energy, known.energies)
    if len(plane) + len(index) + len(base) < least:
        form, plane = Form.STORED, side.tokens.energy.tobytes()
    listed = write_numbers(np.array([*head.columns, len(plane), len(index), len(base)], np.int64))
    start = _START.pack(head.step, len(head.columns), _EXACT * bool(exact))
    layers = [b"".join((start, listed, bytes((form,)), plane, index, base, exact))]
    for (before, _), (numbers, runs) in pairwise(coded):
        layers.append(write_refinement(numbers, before, runs))
    return tuple(layers)


def read_layers(layers: Sequence[memoryview], tokens: int, known: Parameters) -> Read:
    """Read a prefix of the layers; nothing in them is believed."""
    data = layers[0]
    need(len(data) > _START.size, f"{len(data)} bytes of a first layer")
    step, count, flags = _START.unpack_from(data)
    need(FINEST <= step <= 1 / FINEST, f"a step of {step}")
    need(len(layers) <= count <= MAX_LAYERS and flags <= _EXACT, f"{count} layers, flags {flags}")
    listed, used = read_numbers(data[_START.size :], count + _LENGTHS)
    head, lengths = Head(step, tuple(listed[:count].tolist())), listed[count:].tolist()
    at = _START.size + used
    rising = all(a <= b for a, b in pairwise(head.columns))
    need(rising and head.columns[-1] <= len(known.sigma), f"layers of {head.columns} columns")
    need(at + 1 + sum(lengths) <= len(data), f"parts of {lengths} bytes in a first layer of {len(data)}")
    need((at + 1 + sum(lengths) < len(data)) == bool(flags & _EXACT), f"flags {flags}, yet other bytes at the end")
    energy = np.empty(tokens, np.uint8)
    form, at = data[at], at + 1
    read_plane(form, data[at : at + lengths[0]], energy, known.energies)
    need(not len(energy) or energy.max() < ENERGIES, "an energy class beyond the last")
    at += lengths[0]
    need((lengths[1] > 0) == (known.means is not None), f"{lengths[1]} bytes of mean numbers")
    index = None if known.means is None else known.means.read(data[at : at + lengths[1]], tokens)
    at += lengths[1]
    side = Side(Tokens.of(energy), index)
    runs = head.runs_of(0, side.tokens, known)
    numbers = read_first(data[at : at + lengths[2]], runs)
    for layer in range(1, len(layers)):
        runs = head.runs_of(layer, side.tokens, known)
        numbers = read_refinement(layers[layer], numbers, runs)
    return Read(numbers, runs, head.step_of(len(layers)), side, data[at + lengths[2] :])

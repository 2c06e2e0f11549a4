"""The bytes of a `klt` record's layers: one place where they are written and read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import Form, read_numbers, read_plane, write_numbers, write_plane
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.klt.layers import (
    FACTOR,
    LayerSplit,
    Numbers,
    PartialLevel,
    Runs,
    entropy_classes,
    read_first,
    read_refinement,
    state_after,
    write_first,
    write_refinement,
)
from lamofc_codecs.klt.quantise import ENERGIES, ItemGains, Tokens, read_lifts, write_lifts
from lamofc_codecs.klt.transform import TokenGrid

MAX_LEVELS = 7
"""Each may be four stages, and a record has at most 32 layers."""
FINEST = 2.0**-100
"""Steps and their inverses stay well within float32."""
_START = struct.Struct("<fBB")
_EXACT, _CUT, _SILENT, _LIFTED, _SEVERAL = 1, 2, 4, 8, 16
_LENGTHS = 3


@dataclass(frozen=True)
class Head:
    """What a record says before its numbers."""

    step: float
    """Of the finest level."""
    columns: tuple[int, ...]
    """Of each level, coarse first: how many columns it holds, never fewer than the one before."""
    cuts: tuple[LayerSplit, ...]
    """Of each level after the first: how it is cut into layers."""
    silent: bool = False
    """Whether runs that are of class 0 in the finest level are left out of all."""

    def step_of(self, level: int) -> np.float32:
        """The step of a level, 0 being the coarsest."""
        return np.float32(np.float32(self.step) * np.float32(FACTOR ** (len(self.columns) - 1 - level)))

    def runs_of(self, level: int, tokens: Tokens, known: KltParameters) -> Runs:
        """Where the numbers of a level stand."""
        sigma = known.spreads[:, : self.columns[level]]
        silent = entropy_classes(sigma, np.float32(self.step), tokens) == 0 if self.silent else None
        return Runs.of(sigma, self.step_of(level), tokens, silent)


@dataclass(frozen=True)
class Side:
    """What is told of each token."""

    tokens: Tokens
    index: NDArray[np.int64] | None
    """The number of its mean, where the profile has means."""
    field: TokenGrid
    """The field that tokens were turned into waves on."""
    lifts: ItemGains | None = None
    """Of each token, where items share a step."""


@dataclass(frozen=True)
class Level:
    """The numbers of a level, and what they stand for."""

    numbers: Numbers
    runs: Runs
    step: np.float32
    between: PartialLevel | None = None
    """Where layers end within it: what is known of the numbers."""


@dataclass(frozen=True)
class Read:
    """What layers hold."""

    level: Level
    """The finest of which they tell."""
    side: Side
    exact: memoryview
    head: Head


def write_layers(
    head: Head, coded: Sequence[tuple[Numbers, Runs]], side: Side, known: KltParameters, exact: bytes, least: int
) -> tuple[bytes, ...]:
    """Code all levels, those after the first in stages; the first layer is made to take `least` bytes or more."""
    base = write_first(*coded[0])
    index = b"" if side.index is None or known.means is None else known.means.write(side.index)
    form, plane = write_plane(side.tokens.energy, known.energies)
    if len(plane) + len(index) + len(base) < least:
        form, plane = Form.STORED, side.tokens.energy.tobytes()
    lifts = b"" if side.lifts is None else write_lifts(side.lifts)
    cuts = b"".join(bytes((cut.halves, cut.rest)) for cut in head.cuts)
    several = side.field.images > 1
    flags = _EXACT * bool(exact) | _CUT * any(cuts) | _SILENT * head.silent | _LIFTED * bool(lifts) | _SEVERAL * several
    field = () if known.terrain is None else astuple(side.field)[: 3 + several]
    listed = write_numbers(np.array([*head.columns, len(plane), len(index), len(base), *field], np.int64))
    start = _START.pack(head.step, len(head.columns), flags) + cuts * any(cuts) + listed
    layers = [b"".join((start, bytes((form,)), plane, index, lifts, base, exact))]
    for ((before, _), (numbers, runs)), cut in zip(pairwise(coded), head.cuts, strict=True):
        layers += write_refinement(numbers, before, runs, cut.stages)
    return tuple(layers)


@dataclass(frozen=True)
class Opened:
    """Layers before their numbers are read."""

    head: Head
    side: Side
    base: memoryview
    """The numbers of the first level."""
    later: tuple[tuple[memoryview, ...], ...]
    """The layers of each level after it that are there; of the last one, maybe not all."""
    exact: memoryview

    @property
    def known(self) -> NDArray[np.uint8] | None:
        """How much is known of each class in the last level that is there; None where all of it is."""
        stages = self.head.cuts[len(self.later) - 1].stages if self.later else ()
        there = self.later[-1] if self.later else ()
        return state_after(stages[: len(there)]) if len(there) < len(stages) else None


def open_layers(layers: Sequence[memoryview], tokens: int, channels: Sequence[int], known: KltParameters) -> Opened:
    """Read what stands before the numbers of a prefix of the layers; nothing in them is believed."""
    require(list(channels) == known.widths, f"parts of {list(channels)} channels; the profile has {known.widths}")
    data = layers[0]
    step, flags, cuts, at = read_start(data)
    levels = len(cuts) + 1
    require(len(layers) <= 1 + sum(len(cut.stages) for cut in cuts), f"{len(layers)} layers of {levels} levels, {cuts}")
    listed, used = read_numbers(data[at:], levels + _LENGTHS + _numbers_of_field(flags, known))
    head = Head(step, tuple(listed[:levels].tolist()), cuts, bool(flags & _SILENT))
    lengths = listed[levels : levels + _LENGTHS].tolist()
    field = TokenGrid(*listed[levels + _LENGTHS :].tolist())
    require(field.fits(tokens) and (field.images > 1) == bool(flags & _SEVERAL), f"{field} of {tokens} tokens")
    at += used
    rising = all(a <= b for a, b in pairwise(head.columns))
    require(rising and head.columns[-1] <= known.columns, f"levels of {head.columns} columns")
    require(at + 1 + sum(lengths) <= len(data), f"parts of {lengths} bytes in a first layer of {len(data)}")
    energy = np.empty(tokens, np.uint8)
    form, at = data[at], at + 1
    read_plane(form, data[at : at + lengths[0]], energy, known.energies)
    require(not len(energy) or energy.max() < ENERGIES, "an energy class beyond the last")
    at += lengths[0]
    require((lengths[1] > 0) == (known.means is not None), f"{lengths[1]} bytes of mean numbers")
    index = None if known.means is None else known.means.read(data[at : at + lengths[1]], tokens)
    at += lengths[1]
    lifts = None
    if flags & _LIFTED:
        require(not field.rows, f"lifts of tokens on {field}")
        lifts, used = read_lifts(data[at:], tokens)
        at += used
    side = Side(Tokens.of(energy, field.bands(tokens)), index, field, lifts)
    later, sections = [], tuple(layers[1:])
    for cut in cuts:
        if sections:
            later.append(sections[: len(cut.stages)])
            sections = sections[len(cut.stages) :]
    end = at + lengths[2]
    require(
        (end < len(data)) == bool(flags & _EXACT) and end <= len(data), f"flags {flags}, {len(data)} bytes, not {end}"
    )
    return Opened(head, side, data[at:end], tuple(later), data[end:])


def _numbers_of_field(flags: int, known: KltParameters) -> int:
    """How many numbers tell the field: none without waves, one more for several images."""
    require(known.terrain is not None or not flags & _SEVERAL, f"flags {flags} without a field")
    return 0 if known.terrain is None else 4 if flags & _SEVERAL else 3


def read_layers(layers: Sequence[memoryview], tokens: int, channels: Sequence[int], known: KltParameters) -> Read:
    """Read a prefix of the layers."""
    opened = open_layers(layers, tokens, channels, known)
    head, tokens_there = opened.head, opened.side.tokens
    runs = head.runs_of(0, tokens_there, known)
    numbers, between = read_first(opened.base, runs), None
    for level, told in enumerate(opened.later, 1):
        before, runs_before, runs = numbers, runs, head.runs_of(level, tokens_there, known)
        numbers = read_refinement(told, before, runs, head.cuts[level - 1].stages)
        if level == len(opened.later) and opened.known is not None:
            between = PartialLevel(before, runs_before, opened.known)
    return Read(Level(numbers, runs, head.step_of(len(opened.later)), between), opened.side, opened.exact, head)


def read_start(data: memoryview) -> tuple[float, int, tuple[LayerSplit, ...], int]:
    """The finest step, the flags, the cut of each level after the first, and where the lists begin."""
    require(len(data) > _START.size, f"{len(data)} bytes of a first layer")
    step, levels, flags = _START.unpack_from(data)
    require(FINEST <= step <= 1 / FINEST, f"a step of {step}")
    every = _EXACT | _CUT | _SILENT | _LIFTED | _SEVERAL
    require(1 <= levels <= MAX_LEVELS and flags <= every, f"{levels} levels, flags {flags}")
    if not flags & _CUT:
        return step, flags, (LayerSplit(),) * (levels - 1), _START.size
    end = _START.size + 2 * (levels - 1)
    require(len(data) >= end, f"{len(data)} bytes for the cuts of {levels} levels")
    cuts = tuple(LayerSplit(data[at], data[at + 1]) for at in range(_START.size, end, 2))
    require(all(cut.sane for cut in cuts) and cuts != (LayerSplit(),) * len(cuts), f"levels cut {cuts}")
    return step, flags, cuts, end

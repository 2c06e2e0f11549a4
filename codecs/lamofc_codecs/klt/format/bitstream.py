"""The bytes of a `klt` record's layers: the one place where they are written and read."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import Form, read_numbers, read_plane, write_numbers, write_plane
from lamofc_codecs.klt.format.positions import read_positions, write_positions
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.klt.layers import (
    STEP_RATIO,
    LayerSplit,
    Levels,
    PartialLevel,
    Runs,
    read_first,
    read_refinement,
    state_after,
    write_first,
    write_refinement,
)
from lamofc_codecs.klt.quantise import TOKEN_CLASSES, ItemGains, TokenGroups, read_gains, write_gains
from lamofc_codecs.klt.transform import NO_TYPICAL_TOKEN, Positions, TokenGrid

MAX_REFINEMENT_LEVELS = 7
"""Each after the first may be four layers, and a record has at most 32."""
MIN_STEP = 2.0**-100
"""Steps from here to the inverse of this, and their inverses, stay well within float32."""
_START = struct.Struct("<fBB")
_EXACT, _SPLIT, _PRUNED, _GAINS, _SEVERAL_IMAGES, _POSITIONS = 1, 2, 4, 8, 16, 32
_ALL_FLAGS = _EXACT | _SPLIT | _PRUNED | _GAINS | _SEVERAL_IMAGES | _POSITIONS
_LENGTHS = 3
"""Listed lengths of parts of the first layer: token classes, codebook indices, levels."""


@dataclass(frozen=True)
class LayerHead:
    """Structure of a record's refinement levels, which stands before all else."""

    step: float
    """Step of the finest refinement level."""
    columns: tuple[int, ...]
    """Columns that each refinement level holds, coarse first, never fewer than the one before."""
    splits: tuple[LayerSplit, ...]
    """Split into layers of each refinement level after the first."""
    pruned: bool = False
    """Whether runs that are of class 0 at the finest step are left out of all refinement levels."""

    def step_of(self, depth: int) -> np.float32:
        """Step of a refinement level, 0 being the coarsest."""
        ratio = STEP_RATIO ** (len(self.columns) - 1 - depth)
        return np.float32(np.float32(self.step) * np.float32(ratio))

    def runs_of(self, depth: int, tokens: TokenGroups, parameters: KltParameters) -> Runs:
        """Runs of a refinement level, 0 being the coarsest."""
        sigma = parameters.spreads[:, : self.columns[depth]]
        return Runs.for_step(sigma, self.step_of(depth), tokens, np.float32(self.step) if self.pruned else None)


@dataclass(frozen=True)
class SideInformation:
    """All that is stored of each token besides its levels."""

    tokens: TokenGroups
    index: NDArray[np.int64] | None
    """Codebook index of each token, where the profile has a codebook."""
    grid: TokenGrid
    """Grid of the block DCT."""
    positions: Positions
    """Position of each token in its sequence."""
    item_gains: ItemGains | None = None
    """Gain of each token, where items share a step or tokens are sinks."""


@dataclass(frozen=True)
class DecodedLevel:
    """Levels of one refinement level, and what their reconstruction depends on."""

    levels: Levels
    runs: Runs
    step: np.float32
    partial: PartialLevel | None = None
    """State of the levels, where layers end within the refinement level."""


@dataclass(frozen=True)
class ReadLayers:
    """Content of a prefix of the layers."""

    level: DecodedLevel
    """The finest refinement level of the prefix."""
    side: SideInformation
    exact: memoryview
    head: LayerHead


def write_layers(
    head: LayerHead,
    coded: Sequence[tuple[Levels, Runs]],
    side: SideInformation,
    parameters: KltParameters,
    exact: bytes,
    min_bytes: int,
) -> tuple[bytes, ...]:
    """Code all refinement levels, those after the first pass by pass.

    The first layer takes at least `min_bytes`: a reader refuses records that claim too many values for their bytes.
    """
    first = write_first(*coded[0])
    index = b"" if side.index is None or parameters.codebook is None else parameters.codebook.write(side.index)
    form, plane = write_plane(side.tokens.token_class, parameters.token_class_table)
    if len(plane) + len(index) + len(first) < min_bytes:
        form, plane = Form.STORED, side.tokens.token_class.tobytes()
    gains = b"" if side.item_gains is None else write_gains(side.item_gains)
    positions = write_positions(side.positions) if parameters.space.positioned else b""
    splits = b"".join(bytes((split.outward, split.remaining)) for split in head.splits)
    several = side.grid.images > 1
    flags = _EXACT * bool(exact) | _SPLIT * any(splits) | _PRUNED * head.pruned | _GAINS * bool(gains)
    flags |= _SEVERAL_IMAGES * several | _POSITIONS * bool(positions)
    grid = () if parameters.grid_rule is None else astuple(side.grid)[: 3 + several]
    listed = write_numbers(np.array([*head.columns, len(plane), len(index), len(first), *grid], np.int64))
    start = _START.pack(head.step, len(head.columns), flags) + splits * any(splits) + listed
    layers = [b"".join((start, bytes((form,)), plane, index, gains, positions, first, exact))]
    for ((coarse, _), (levels, runs)), split in zip(pairwise(coded), head.splits, strict=True):
        layers += write_refinement(levels, coarse, runs, split.passes)
    return tuple(layers)


@dataclass(frozen=True)
class OpenedLayers:
    """A prefix of the layers, before its levels are decoded."""

    head: LayerHead
    side: SideInformation
    first: memoryview
    """Levels of the first refinement level."""
    refinements: tuple[tuple[memoryview, ...], ...]
    """Layers of each refinement level after it that are present; of the last one, perhaps not all."""
    exact: memoryview

    @property
    def state(self) -> NDArray[np.uint8] | None:
        """Decoded state of each class in the last refinement level; None where it is complete."""
        passes = self.head.splits[len(self.refinements) - 1].passes if self.refinements else ()
        present = self.refinements[-1] if self.refinements else ()
        return state_after(passes[: len(present)]) if len(present) < len(passes) else None


def open_layers(
    layers: Sequence[memoryview], tokens: int, channels: Sequence[int], parameters: KltParameters
) -> OpenedLayers:
    """Read and check what stands before the levels of a prefix of the layers."""
    widths = parameters.widths
    require(list(channels) == widths, f"parts of {list(channels)} channels; the profile has {widths}")
    data = layers[0]
    step, flags, splits, at = read_start(data)
    depth = len(splits) + 1
    most = 1 + sum(len(split.passes) for split in splits)
    require(len(layers) <= most, f"{len(layers)} layers of {depth} refinement levels, {splits}")
    listed, used = read_numbers(data[at:], depth + _LENGTHS + _grid_numbers(flags, parameters))
    at += used
    head = LayerHead(step, tuple(listed[:depth].tolist()), splits, bool(flags & _PRUNED))
    rising = all(a <= b for a, b in pairwise(head.columns))
    require(rising and head.columns[-1] <= parameters.columns, f"refinement levels of {head.columns} columns")
    grid = TokenGrid(*listed[depth + _LENGTHS :].tolist())
    several = bool(flags & _SEVERAL_IMAGES)
    require(grid.fits(tokens) and (grid.images > 1) == several, f"{grid} of {tokens} tokens")
    lengths = listed[depth : depth + _LENGTHS].tolist()
    require(at + 1 + sum(lengths) <= len(data), f"parts of {lengths} bytes in a first layer of {len(data)}")
    require(not (flags & _GAINS and grid.rows), f"item gains of tokens on {grid}")
    (token_class, index, gains, positions), at = _read_tokens(data, at, flags, lengths, tokens, parameters)
    side = SideInformation(TokenGroups.from_classes(token_class, grid.bands(tokens)), index, grid, positions, gains)
    end = at + lengths[2]
    filled = (end < len(data)) == bool(flags & _EXACT) and end <= len(data)
    require(filled, f"flags {flags}, {len(data)} bytes, not {end}")
    return OpenedLayers(head, side, data[at:end], _by_refinement(layers[1:], splits), data[end:])


_PerToken = tuple[NDArray[np.uint8], NDArray[np.int64] | None, ItemGains | None, Positions]


def _read_tokens(
    data: memoryview, at: int, flags: int, lengths: list[int], tokens: int, parameters: KltParameters
) -> tuple[_PerToken, int]:
    """Read token classes, codebook indices, item gains and positions; return also where they end."""
    token_class = np.empty(tokens, np.uint8)
    form, at = data[at], at + 1
    read_plane(form, data[at : at + lengths[0]], token_class, parameters.token_class_table)
    largest = int(token_class.max(initial=0))
    require(largest < TOKEN_CLASSES, f"a token class of {largest}; the largest is {TOKEN_CLASSES - 1}")
    at += lengths[0]
    codebook = parameters.codebook
    require((lengths[1] > 0) == (codebook is not None), f"{lengths[1]} bytes of codebook indices")
    index = None if codebook is None else codebook.read(data[at : at + lengths[1]], tokens)
    at += lengths[1]
    gains, positions = None, np.arange(tokens)
    if flags & _GAINS:
        gains, used = read_gains(data[at:], tokens)
        at += used
    require(parameters.space.positioned or not flags & _POSITIONS, f"flags {flags}; the profile knows no positions")
    if flags & _POSITIONS:
        positions, used = read_positions(data[at:], tokens)
        at += used
    if index is not None:
        index[parameters.space.is_first(positions)] = NO_TYPICAL_TOKEN
    return (token_class, index, gains, positions), at


def _by_refinement(layers: Sequence[memoryview], splits: Sequence[LayerSplit]) -> tuple[tuple[memoryview, ...], ...]:
    """Layers after the first, by the refinement level that they belong to."""
    refinements: list[tuple[memoryview, ...]] = []
    for split in splits:
        if layers:
            refinements.append(tuple(layers[: len(split.passes)]))
            layers = layers[len(split.passes) :]
    return tuple(refinements)


def _grid_numbers(flags: int, parameters: KltParameters) -> int:
    """Count the numbers that tell the grid: none without a block DCT, one more for several images."""
    require(parameters.grid_rule is not None or not flags & _SEVERAL_IMAGES, f"flags {flags} without a grid")
    return 0 if parameters.grid_rule is None else 4 if flags & _SEVERAL_IMAGES else 3


def read_layers(
    layers: Sequence[memoryview], tokens: int, channels: Sequence[int], parameters: KltParameters
) -> ReadLayers:
    """Decode the levels of a prefix of the layers."""
    opened = open_layers(layers, tokens, channels, parameters)
    head, groups = opened.head, opened.side.tokens
    runs = head.runs_of(0, groups, parameters)
    levels, partial = read_first(opened.first, runs), None
    for depth, sections in enumerate(opened.refinements, 1):
        coarse, coarse_runs, runs = levels, runs, head.runs_of(depth, groups, parameters)
        levels = read_refinement(sections, coarse, runs, head.splits[depth - 1].passes)
        if depth == len(opened.refinements) and opened.state is not None:
            partial = PartialLevel(coarse, coarse_runs, opened.state)
    step = head.step_of(len(opened.refinements))
    return ReadLayers(DecodedLevel(levels, runs, step, partial), opened.side, opened.exact, head)


def read_start(data: memoryview) -> tuple[float, int, tuple[LayerSplit, ...], int]:
    """Read the finest step, the flags and the split of each refinement level; return also where the lists begin."""
    require(len(data) > _START.size, f"{len(data)} bytes of a first layer")
    step, depth, flags = _START.unpack_from(data)
    require(MIN_STEP <= step <= 1 / MIN_STEP, f"a step of {step}")
    valid = 1 <= depth <= MAX_REFINEMENT_LEVELS and flags <= _ALL_FLAGS
    require(valid, f"{depth} refinement levels, flags {flags}")
    unsplit = (LayerSplit(),) * (depth - 1)
    if not flags & _SPLIT:
        return step, flags, unsplit, _START.size
    end = _START.size + 2 * (depth - 1)
    require(len(data) >= end, f"{len(data)} bytes for the splits of {depth} refinement levels")
    splits = tuple(LayerSplit(data[at], data[at + 1]) for at in range(_START.size, end, 2))
    require(all(split.valid for split in splits) and splits != unsplit, f"refinement levels split at {splits}")
    return step, flags, splits, end

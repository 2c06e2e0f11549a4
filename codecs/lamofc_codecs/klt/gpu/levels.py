"""Levels of a batch of `klt` records, decoded by array operations that run on any device.

The compiled loops of the CPU go from level to level; here all records are done at once, and the place of a symbol
follows from running counts. Levels stand as tokens x columns, the tokens of all records below each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import CLASSES, shape_of_classes, sigma_tables
from lamofc_codecs.klt.gpu.batch_entry import BatchEntry, ChosenRuns, Ints, LevelPlaces
from lamofc_codecs.klt.gpu.symbols import BatchBytes
from lamofc_codecs.klt.layers import (
    INWARD,
    MAGNITUDES,
    MAX_REFINABLE,
    STEP_RATIO,
    alphabets_of,
    refinement_tables,
)
from lamofc_codecs.level_coding import MAX_LEVELS_PER_BYTE, CodedBlock, read_escapes

_TOO_LARGE = 64
"""Error code of levels that cannot be refined."""


def read_first_level(batch: Sequence[BatchEntry], coded: BatchBytes, order: Tensor, levels: Tensor) -> None:
    """Fill the levels of the first refinement level of all records, which are 0 so far."""
    chosen: list[ChosenRuns] = [(entry, entry.runs[0], np.arange(len(entry.runs[0].classes))) for entry in batch]
    classes = np.concatenate([entry.runs[0].classes for entry in batch])
    shifts, radii = shape_of_classes()[1:, classes].astype(np.int64)
    places = LevelPlaces.of_runs(chosen, order, levels.shape[1])
    blocks = [CodedBlock.parse(e.opened.first, e.runs[0].layout.count, e.runs[0].layout.low_bits) for e in batch]
    starts = np.array([int(coded.starts[e.pieces[0]]) + block.start for e, block in zip(batch, blocks, strict=True)])
    sizes = np.array([len(block.symbols) for block in blocks])
    counts = np.array([entry.runs[0].layout.count for entry in batch])
    rows = torch.from_numpy(np.concatenate([entry.runs[0].layout.table_of_row for entry in batch]).astype(np.int32))
    spans = np.stack([starts, starts + sizes], 1)
    symbols = coded.decode(spans, counts, rows.to(order.device), sigma_tables())
    values = symbols.view(torch.int8).to(torch.int32)
    escaped = torch.nonzero(symbols == 128).flatten()
    at = escaped.cpu().numpy()
    run = np.searchsorted(np.cumsum(places.lengths), at, side="right")
    bounds = pairwise([0, *np.searchsorted(at, np.cumsum(counts)).tolist()])
    high = [
        read_escapes(block.escapes, radii[run[first:last]], shifts[run[first:last]])
        for block, (first, last) in zip(blocks, bounds, strict=True)
    ]
    values[escaped] = torch.from_numpy(np.concatenate(high).astype(np.int32)).to(order.device)
    if shifts.any():
        values = _with_low_bits(values, places, shifts, _low_bit_starts(batch, places, shifts, starts + sizes), coded)
    levels.view(-1)[places.place] = values


def _low_bit_starts(batch: Sequence[BatchEntry], places: LevelPlaces, shifts: Ints, low_starts: Ints) -> Ints:
    """Bit of the batch's bytes at which the low bits of each run begin."""
    ends = np.cumsum([len(entry.runs[0].classes) for entry in batch])
    by_record = np.split(places.lengths * shifts, ends[:-1])
    starts = [8 * start + np.cumsum(bits) - bits for bits, start in zip(by_record, low_starts, strict=True)]
    return np.concatenate(starts)


def _with_low_bits(values: Tensor, places: LevelPlaces, shifts: Ints, starts: Ints, coded: BatchBytes) -> Tensor:
    """Append the low bits to the high parts."""
    shift = places.spread(shifts)
    at = places.spread(starts) + places.within * shift
    low, middle, high = (coded.on_device[(at >> 3) + byte].to(torch.int64) for byte in range(3))
    raw = ((low | middle << 8 | high << 16) >> (at & 7)) & ((1 << shift) - 1)
    return ((values.to(torch.int64) << shift) + raw - ((1 << shift) >> 1)).to(torch.int32)


def read_next_level(batch: Sequence[BatchEntry], depth: int, coded: BatchBytes, order: Tensor, levels: Tensor) -> None:
    """Refine the levels of those records that have this refinement level, pass by pass, in place."""
    present = [entry for entry in batch if len(entry.opened.refinements) >= depth]
    coarse = levels.clone()
    for entry in present:
        levels[entry.rows] *= STEP_RATIO
    for number in range(max(len(entry.opened.refinements[depth - 1]) for entry in present)):
        _BatchPass(present, depth, number).read(coded, order, coarse, levels)


class _BatchPass:
    """One pass of a refinement level of several records: its runs, and the alphabet of each."""

    def __init__(self, batch: Sequence[BatchEntry], depth: int, number: int) -> None:
        before = depth - 1
        self.batch = [entry for entry in batch if len(entry.opened.refinements[before]) > number]
        self.data = [entry.opened.refinements[before][number] for entry in self.batch]
        layers_before = [sum(map(len, entry.opened.refinements[:before])) for entry in self.batch]
        self.pieces = [e.pieces[1 + count + number] for e, count in zip(self.batch, layers_before, strict=True)]
        self.chosen: list[ChosenRuns] = []
        classes, alphabets, owners = [], [], []
        for owner, entry in enumerate(self.batch):
            runs, coding_pass = entry.runs[depth], entry.opened.head.splits[before].passes[number]
            every = np.minimum(runs.classes, CLASSES - 1).astype(np.int64)
            order = np.argsort(every, kind="stable")
            which = order[(every[order] >= coding_pass.low) & (every[order] < coding_pass.high)]
            self.chosen.append((entry, runs, which))
            classes.append(every[which])
            alphabets.append(alphabets_of(coding_pass)[every[which]])
            owners.append(np.full(len(which), owner))
        self.classes, self.alphabets = np.concatenate(classes), np.concatenate(alphabets).astype(np.int64)
        self.owners = np.concatenate(owners)

    def read(self, coded: BatchBytes, order: Tensor, coarse: Tensor, levels: Tensor) -> None:
        """Add the digits of the pass to the levels."""
        places = LevelPlaces.of_runs(self.chosen, order, levels.shape[1])
        before, now = coarse.view(-1)[places.place], levels.view(-1)[places.place]
        coded.add_error_codes(_TOO_LARGE * (before.abs() > MAX_REFINABLE).any())
        outwards = (now - STEP_RATIO * before) * torch.where(before < 0, -1, 1) == 1
        has_symbol = ~(outwards & (places.spread(self.alphabets) == INWARD))
        magnitude = before.abs().clamp(max=MAGNITUDES - 1)
        symbols, symbol_of = self._symbols(coded, places, has_symbol, magnitude)
        digit = torch.where(has_symbol, symbols[symbol_of].view(torch.int8), 0)
        levels.view(-1)[places.place] = now + torch.where(before < 0, -digit, digit)

    def _symbols(
        self, coded: BatchBytes, places: LevelPlaces, has_symbol: Tensor, magnitude: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Decode the symbols of all records; also return the index of each level's symbol, the last one for none."""
        starts = np.cumsum(places.lengths) - places.lengths
        segment = self.owners * CLASSES + self.classes
        heads = np.flatnonzero(np.diff(segment, prepend=-1))
        first = torch.from_numpy(starts[heads]).to(has_symbol.device)
        segment_of = places.spread(np.searchsorted(heads, np.arange(len(segment)), side="right") - 1)
        shape = len(self.batch), MAGNITUDES, CLASSES
        counts = torch.zeros(shape, dtype=torch.int64, device=has_symbol.device)
        ranks = torch.zeros_like(places.place)
        owner, sigma_class = (
            torch.from_numpy(values[heads]).to(has_symbol.device) for values in (self.owners, self.classes)
        )
        for size in range(MAGNITUDES):
            chosen = has_symbol & (magnitude == size)
            passed = torch.cumsum(torch.nn.functional.pad(chosen.to(torch.int64), (1, 0)), 0)
            bounds = passed[torch.cat([first, first.new_tensor([len(has_symbol)])])]
            counts[owner, size, sigma_class] = bounds[1:] - bounds[:-1]
            ranks = torch.where(chosen, passed[:-1] - bounds[segment_of], ranks)
        every = counts.reshape(-1)
        ends = torch.cumsum(every, 0)
        table = (places.spread(self.owners) * MAGNITUDES + magnitude) * CLASSES + places.spread(self.classes)
        symbols = self._decode(coded, counts, ends)
        return symbols, torch.where(has_symbol, (ends - every)[table] + ranks, len(symbols) - 1)

    def _decode(self, coded: BatchBytes, counts: Tensor, ends: Tensor) -> Tensor:
        """Decode the symbols of all records, and append one."""
        each = counts.sum((1, 2)).cpu().numpy()
        for data, count in zip(self.data, each.tolist(), strict=True):
            require(count <= len(data) * MAX_LEVELS_PER_BYTE, f"{len(data)} bytes for {count} levels to refine")
        rows = -(-each // 32)
        owner = np.repeat(np.arange(len(each)), rows)
        row = np.arange(int(rows.sum())) - np.repeat(np.cumsum(rows) - rows, rows)
        last = np.minimum(32 * row + 31, each[owner] - 1) + (np.cumsum(each) - each)[owner]
        index = torch.searchsorted(ends, torch.from_numpy(last).to(ends.device), right=True)
        alphabet = torch.from_numpy(self._alphabet_of_class()).to(ends.device)
        inside = index % (MAGNITUDES * CLASSES)
        tables = inside + MAGNITUDES * CLASSES * alphabet[index // (MAGNITUDES * CLASSES), inside % CLASSES]
        spans = np.stack([coded.starts[self.pieces], coded.starts[np.array(self.pieces) + 1]], 1)
        symbols = coded.decode(spans, each, tables, refinement_tables())
        return torch.nn.functional.pad(symbols, (0, 1))

    def _alphabet_of_class(self) -> Ints:
        """Records x classes."""
        alphabets = np.zeros((len(self.batch), CLASSES), np.int64)
        alphabets[self.owners, self.classes] = self.alphabets
        return alphabets

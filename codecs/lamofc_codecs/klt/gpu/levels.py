"""The numbers of a batch of `klt` records, decoded level by level by array operations that run on any device.

What the compiled loops of `first_layer` and `refinement` do number by number is done here for all records at once: a
symbol's place follows from running counts. Numbers stand as tokens x columns, the tokens of all records below each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.codec import require
from lamofc_codecs.entropy import CLASSES, LARGEST_LEVEL, shape_of_classes, sigma_tables
from lamofc_codecs.klt.format import Opened
from lamofc_codecs.klt.gpu.symbols import Entropy
from lamofc_codecs.klt.layers import (
    FACTOR,
    MAGNITUDES,
    REFINED,
    SECOND,
    Runs,
    forms_of,
    read_escapes,
    refinement_tables,
)

_MOST = 1 << 15
_SIZE = 4
_TOO_LARGE = 64
"""The verdict on numbers that cannot be refined."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Laid:
    """One record of a batch."""

    opened: Opened
    row: int
    """Its first token among those of the batch."""
    runs: tuple[Runs, ...]
    """Of each level that is there."""
    pieces: tuple[int, ...]
    """Which pieces of the batch are its first level, and the layers after it."""

    @property
    def rows(self) -> slice:
        """Its tokens among those of the batch."""
        return slice(self.row, self.row + self.opened.side.tokens.count)


@dataclass(frozen=True, eq=False)
class Flat:
    """Runs of several records, one after another, and the places of their numbers."""

    lengths: Ints
    run: Tensor
    """Of each number."""
    within: Tensor
    """Which of its run's numbers each is."""
    places: Tensor
    """Where each stands in tokens x columns."""

    @classmethod
    def of(cls, chosen: Sequence[tuple[Laid, Runs, Ints]], order: Tensor, columns: int) -> Flat:
        """Of each record the runs of those numbers; `order` lists each record's tokens as they are sorted."""
        first = np.concatenate([laid.row + runs.first[which] for laid, runs, which in chosen])
        column = np.concatenate([runs.column[which] for _, runs, which in chosen])
        lengths = np.concatenate([runs.length[which] for _, runs, which in chosen]).astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        told = torch.from_numpy(np.stack([lengths, starts, first, column])).to(order.device)
        total = int(lengths.sum())
        run = torch.repeat_interleave(torch.arange(len(lengths), device=order.device), told[0], output_size=total)
        within = torch.arange(total, device=order.device) - told[1][run]
        return cls(lengths, run, within, order[told[2][run] + within] * columns + told[3][run])

    def each(self, of_runs: NDArray[np.generic]) -> Tensor:
        """What is known of each run, of each number."""
        return torch.from_numpy(np.ascontiguousarray(of_runs)).to(self.run.device)[self.run]


def first_level(batch: Sequence[Laid], entropy: Entropy, order: Tensor, numbers: Tensor) -> None:
    """Fill the numbers of all records' first level, which are 0 so far."""
    chosen = [(laid, laid.runs[0], np.arange(len(laid.runs[0].order))) for laid in batch]
    classes = np.concatenate([laid.runs[0].classes for laid in batch])
    shifts, radii = shape_of_classes()[1:, classes].astype(np.int64)
    flat = Flat.of(chosen, order, numbers.shape[1])
    spans, low = _first_spans(batch, entropy)
    counts = np.array([laid.runs[0].count for laid in batch])
    rows = torch.from_numpy(np.concatenate([laid.runs[0].table_of_row for laid in batch]).astype(np.int32))
    symbols = entropy.decode(spans, counts, rows.to(order.device), sigma_tables())
    values = symbols.view(torch.int8).to(torch.int32)
    escaped = torch.nonzero(symbols == 128).flatten()
    at = escaped.cpu().numpy()
    high = _escapes(batch, at, np.cumsum(counts), low)
    run = np.searchsorted(np.cumsum(flat.lengths), at, side="right")
    beyond = (high >> 1) + radii[run] + 1
    require(not len(at) or int((beyond << shifts[run]).max()) <= LARGEST_LEVEL, "an escaped number beyond the largest")
    values[escaped] = torch.from_numpy(np.where(high & 1, -beyond, beyond).astype(np.int32)).to(order.device)
    if shifts.any():
        values = _with_low_bits(values, flat, shifts, _first_bits(batch, flat.lengths * shifts, low), entropy)
    numbers.view(-1)[flat.places] = values


def _first_spans(batch: Sequence[Laid], entropy: Entropy) -> tuple[Ints, list[tuple[int, memoryview]]]:
    """Where each record's symbols are; and where its low bits begin, with what follows them."""
    spans, low = [], []
    for laid in batch:
        data, runs, start = laid.opened.base, laid.runs[0], int(entropy.starts[laid.pieces[0]])
        bits = int((shape_of_classes()[1, runs.classes].astype(np.int64) * runs.length).sum())
        size = int.from_bytes(data[:_SIZE], "little") if len(data) >= _SIZE else len(data)
        end = _SIZE + size + (bits + 7) // 8
        require(end <= len(data) and runs.count <= len(data) * _MOST, f"{len(data)} bytes for {runs.count} numbers")
        spans.append((start + _SIZE, start + _SIZE + size))
        low.append((start + _SIZE + size, data[end:]))
    return np.array(spans, np.int64).reshape(-1, 2), low


def _escapes(batch: Sequence[Laid], at: Ints, ends: Ints, low: Sequence[tuple[int, memoryview]]) -> Ints:
    """What stands for each escape of the batch."""
    counts = np.bincount(np.searchsorted(ends, at, side="right"), minlength=len(batch))
    return np.concatenate([read_escapes(rest, int(count)) for (_, rest), count in zip(low, counts, strict=True)])


def _first_bits(batch: Sequence[Laid], bits: Ints, low: Sequence[tuple[int, memoryview]]) -> Ints:
    """At which bit of the batch's bytes each run's low bits begin."""
    ends = np.cumsum([len(laid.runs[0].order) for laid in batch])
    each = np.split(bits, ends[:-1])
    return np.concatenate([8 * start + np.cumsum(own) - own for own, (start, _) in zip(each, low, strict=True)])


def _with_low_bits(values: Tensor, flat: Flat, shifts: Ints, starts: Ints, entropy: Entropy) -> Tensor:
    """High parts and the bits below them."""
    shift = flat.each(shifts)
    at = flat.each(starts) + flat.within * shift
    low, middle, high = (entropy.there[(at >> 3) + byte].to(torch.int64) for byte in range(3))
    raw = ((low | middle << 8 | high << 16) >> (at & 7)) & ((1 << shift) - 1)
    return ((values.to(torch.int64) << shift) + raw - ((1 << shift) >> 1)).to(torch.int32)


def next_level(batch: Sequence[Laid], level: int, entropy: Entropy, order: Tensor, numbers: Tensor) -> None:
    """Refine the numbers of those records that have this level, stage by stage, in place."""
    here = [laid for laid in batch if len(laid.opened.later) >= level]
    before = numbers.clone()
    for laid in here:
        numbers[laid.rows] *= FACTOR
    for stage in range(max(len(laid.opened.later[level - 1]) for laid in here)):
        _Stage(here, level, stage).read(entropy, order, before, numbers)


class _Stage:
    """One stage of a level: which runs of which records, and what symbols tell of them."""

    def __init__(self, batch: Sequence[Laid], level: int, stage: int) -> None:
        self.batch = [laid for laid in batch if len(laid.opened.later[level - 1]) > stage]
        self.data = [laid.opened.later[level - 1][stage] for laid in self.batch]
        self.pieces = [laid.pieces[1 + sum(map(len, laid.opened.later[: level - 1])) + stage] for laid in self.batch]
        self.chosen, kinds, forms, owners = [], [], [], []
        for number, laid in enumerate(self.batch):
            runs, told = laid.runs[level], laid.opened.head.cuts[level - 1].stages[stage]
            kind = np.minimum(runs.classes, CLASSES - 1).astype(np.int64)
            order = np.argsort(kind, kind="stable")
            which = order[(kind[order] >= told.low) & (kind[order] < told.high)]
            self.chosen.append((laid, runs, which))
            kinds.append(kind[which])
            forms.append(forms_of(told)[kind[which]])
            owners.append(np.full(len(which), number))
        self.kinds, self.forms = np.concatenate(kinds), np.concatenate(forms).astype(np.int64)
        self.owners = np.concatenate(owners)

    def read(self, entropy: Entropy, order: Tensor, before: Tensor, numbers: Tensor) -> None:
        """Add what its symbols tell."""
        flat = Flat.of(self.chosen, order, numbers.shape[1])
        known, now = before.view(-1)[flat.places], numbers.view(-1)[flat.places]
        entropy.doubt(_TOO_LARGE * (known.abs() > REFINED).any())
        outwards = (now - FACTOR * known) * torch.where(known < 0, -1, 1) == 1
        told = ~(outwards & (flat.each(self.forms) == SECOND))
        magnitude = known.abs().clamp(max=MAGNITUDES - 1)
        symbols, places = self._symbols(entropy, flat, told, magnitude)
        digit = torch.where(told, symbols[places].view(torch.int8), 0)
        numbers.view(-1)[flat.places] = now + torch.where(known < 0, -digit, digit)

    def _symbols(self, entropy: Entropy, flat: Flat, told: Tensor, magnitude: Tensor) -> tuple[Tensor, Tensor]:
        """The symbols of all records, one more, and where each number's stands."""
        starts = np.cumsum(flat.lengths) - flat.lengths
        segment = self.owners * CLASSES + self.kinds
        heads = np.flatnonzero(np.diff(segment, prepend=-1))
        first = torch.from_numpy(starts[heads]).to(told.device)
        mine = flat.each(np.searchsorted(heads, np.arange(len(segment)), side="right") - 1)
        counts = torch.zeros(len(self.batch), MAGNITUDES, CLASSES, dtype=torch.int64, device=told.device)
        ranks = torch.zeros_like(flat.places)
        owner, kind = (torch.from_numpy(part[heads]).to(told.device) for part in (self.owners, self.kinds))
        for size in range(MAGNITUDES):
            chosen = told & (magnitude == size)
            passed = torch.cumsum(torch.nn.functional.pad(chosen.to(torch.int64), (1, 0)), 0)
            bounds = passed[torch.cat([first, first.new_tensor([len(told)])])]
            counts[owner, size, kind] = bounds[1:] - bounds[:-1]
            ranks = torch.where(chosen, passed[:-1] - bounds[mine], ranks)
        every = counts.reshape(-1)
        ends = torch.cumsum(every, 0)
        number = (flat.each(self.owners) * MAGNITUDES + magnitude) * CLASSES + flat.each(self.kinds)
        symbols = self._decode(entropy, counts, ends)
        return symbols, torch.where(told, (ends - every)[number] + ranks, len(symbols) - 1)

    def _decode(self, entropy: Entropy, counts: Tensor, ends: Tensor) -> Tensor:
        each = counts.sum((1, 2)).cpu().numpy()
        for data, count in zip(self.data, each.tolist(), strict=True):
            require(count <= len(data) * _MOST, f"{len(data)} bytes for {count} numbers to refine")
        rows = -(-each // 32)
        owner = np.repeat(np.arange(len(each)), rows)
        row = np.arange(int(rows.sum())) - np.repeat(np.cumsum(rows) - rows, rows)
        last = np.minimum(32 * row + 31, each[owner] - 1) + (np.cumsum(each) - each)[owner]
        found = torch.searchsorted(ends, torch.from_numpy(last).to(ends.device), right=True)
        form = torch.from_numpy(self._form_of_kind()).to(ends.device)
        inside = found % (MAGNITUDES * CLASSES)
        tables = inside + MAGNITUDES * CLASSES * form[found // (MAGNITUDES * CLASSES), inside % CLASSES]
        spans = np.stack([entropy.starts[self.pieces], entropy.starts[np.array(self.pieces) + 1]], 1)
        symbols = entropy.decode(spans, each, tables, refinement_tables())
        return torch.nn.functional.pad(symbols, (0, 1))

    def _form_of_kind(self) -> Ints:
        """Records x classes."""
        found = np.zeros((len(self.batch), CLASSES), np.int64)
        found[self.owners, self.kinds] = self.forms
        return found

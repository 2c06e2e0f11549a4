"""One sample on its way into a `klt` record: transformed once, then tried with steps until the quality is met."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.base import base_bits
from lamofc_codecs.bulk import Distortion, Floats, distortion
from lamofc_codecs.codec import Source
from lamofc_codecs.deadzone import WEIGHT, quantise
from lamofc_codecs.dtypes import convert
from lamofc_codecs.energy import Tokens, energies_of
from lamofc_codecs.klt_section import FINEST, Head, Side
from lamofc_codecs.lazy import lazy
from lamofc_codecs.parameters import Parameters
from lamofc_codecs.quality import Quality
from lamofc_codecs.refinement import FACTOR, coarser, refinement_bits
from lamofc_codecs.runs import Numbers, Runs, sorted_columns
from lamofc_codecs.search import Search
from lamofc_codecs.synthesis import synthesise

_SEEN = 1 << 17
"""Entries that a guess looks at."""
_WORTH = 10**-0.35
"""A coarser layer is written if it leaves no more than this share of the signal: a copy at 3.5 dB."""
_SPARED = 1 / 512
"""Share of the error that may be added by leaving stray numbers out of the columns of a layer."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A sample coded with one step."""

    head: Head
    tokens: Tokens
    numbers: tuple[Numbers, ...]
    """Of each layer, coarse first."""
    known: Parameters
    exact: NDArray[np.int64]
    """Positions of the entries that are stored as they are, rising."""
    distortion: Distortion
    side_bits: float

    @property
    def step(self) -> float:
        """Of the finest layer."""
        return self.head.step

    @lazy
    def bits(self) -> float:
        """Bits of all layers, to a part in a thousand."""
        runs = [self.head.runs_of(layer, self.tokens, self.known) for layer in range(len(self.numbers))]
        total = self.side_bits + base_bits(self.numbers[0], runs[0])
        for layer in range(1, len(self.numbers)):
            total += refinement_bits(self.numbers[layer], self.numbers[layer - 1], runs[layer])
        return total


@dataclass(frozen=True, eq=False)
class Sample:
    """A tensor after the transform."""

    source: Source
    known: Parameters
    exact: NDArray[np.int64]
    index: NDArray[np.int64] | None
    columns: Floats
    """Tokens x columns."""
    seen: Floats
    """Some tokens of them, evenly spread: what a guess looks at."""
    rest: float
    """Squared error that no step takes away: what the columns do not reach."""

    @classmethod
    def of(cls, source: Source, exact: NDArray[np.bool_], known: Parameters) -> Sample:
        """Take off what is stored exactly, the means, and transform."""
        away = source.values - known.bulk.mean
        away[exact] = 0
        index = None
        if known.means is not None:
            index = known.means.nearest(away)
            away -= known.means.take(index)
        columns = np.ascontiguousarray(away[:, known.order]) if known.basis is None else known.basis.forward(away)
        seen = np.arange(0, len(away), max(1, columns.size // _SEEN))
        return cls(
            source, known, np.flatnonzero(exact), index, columns, columns[seen], _rest(away, columns, seen, known)
        )

    def meet(self, quality: Quality) -> tuple[Trial, bool]:
        """The coarsest trial that meets the quality, and whether it does."""
        if quality.kind == "max_error":
            return self._within(quality.value), True
        return Search(self.source, self.known.middling, self._errors, self._bits, self.trial).meet(quality)

    @property
    def _share(self) -> float:
        return len(self.columns) / max(len(self.seen), 1)

    def _sums(self, values: Floats, step: float) -> tuple[NDArray[np.int32], NDArray[np.float64], Tokens]:
        step32 = np.float32(min(max(step, FINEST), 1 / FINEST))
        tokens = Tokens.of(energies_of(values, self.known.sigma, step32))
        kinds = Runs.of(self.known.sigma, step32, tokens).kinds
        group = np.searchsorted(tokens.classes, tokens.energy).astype(np.uint8)
        rows, sums = quantise(values, group, kinds, step32, self.known.rounding)
        return rows, sums, tokens

    def _errors(self, step: float) -> float:
        """About the squared error that a step leaves."""
        _, sums, _ = self._sums(self.seen, step)
        count = _kept(sums)
        return float(step * step * (sums[0, :count].sum() + sums[2, count:].sum()) * self._share + self.rest)

    def _bits(self, step: float) -> float:
        """About the bits that a step takes."""
        _, sums, _ = self._sums(self.seen, step)
        return float(sums[1, : _kept(sums)].sum()) * self._share + self._side_bits

    @property
    def _side_bits(self) -> float:
        """About the bits of all but the numbers."""
        per_token = 1.5 + (0.0 if self.known.means is None else self.known.means.bits)
        return len(self.columns) * per_token + 8.0 * len(self.exact) * (self.source.tensor.itemsize + 1.5) + 150

    def trial(self, step: float) -> Trial:
        """Code with one step."""
        step = float(np.float32(min(max(step, FINEST), 1 / FINEST)))
        rows, sums, tokens = self._sums(self.columns, step)
        count = _kept(sums)
        spared = _SPARED * float(sums[0, :count].sum() + sums[2, count:].sum())
        layers = self._layers(step)
        widths = _widths(rows[:, :count], layers, spared)
        numbers = [sorted_columns(rows[:, :count], tokens)]
        for _ in range(layers - 1):
            numbers.insert(0, coarser(numbers[0]))
        numbers = [np.ascontiguousarray(some[:width]) for some, width in zip(numbers, widths, strict=True)]
        head = Head(step, widths)
        lost = self._lost(head, tokens, numbers[-1], layers)
        return Trial(head, tokens, tuple(numbers), self.known, self.exact, lost, self._side_bits)

    def _layers(self, step: float) -> int:
        """How many layers are worth it."""
        signal, count = self.source.sums.signal, 1
        while count < self.known.options.layers and self._errors(step * FACTOR**count) < _WORTH * signal:
            count += 1
        return count

    def _decoded(self, head: Head, tokens: Tokens, numbers: Numbers, layers: int) -> Tensor:
        decoded = torch.empty_like(self.source.tensor)
        runs = head.runs_of(layers - 1, tokens, self.known)
        synthesise(numbers, runs, head.step_of(layers), self.known, Side(tokens, self.index), decoded)
        exact = torch.from_numpy(self.exact)
        decoded.view(-1)[exact] = self.source.tensor.view(-1)[exact]
        return decoded

    def _lost(self, head: Head, tokens: Tokens, numbers: Numbers, layers: int) -> Distortion:
        decoded = self._decoded(head, tokens, numbers, layers)
        return distortion(self.source.values, convert(decoded, torch.float32).numpy(), self.known.bulk)

    def errors(self, trial: Trial) -> tuple[Distortion, ...]:
        """What is lost at each layer."""
        coarse = [
            self._lost(trial.head, trial.tokens, numbers, layer + 1) for layer, numbers in enumerate(trial.numbers[:-1])
        ]
        return (*coarse, trial.distortion)

    def _within(self, limit: float) -> Trial:
        """The cheapest of some steps, with all entries exact that would be further off than the limit."""
        return min((self._exactly(limit * part, limit) for part in (0.7, 1.0, 1.4, 2.0)), key=lambda trial: trial.bits)

    def _exactly(self, step: float, limit: float) -> Trial:
        trial = self.trial(step)
        decoded = self._decoded(trial.head, trial.tokens, trial.numbers[-1], len(trial.numbers))
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(self.source.values - convert(decoded, torch.float32).numpy()) > limit
        exact = np.union1d(self.exact, np.flatnonzero(far))
        kept = replace(self, exact=exact)
        lost = kept._lost(trial.head, trial.tokens, trial.numbers[-1], len(trial.numbers))
        return replace(trial, exact=exact, distortion=lost, side_bits=kept._side_bits)


def _rest(away: Floats, columns: Floats, seen: NDArray[np.int64], known: Parameters) -> float:
    """Squared error, scaled up from some tokens, that is out of the columns' reach."""
    if known.basis is None or known.basis.columns >= known.channels or not len(seen):
        return 0.0
    reached = known.basis.floats(columns[seen])
    return float(np.square(away[seen] - reached, dtype=np.float64).sum()) * len(away) / len(seen)


def _kept(sums: NDArray[np.float64]) -> int:
    """How many columns to code: beyond them, bits cost more than they save in error."""
    coded = np.cumsum(sums[0] + WEIGHT * sums[1])
    left = sums[2].sum() - np.cumsum(sums[2])
    costs = np.concatenate([[sums[2].sum()], coded + left])
    return int(costs.argmin())


def _widths(rows: NDArray[np.int32], layers: int, spared: float) -> tuple[int, ...]:
    """Columns of each layer, coarse first; numbers that a column's layers cannot reach are moved within reach.

    A column that begins at the finest layer holds -1 to 1, at the one before -4 to 4, and so on.
    """
    widths = [rows.shape[1]]
    for later in range(1, layers):
        reach = (FACTOR**later - 1) // 2
        beyond = np.square(np.maximum(np.abs(rows) - reach, 0), dtype=np.float64).sum(0)
        left = np.concatenate([np.cumsum(beyond[::-1])[::-1], [0.0]])
        width = min(int(np.flatnonzero(left <= spared)[0]), widths[0])
        np.clip(rows[:, width:], -reach, reach, out=rows[:, width:])
        widths.insert(0, width)
    return tuple(widths)

"""One sample on its way into a `klt` record: transformed once, then tried with steps until the quality is met."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.bulk import Distortion, Floats, distortion
from lamofc_codecs.codec import Source
from lamofc_codecs.deadzone import WEIGHT, quantise
from lamofc_codecs.dtypes import convert
from lamofc_codecs.energy import Tokens, energies_of
from lamofc_codecs.first_layer import first_bits
from lamofc_codecs.klt_section import FINEST, Head, Side
from lamofc_codecs.lazy import lazy
from lamofc_codecs.parameters import Parameters
from lamofc_codecs.quality import Quality
from lamofc_codecs.refinement import FACTOR, coarser, refinement_bits
from lamofc_codecs.runs import Numbers, Runs, kinds_of, sorted_columns
from lamofc_codecs.search import Search
from lamofc_codecs.synthesis import synthesise
from lamofc_codecs.theory import Theory

_SEEN = 1 << 17
"""Entries that a guess looks at."""
_WORTH = 10**-0.35
"""A coarser layer is written if it leaves no more than this share of the signal: a copy at 3.5 dB."""
_AUDIBLE = 0.25
"""Columns of variances below that of so fine a share of the step are left out from the start."""
_MOST_DB = 3000.0
_SPARED = 1 / 512
"""Share of the error that may be added by leaving stray numbers out of the columns of a layer."""


@dataclass(frozen=True, eq=False)
class Trial:
    """A sample coded with one step."""

    head: Head
    tokens: Tokens
    numbers: tuple[Numbers, ...]
    """Of each layer, coarse first."""
    runs: tuple[Runs, ...]
    """Of each layer."""
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
        total = self.side_bits + first_bits(self.numbers[0], self.runs[0])
        for layer in range(1, len(self.numbers)):
            total += refinement_bits(self.numbers[layer], self.numbers[layer - 1], self.runs[layer])
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
    theory: Theory

    @classmethod
    def of(cls, source: Source, exact: NDArray[np.bool_], known: Parameters, quality: Quality) -> Sample:
        """Take off what is stored exactly, the means, and transform."""
        away = source.values - known.bulk.mean
        away[exact] = 0
        index = None
        if known.means is not None:
            index = known.means.nearest(away)
            away -= known.means.take(index)
        count = _wanted(away, source, known, quality)
        if known.basis is None:
            columns = np.ascontiguousarray(away[:, known.order[:count]])
        else:
            columns = known.basis.forward(away, count)
        seen = np.arange(0, len(away), max(1, columns.size // _SEEN))
        share = len(away) / max(len(seen), 1)
        energy = float(np.square(columns[seen], dtype=np.float64).sum()) * share
        theory = known.theory(energy, len(away), count, _rest(away[seen], columns[seen], known) * share)
        return cls(source, known, np.flatnonzero(exact), index, columns, columns[seen], theory)

    def meet(self, quality: Quality) -> tuple[Trial, bool]:
        """The coarsest trial that meets the quality, and whether it does."""
        if quality.kind == "max_error":
            return self._within(quality.value), True
        return Search(self.source, self.theory, self._errors, self._bits, self.trial).meet(quality)

    @property
    def _share(self) -> float:
        return len(self.columns) / max(len(self.seen), 1)

    def _sums(self, values: Floats, step: float) -> tuple[NDArray[np.int32], NDArray[np.float64], Tokens]:
        step32 = np.float32(min(max(step, FINEST), 1 / FINEST))
        tokens = Tokens.of(energies_of(values, self.known.sigma[: values.shape[1]], step32))
        kinds = kinds_of(self.known.sigma[: values.shape[1]], step32, tokens)
        group = np.searchsorted(tokens.classes, tokens.energy).astype(np.uint8)
        rows, sums = quantise(values, group, kinds, step32, self.known.rounding)
        return rows, sums, tokens

    def _errors(self, step: float) -> float:
        """About the squared error that a step leaves."""
        _, sums, _ = self._sums(self.seen, step)
        count = _kept(sums)
        return float(step * step * (sums[0, :count].sum() + sums[2, count:].sum()) * self._share + self.theory.rest)

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
        runs = tuple(head.runs_of(layer, tokens, self.known) for layer in range(layers))
        lost = self._lost(head.step_of(layers), runs[-1], numbers[-1])
        return Trial(head, tokens, tuple(numbers), runs, self.exact, lost, self._side_bits)

    def _layers(self, step: float) -> int:
        """How many layers are worth it."""
        signal, count = self.source.sums.signal, 1
        while count < self.known.options.layers and self.theory.error(step * FACTOR**count) < _WORTH * signal:
            count += 1
        return count

    def _decoded(self, step: np.float32, runs: Runs, numbers: Numbers) -> Tensor:
        decoded = torch.empty_like(self.source.tensor)
        synthesise(numbers, runs, step, self.known, Side(runs.tokens, self.index), decoded)
        exact = torch.from_numpy(self.exact)
        decoded.view(-1)[exact] = self.source.tensor.view(-1)[exact]
        return decoded

    def _lost(self, step: np.float32, runs: Runs, numbers: Numbers) -> Distortion:
        decoded = self._decoded(step, runs, numbers)
        return distortion(self.source.values, convert(decoded, torch.float32).numpy(), self.known.bulk)

    def errors(self, trial: Trial) -> tuple[Distortion, ...]:
        """What is lost at each layer."""
        coarse = [
            self._lost(trial.head.step_of(layer + 1), trial.runs[layer], numbers)
            for layer, numbers in enumerate(trial.numbers[:-1])
        ]
        return (*coarse, trial.distortion)

    def _within(self, limit: float) -> Trial:
        """The cheapest of some steps, with all entries exact that would be further off than the limit."""
        return min((self._exactly(limit * part, limit) for part in (0.7, 1.0, 1.4, 2.0)), key=lambda trial: trial.bits)

    def _exactly(self, step: float, limit: float) -> Trial:
        trial = self.trial(step)
        last = np.float32(trial.step), trial.runs[-1], trial.numbers[-1]
        decoded = self._decoded(*last)
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.abs(self.source.values - convert(decoded, torch.float32).numpy()) > limit
        exact = np.union1d(self.exact, np.flatnonzero(far))
        kept = replace(self, exact=exact)
        return replace(trial, exact=exact, distortion=kept._lost(*last), side_bits=kept._side_bits)


def _wanted(away: Floats, source: Source, known: Parameters, quality: Quality) -> int:
    """How many columns are worth a look: those whose loudest tokens stand out of the step that the quality needs."""
    energy = float(np.square(away, dtype=np.float64).sum())
    theory = known.theory(energy, len(away), len(known.sigma), 0.0)
    step = quality.value
    if quality.kind in ("mse", "snr_db"):
        signal = source.sums.signal * 10 ** (-min(quality.value, _MOST_DB) / 10)
        step = theory.step_for_error(quality.value * away.size if quality.kind == "mse" else signal)
    elif quality.kind == "bpfp":
        step = theory.step_for_bits(quality.value * away.size)
    return theory.columns(step * _AUDIBLE)


def _rest(away: Floats, columns: Floats, known: Parameters) -> float:
    """Squared error that is out of the columns' reach."""
    if columns.shape[1] >= known.channels or not away.size:
        return 0.0
    if known.basis is None:
        return float(np.square(away, dtype=np.float64).sum() - np.square(columns, dtype=np.float64).sum())
    return float(np.square(away - known.basis.floats(columns), dtype=np.float64).sum())


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

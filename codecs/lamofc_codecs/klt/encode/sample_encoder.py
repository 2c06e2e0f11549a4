"""One sample on its way into a `klt` record: transformed once, then tried with steps until the quality is met."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, starmap

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.entropy import CLASSES
from lamofc_codecs.klt.decode import synthesise
from lamofc_codecs.klt.encode import target
from lamofc_codecs.klt.encode.candidate import Candidate
from lamofc_codecs.klt.encode.rate_control import StepSearch
from lamofc_codecs.klt.format import FINEST, Head, KltParameters, Level, Side
from lamofc_codecs.klt.layers import (
    ALL,
    FACTOR,
    NONE,
    LayerSplit,
    Numbers,
    Pass,
    Runs,
    columns_by_class,
    entropy_classes,
    errors_of,
    previous_level,
    state_after,
)
from lamofc_codecs.klt.quantise import ItemGains, Tokens, energies_of, prune_zero_runs, quantise, squares_of
from lamofc_codecs.klt.transform import TokenGrid, choose_grid, forward_dct
from lamofc_codecs.quality import Quality
from lamofc_codecs.runtime import Doubles, Floats, convert, lazy
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Distortion, WaterFilling, interpolate_distortion, item_distortions, measure_distortion

_ROUGH = 10**-2.5
"""Where a larger share of the signal may be lost, a rough transform is fine enough."""
_APART_DB = 20 * math.log10(FACTOR)
_WORTH = 10**-0.35
"""A coarser level is written if it leaves no more than this share of the signal: a copy at 3.5 dB."""
_SMALL = 4
"""Elements for each byte of a layer, below which a record has but one."""
_SPARED = 1 / 512
"""Share of the error that may be added by leaving stray numbers out of the columns of a level."""


@dataclass(frozen=True, eq=False)
class SampleEncoder:
    """A tensor, or the tensors of a group, after the transform."""

    source: Source
    known: KltParameters
    quality: Quality
    squares: Doubles
    """Of each token about its middle, weighted."""
    signal: float
    """Weighted."""
    exact: tuple[NDArray[np.int64], ...]
    index: NDArray[np.int64] | None
    columns: Floats
    """Tokens x columns."""
    field: TokenGrid
    """The field that tokens were turned into waves on."""
    glance: target.Subsample
    """What a guess looks at."""
    theory: WaterFilling
    lifts: ItemGains | None = None
    """Of each token, where items share a step: the columns are as they leave them."""
    memo: dict[str, int] = dataclasses.field(default_factory=dict)
    """How many levels are worth it, once the first trial has told."""

    @classmethod
    def of(cls, source: Source, outside: NDArray[np.bool_], known: KltParameters, quality: Quality) -> SampleEncoder:
        """Take off what is stored exactly, the means, and transform."""
        away = source.values - known.bulk.mean
        away[outside] = 0
        known.metric.apply(away)
        squares, index = squares_of(away), None
        signal = target.signal_of(squares, source, known)
        if known.analysis_means is not None:
            index = known.analysis_means.nearest(away)
            away -= known.analysis_means.take(index)
        most = target.error_budget(signal, source, known, quality)
        roughly = signal * _ROUGH < most < math.inf
        count, spread = target.predict_columns(away, most, known, quality)
        while True:
            columns = target.columns_of(away, count, known, source.device, roughly=roughly)
            glance = target.Subsample.of(columns)
            left = target.residual_energy(away[glance.loud], columns[glance.loud], known)
            left += target.residual_energy(away[glance.quiet], columns[glance.quiet], known) * glance.share
            if count >= known.columns or not target.truncates_signal(columns, left, most, spread):
                break
            count = min(max(2 * count, 8), known.columns)
        field = TokenGrid() if len(source.items) > 1 else choose_grid(columns, known.fields(len(columns)))
        if field.rows:
            forward_dct(columns, field)
            glance = target.Subsample.of(columns)
        theory = known.theory(glance.power, field.bands(len(away)), count, left)
        exact = tuple(np.flatnonzero(outside[:, first:last]) for first, last in pairwise(known.bounds))
        return cls(source, known, quality, squares, signal, exact, index, columns, field, glance, theory)

    def meet(self, quality: Quality) -> tuple[Candidate, bool]:
        """The coarsest trial that meets the quality, and whether it does."""
        if quality.kind == "max_error":
            return self._within(quality.value), True
        if quality.kind == "step":
            return self.trial(quality.value), True
        search = StepSearch(self.theory, self._errors, self._bits, self.trial)
        if quality.kind == "bpfp":
            return search.at_rate(quality.value * self.source.values.size), True
        return search.within_error(target.error_budget(self.signal, self.source, self.known, quality))

    @lazy
    def _band(self) -> NDArray[np.uint8]:
        return self.field.bands(len(self.columns))

    @lazy
    def _glanced(self) -> list[tuple[Floats, NDArray[np.uint8], float]]:
        """What a guess looks at, with its bands, and how much of it there is."""
        chosen = ((self.glance.loud, 1.0), (self.glance.quiet, self.glance.share))
        return [(self.columns[rows], self._band[rows], share) for rows, share in chosen if len(rows)]

    def _guess(self, step: float) -> NDArray[np.float64]:
        """About the errors, bits and energy of each column."""
        found = np.zeros((3, self.columns.shape[1]))
        for values, band, share in self._glanced:
            found += share * self._sums(values, band, step)[1]
        return found

    def _sums(
        self, values: Floats, band: NDArray[np.uint8], step: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], Tokens]:
        step32, sigma = _reached(step), self.known.spreads[:, : values.shape[1]]
        tokens = Tokens.of(energies_of(values, band, sigma, step32), band)
        rows, sums = quantise(values, tokens.group, entropy_classes(sigma, step32, tokens), step32, self.known.rounding)
        return rows, sums, tokens

    def _errors(self, step: float) -> float:
        """About the squared error that a step leaves."""
        sums = self._guess(step)
        count = target.columns_worth_coding(sums)
        lost = np.concatenate([sums[0, :count], sums[2, count:]])
        lost *= 1.0 if self.known.analysis is None else self.known.analysis.gains[: len(lost)]
        return float(step * step * lost.sum() + self.theory.rest)

    def _bits(self, step: float) -> float:
        """About the bits that a step takes."""
        sums = self._guess(step)
        return float(sums[1, : target.columns_worth_coding(sums)].sum()) + self._side_bits

    @property
    def _side_bits(self) -> float:
        """About the bits of all but the numbers."""
        per_token = 1.5 + (0.0 if self.known.means is None else self.known.means.bits)
        exact = sum(
            len(there) * (tensor.itemsize + 1.5) for there, tensor in zip(self.exact, self.source.tensors, strict=True)
        )
        return len(self.columns) * per_token + 8.0 * exact + 150

    def trial(self, step: float, columns: int | None = None) -> Candidate:
        """Code with one step, and as many columns as are worth it unless told how many."""
        step = float(_reached(step))
        rows, sums, tokens = self._sums(self.columns, self._band, step)
        count = target.columns_worth_coding(sums) if columns is None else columns
        spared = _SPARED * float(sums[0, :count].sum() + sums[2, count:].sum()) / max(len(self.source.items), 1)
        rows = rows[:, :count]
        tokens = tokens.hushed(~rows.any(1))
        kinds = entropy_classes(self.known.spreads[:, :count], np.float32(step), tokens)
        silent = prune_zero_runs(self.columns, rows, tokens, kinds, step)
        if "levels" not in self.memo:
            self.memo["levels"] = self._levels(step)
        levels = self.memo["levels"]
        widths = target.widths_of(rows, levels, spared)
        numbers = [columns_by_class(rows, tokens)]
        for _ in range(levels - 1):
            numbers.insert(0, previous_level(numbers[0]))
        numbers = [np.ascontiguousarray(some[:width]) for some, width in zip(numbers, widths, strict=True)]
        head = Head(step, widths, (LayerSplit(),) * (levels - 1), silent)
        runs = tuple(head.runs_of(level, tokens, self.known) for level in range(levels))
        decoded = self.decoded(head.step_of(levels - 1), runs[-1], numbers[-1])
        lost = self.lost(decoded)
        error = self._error(decoded, lost)
        least = self.known.options.layer_bytes
        return Candidate(head, tokens, tuple(numbers), runs, self.exact, lost, error, self._side_bits, least)

    def _levels(self, step: float) -> int:
        """How many levels are worth it: by the decibels asked for, so that all records are read alike."""
        options = self.known.options
        if self.source.values.size < _SMALL * options.layer_bytes:
            return 1
        if self.quality.kind == "snr_db":
            return min(max(1 + int(self.quality.value / _APART_DB), 1), options.levels)
        count = 1
        while count < options.levels and self._errors(step * FACTOR**count) < _WORTH * self.signal:
            count += 1
        return count

    def decoded(self, step: np.float32, runs: Runs, numbers: Numbers) -> list[Tensor]:
        """What a decoder makes of numbers, but for the exact entries."""
        decoded = [torch.empty_like(tensor) for tensor in self.source.tensors]
        synthesise(Level(numbers, runs, step), self.known, self.side(runs.tokens), decoded)
        return decoded

    def lost(self, decoded: list[Tensor]) -> tuple[Distortion, ...]:
        """Of each part, once its exact entries are in place."""
        lost = []
        for part, (first, last) in enumerate(pairwise(self.known.bounds)):
            exact = torch.from_numpy(self.exact[part])
            decoded[part].view(-1)[exact] = self.source.tensors[part].view(-1)[exact]
            found = convert(decoded[part], torch.float32).numpy()
            lost.append(measure_distortion(self.source.part(part), found, self.known.bulk.of_channels(first, last)))
        return tuple(lost)

    def _error(self, decoded: Sequence[Tensor], lost: Sequence[Distortion]) -> float:
        """What is lost, as the quality counts it."""
        if self.known.weighted:
            return float(self.token_errors(decoded[0]).sum())
        return target.weighed(lost, self.source, self.known, self.quality)

    def token_errors(self, decoded: Tensor) -> Doubles:
        """The weighted squared error of each token."""
        away = self.source.values - convert(decoded, torch.float32).numpy()
        np.nan_to_num(away, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return squares_of(self.known.metric.apply(away))

    def side(self, tokens: Tokens) -> Side:
        """What is told of each token."""
        return Side(tokens, self.index, self.field, self.lifts)

    def _end(self, trial: Candidate, level: int) -> tuple[Distortion, ...]:
        """What is lost with a level."""
        items = self.source.items
        if level == len(trial.numbers) - 1 and len(items) < 2:
            return trial.lost
        decoded = self.decoded(trial.head.step_of(level), trial.runs[level], trial.numbers[level])
        lost, found = replace(self, exact=trial.exact).lost(decoded), convert(decoded[0], torch.float32).numpy()
        return lost if len(items) < 2 else item_distortions(self.source.values, found, self.known.bulk, items)

    def errors(self, trial: Candidate) -> tuple[tuple[Distortion, ...], ...]:
        """What is lost with each layer, in each part, or each of several items: within a level, about so."""
        ends = [self._end(trial, level) for level in range(len(trial.numbers))]
        found = [ends[0]]
        for level, cut in enumerate(trial.cut.cuts, 1):
            left = self._left(trial, level, cut.stages) if len(cut.stages) > 1 else []
            for share in left:
                found.append(
                    tuple(
                        starmap(partial(interpolate_distortion, share), zip(ends[level - 1], ends[level], strict=True))
                    )
                )
            found.append(ends[level])
        return tuple(found)

    def _left(self, trial: Candidate, level: int, stages: Sequence[Pass]) -> list[float]:
        """Which share of what a level takes off the error is left after each of its stages but the last."""
        rows = np.arange(0, len(self.columns), max(1, self.columns.size // target.SUBSAMPLE_ENTRIES))
        tokens = Tokens.of(trial.tokens.energy[rows], self._band[rows])
        places = np.argsort(trial.tokens.order)[rows[tokens.order]]
        coarse, fine = (np.ascontiguousarray(trial.numbers[at][:, places]) for at in (level - 1, level))
        runs = trial.head.runs_of(level, tokens, self.known), trial.head.runs_of(level - 1, tokens, self.known)
        columns = np.ascontiguousarray(self.columns[rows[tokens.order], : len(fine)].T) / trial.head.step_of(level)
        gains = np.ones(len(fine)) if self.known.analysis is None else self.known.analysis.gains
        sums = errors_of(columns, fine, coarse, runs, self.known.drawn, gains)
        told, every = sums[:, ALL].sum(), np.arange(CLASSES)
        off = max(float(sums[:, NONE].sum() - told), 1e-300)
        shares = [float(sums[every, state_after(stages[:count])].sum() - told) / off for count in range(1, len(stages))]
        return [min(max(share, 0.0), 1.0) for share in shares]

    def _within(self, limit: float) -> Candidate:
        """The cheapest of some steps, with all entries exact that would be further off than the limit."""
        return min((self._exactly(limit * part, limit) for part in (0.7, 1.0, 1.4, 2.0)), key=lambda trial: trial.bits)

    def _exactly(self, step: float, limit: float) -> Candidate:
        trial = self.trial(step)
        decoded = self.decoded(np.float32(trial.step), trial.runs[-1], trial.numbers[-1])
        exact = []
        for part, tensor in enumerate(decoded):
            with np.errstate(over="ignore", invalid="ignore"):
                far = np.abs(self.source.part(part) - convert(tensor, torch.float32).numpy()) > limit
            exact.append(np.union1d(self.exact[part], np.flatnonzero(far)))
        kept_exactly = replace(self, exact=tuple(exact))
        return replace(trial, exact=tuple(exact), lost=kept_exactly.lost(decoded), side_bits=kept_exactly._side_bits)


def _reached(step: float) -> np.float32:
    """The step, or the nearest one that a record may have."""
    return np.float32(min(max(step, FINEST), 1 / FINEST))

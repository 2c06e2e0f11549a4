"""A level after the first: each number times three, and -1, 0 or 1 on top, so that the coarse quantiser is in the fine.

Which of the three it is, folded by the sign of the number so far, has a table by the run's class and by that number's
magnitude, three and more being one. Both are known once the levels before are decoded, so symbols depend on no
neighbour. They are coded sorted by magnitude, within it class by class, within that run by run: like by like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lamofc_codecs.entropy import (
    CLASSES,
    LARGEST_LEVEL,
    SYMBOLS,
    Tables,
    normalise,
    rans,
    rans_cpu,
    rans_layout,
    sigma_tables,
)
from lamofc_codecs.errors import CorruptRecord
from lamofc_codecs.klt.layers.passes import HALVED, Pass
from lamofc_codecs.klt.layers.runs import Numbers, Runs, rows_of
from lamofc_codecs.runtime import compiled

FACTOR = 3
MAGNITUDES = 4
_MOST = 1 << 15
REFINED = (LARGEST_LEVEL + 1) // FACTOR
"""Magnitudes up to this can be refined: what becomes of them is not above the largest."""
_TERNARY, _FIRST, SECOND = range(3)
"""What a symbol tells: all at once, whether a number moves outwards, whether one that does not moves inwards."""

Places = NDArray[np.int64]
Where = tuple[Places, Places, Places]
"""Of each run: its column, its first token, its tokens."""


@cache
def shares() -> NDArray[np.int64]:
    """Magnitudes x classes x 3: how often a number moves inwards, stays, moves outwards, by the frozen tables.

    -1, 0 and 1 on top of 3 m are as likely as 3 m - 1, 3 m and 3 m + 1 are.
    """
    frozen = sigma_tables().freqs.astype(np.int64)
    found = np.zeros((MAGNITUDES, CLASSES, FACTOR), np.int64)
    for magnitude in range(MAGNITUDES):
        several = np.array([magnitude] if magnitude < MAGNITUDES - 1 else range(magnitude, 42))
        for digit in (-1, 0, 1):
            found[magnitude, :, digit + 1] = frozen[:, (3 * several + digit) % SYMBOLS].sum(1)
    return found


@cache
def refinement_tables() -> Tables:
    """Tables for what a symbol may tell, by the magnitude of the number so far, 0, 1, 2, and 3 or more, by class."""
    inwards, stays, outwards = (shares()[..., digit] for digit in range(3))
    told = [(inwards, stays, outwards), (None, inwards + stays, outwards), (inwards, stays, 0 * outwards)]
    counts = np.zeros((len(told), MAGNITUDES, CLASSES, SYMBOLS), np.int64)
    for form, found in enumerate(told):
        for digit, count in zip((-1, 0, 1), found, strict=True):
            if count is not None:
                counts[form, ..., digit % SYMBOLS] = 1 + 64 * count
    return Tables(np.stack([normalise(some) for some in counts.reshape(-1, SYMBOLS)]))


def previous_level(numbers: Numbers) -> Numbers:
    """What a level less says of the same numbers: a third, to nearest."""
    out: Numbers = (np.sign(numbers) * ((np.abs(numbers) + 1) // FACTOR)).astype(np.int32)
    return out


def widened(numbers: Numbers, columns: int) -> Numbers:
    """As many columns, those that were not there being 0."""
    if len(numbers) == columns:
        return numbers
    wide = np.zeros((columns, numbers.shape[1]), np.int32)
    wide[: len(numbers)] = numbers
    return wide


def digits_of(numbers: Numbers, before: Numbers, runs: Runs) -> NDArray[np.int64]:
    """How many numbers of each magnitude and class move inwards, stay, move outwards."""
    counts = np.zeros((MAGNITUDES, CLASSES, FACTOR), np.int64)
    _tally(numbers, widened(before, len(numbers)), _kinds(runs), _where(runs), counts)
    return counts


def halves_of(digits: NDArray[np.int64]) -> NDArray[np.float64]:
    """About the bits of each class: to tell what moves outwards, and for the rest; all at once for narrow ones."""
    costs = refinement_tables().costs[:, [255, 0, 1]].reshape(3, MAGNITUDES, CLASSES, FACTOR).astype(np.float64)
    first = digits[..., :2].sum(2) * costs[_FIRST, ..., 1] + digits[..., 2] * costs[_FIRST, ..., 2]
    second = (digits[..., :2] * costs[SECOND, ..., :2]).sum(2)
    found: NDArray[np.float64] = np.stack([first.sum(0), second.sum(0)], 1)
    found[:HALVED, 0], found[:HALVED, 1] = 0, (digits * costs[_TERNARY]).sum((0, 2))[:HALVED]
    return found


def write_refinement(numbers: Numbers, before: Numbers, runs: Runs, stages: Sequence[Pass]) -> list[bytes]:
    """Code what `numbers` say beyond `before`, which has as many columns or fewer: the others were 0."""
    coded = _symbols(numbers, before, runs, stages)
    return [rans.encode_symbols(symbols, rows, refinement_tables()) for symbols, rows in coded]


def refinement_bits(numbers: Numbers, before: Numbers, runs: Runs, stages: Sequence[Pass]) -> float:
    """Bits that `write_refinement` takes, to a part in a thousand, without coding."""
    total = 0.0
    for symbols, rows in _symbols(numbers, before, runs, stages):
        cost = int(rans_cpu.coded_millibits(symbols, rows, refinement_tables().millibits)[0]) / 1024
        lanes, streams = rans_layout.choose_layout(symbols.size, int(cost / 8))
        total += cost + 32.0 * streams * (lanes + 1)
    return total


def _symbols(
    numbers: Numbers, before: Numbers, runs: Runs, stages: Sequence[Pass]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
    """The symbols of each stage, and the tables of their rows."""
    before = widened(before, len(numbers))
    for stage in stages:
        coding = _Coding(stage, runs, before, numbers)
        symbols = np.empty(coding.count, np.uint8)
        _take(numbers, before, coding.kinds, coding.starts, coding.where, coding.form, symbols.view(np.int8))
        yield symbols, coding.rows


def read_refinement(sections: Sequence[memoryview], before: Numbers, runs: Runs, stages: Sequence[Pass]) -> Numbers:
    """Undo `write_refinement`, as far as there are sections; numbers not told of stand at thrice what they were."""
    largest = max(int(before.max(initial=0)), -int(before.min(initial=0)))
    if largest > REFINED:
        raise CorruptRecord(f"a number of {largest} to refine; the largest is {REFINED}")
    before = widened(before, runs.columns)
    numbers = before * np.int32(FACTOR)
    for data, stage in zip(sections, stages, strict=False):
        coding = _Coding(stage, runs, before, numbers)
        if coding.count > len(data) * _MOST:
            raise CorruptRecord(f"{len(data)} bytes for {coding.count} numbers to refine")
        symbols = np.empty(coding.count + 1, np.uint8)
        rans.decode_symbols(data, coding.count, coding.rows, refinement_tables(), out=symbols[:-1])
        _put(symbols.view(np.int8), before, coding.kinds, coding.starts, coding.where, coding.form, numbers)
    return numbers


def forms_of(stage: Pass) -> NDArray[np.uint8]:
    """What a stage's symbols tell, for each class."""
    return np.where(stage.ternary, _TERNARY, _FIRST if stage.outwards else SECOND).astype(np.uint8)


class _Coding:
    """How the symbols of one stage are laid out, given what is known before it."""

    def __init__(self, stage: Pass, runs: Runs, before: Numbers, numbers: Numbers) -> None:
        kinds = _kinds(runs)
        chosen = np.flatnonzero((kinds >= stage.low) & (kinds < stage.high))
        self.kinds = kinds[chosen]
        column, first, length = _where(runs)
        self.where = column[chosen], first[chosen], length[chosen]
        self.form = forms_of(stage)
        counts = np.zeros((MAGNITUDES, CLASSES), np.int64)
        _count(numbers, before, self.kinds, self.where, self.form == SECOND, counts)
        flat = counts.reshape(-1)
        self.starts = np.ascontiguousarray((np.cumsum(flat) - flat).reshape(counts.shape).T)
        self.count = int(flat.sum())
        tables = np.arange(flat.size) + np.tile(flat.size * self.form.astype(np.int64), MAGNITUDES)
        used = np.flatnonzero(flat)
        self.rows = rows_of(tables[used].astype(np.uint16), flat[used])


def _kinds(runs: Runs) -> NDArray[np.uint16]:
    return np.minimum(runs.classes, CLASSES - 1).astype(np.uint16)


def _where(runs: Runs) -> Where:
    return runs.column, runs.first, runs.length


@compiled
def _digit(number: np.int32, known: np.int32) -> np.int32:
    """What a number says beyond the one before it, outwards being 1."""
    beyond = number - np.int32(3) * known
    return -beyond if known < 0 else beyond


@compiled
def _tally(
    numbers: Numbers, before: Numbers, kinds: NDArray[np.uint16], runs: Where, counts: NDArray[np.int64]
) -> None:
    column, first, length = runs
    for run in range(len(column)):
        kind = kinds[run]
        for t in range(first[run], first[run] + length[run]):
            known = before[column[run], t]
            counts[min(abs(known), np.int32(3)), kind, _digit(numbers[column[run], t], known) + 1] += 1


@compiled
def _count(
    numbers: Numbers,
    before: Numbers,
    kinds: NDArray[np.uint16],
    runs: Where,
    second: NDArray[np.bool_],
    counts: NDArray[np.int64],
) -> None:
    """How many numbers are told of, in each class and magnitude: in a second half, those that did not move."""
    column, first, length = runs
    for run in range(len(column)):
        tally = counts[:, kinds[run]]
        here = before[column[run], first[run] : first[run] + length[run]]
        now = numbers[column[run], first[run] : first[run] + length[run]]
        some, ones, twos, more = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
        if second[kinds[run]]:
            for i in range(len(here)):
                told, magnitude = _digit(now[i], here[i]) != 1, abs(here[i])
                some += told
                ones += told & (magnitude == 1)
                twos += told & (magnitude == 2)
                more += told & (magnitude > 2)
        else:
            some = length[run]
            for number in here:
                magnitude = abs(number)
                ones += magnitude == 1
                twos += magnitude == 2
                more += magnitude > 2
        tally[0] += some - ones - twos - more
        tally[1] += ones
        tally[2] += twos
        tally[3] += more


@compiled
def _take(  # noqa: PLR0913 - compiled code takes arrays, not objects
    numbers: Numbers,
    before: Numbers,
    kinds: NDArray[np.uint16],
    starts: Places,
    runs: Where,
    form: NDArray[np.uint8],
    symbols: NDArray[np.int8],
) -> None:
    """Symbols sorted by table."""
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor, how = cursors[kinds[run]], form[kinds[run]]
        here = numbers[column[run], first[run] : first[run] + length[run]]
        known = before[column[run], first[run] : first[run] + length[run]]
        for i in range(len(here)):
            digit = _digit(here[i], known[i])
            magnitude = min(abs(known[i]), np.int32(3))
            if how != SECOND or digit != 1:
                symbols[cursor[magnitude]] = np.int8(digit == 1 if how == _FIRST else digit)
                cursor[magnitude] += 1


@compiled
def _put(  # noqa: PLR0913 - compiled code takes arrays, not objects
    symbols: NDArray[np.int8],
    before: Numbers,
    kinds: NDArray[np.uint16],
    starts: Places,
    runs: Where,
    form: NDArray[np.uint8],
    numbers: Numbers,
) -> None:
    """Undo `_take`; `symbols` has a place more, which a number that is not told of may look at."""
    column, first, length = runs
    cursors = starts.copy()
    for run in range(len(column)):
        cursor, second = cursors[kinds[run]], form[kinds[run]] == SECOND
        there = numbers[column[run], first[run] : first[run] + length[run]]
        known = before[column[run], first[run] : first[run] + length[run]]
        for i in range(len(there)):
            told = not second or _digit(there[i], known[i]) != 1
            magnitude = min(abs(known[i]), np.int32(3))
            digit = np.int32(symbols[cursor[magnitude]]) * told
            cursor[magnitude] += told
            there[i] += -digit if known[i] < 0 else digit

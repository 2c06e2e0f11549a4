"""The numbers of `klt` layers, any numbers at all: the decoder from the README reads what the package writes."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import lamofc_codecs
from lamofc_codecs import CorruptRecord
from lamofc_codecs.entropy import rans
from lamofc_codecs.entropy.exp_golomb import write_numbers
from lamofc_codecs.entropy.sigma_classes import CLASSES, LARGEST_LEVEL, shape_of_classes
from lamofc_codecs.entropy.tables import sigma_tables
from lamofc_codecs.klt.layers.first_layer import first_bits, read_first, write_first
from lamofc_codecs.klt.layers.partial_level import PartialLevel
from lamofc_codecs.klt.layers.passes import MIN_TWO_PASS_CLASS, LayerSplit, state_after
from lamofc_codecs.klt.layers.refinement import (
    previous_level,
    read_refinement,
    refinement_bits,
    refinement_tables,
    write_refinement,
)
from lamofc_codecs.klt.layers.runs import Levels, Runs, columns_by_class
from lamofc_codecs.klt.quantise.token_classes import CLASS_FACTORS, TokenGroups
from tests.codecs import readme_decoder as plain
from tests.codecs import readme_klt as klt

Floats = NDArray[np.float32]

TABLES = plain.Tables(Path(lamofc_codecs.__file__).parent / "entropy/sigma_tables.safetensors")


def slowly(sigma: Floats, step: float, energy: NDArray[np.uint8]) -> klt.Runs:
    """The runs of the decoder from the README, all tokens of one band."""
    return klt.Runs(np.tile(sigma, (len(energy), 1)), np.float32(step), (0 * energy, energy), TABLES)


KINDS = ("zeros", "narrow", "spread", "escapes", "huge", "mixed")


def drawn(kind: str, sigma: Floats, energy: NDArray[np.uint8], seed: int) -> NDArray[np.int32]:
    """Levels, tokens x columns, at the step 1: as the spreads say, or against all that they say."""
    draw = np.random.default_rng(seed)
    normal = draw.standard_normal((len(energy), len(sigma)))
    spread = CLASS_FACTORS[energy][:, None].astype(np.float64) * sigma
    found = {
        "zeros": 0 * normal,
        "narrow": np.sign(normal) * draw.integers(0, 5, normal.shape),
        "spread": normal * spread,
        "escapes": np.sign(normal) * np.maximum(200 * spread, 200),
        "huge": np.sign(normal) * (LARGEST_LEVEL - draw.integers(0, 3, normal.shape)),
        "mixed": normal * spread * np.exp2(draw.integers(0, 20, normal.shape)),
    }[kind]
    return np.clip(np.rint(found), -LARGEST_LEVEL, LARGEST_LEVEL).astype(np.int32)


def falling(octaves: list[float]) -> Floats:
    return np.exp2(sorted(octaves, reverse=True)).astype(np.float32)


layouts = st.tuples(
    st.lists(st.integers(0, 15), min_size=1, max_size=24).map(lambda some: np.array(some, np.uint8)),
    st.lists(st.floats(-8, 24), min_size=1, max_size=9).map(falling),
    st.sampled_from(KINDS),
    st.integers(0, 1000),
)
ALL_ENERGIES = (np.arange(40, dtype=np.uint8)[::-1] % 16).copy(), falling([20.0, 3.0, 0.0, -1.0, -6.0])
ONE_TOKEN = np.array([11], np.uint8), falling([21.0, 2.5, -9.0])
ONE_COLUMN = np.array([3, 9, 9, 0, 15] * 9, np.uint8), falling([6.0])


def check_first(energy: NDArray[np.uint8], sigma: Floats, rows: NDArray[np.int32]) -> tuple[bytes, Levels, Runs]:
    runs = Runs.for_step(sigma[None], np.float32(1), TokenGroups.from_classes(energy))
    numbers = columns_by_class(rows, runs.tokens)
    assert np.array_equal(numbers, rows[np.argsort(energy, kind="stable")].T)
    data = write_first(numbers, runs)
    assert np.array_equal(read_first(memoryview(data), runs), numbers)
    found = klt.first(data, slowly(sigma, 1, energy), TABLES, plain)
    assert np.array_equal(found, rows)
    assert first_bits(numbers, runs) / 8 == pytest.approx(len(data), rel=0.01, abs=8)
    return data, numbers, runs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", [ALL_ENERGIES, ONE_TOKEN, ONE_COLUMN], ids=["energies", "token", "column"])
def test_the_hardest_numbers(kind: str, layout: tuple[NDArray[np.uint8], Floats]) -> None:
    rows = drawn(kind, layout[1], layout[0], 1)
    check_first(*layout, rows)
    check_refined(*layout, rows, len(layout[1]) // 2)


@settings(max_examples=60, deadline=None)
@given(layouts)
@example((*ALL_ENERGIES, "mixed", 1))
def test_a_first_layer_holds_any_numbers(layout: tuple[NDArray[np.uint8], Floats, str, int]) -> None:
    energy, sigma, kind, seed = layout
    check_first(energy, sigma, drawn(kind, sigma, energy, seed))


DRAWN = np.random.default_rng(8).integers(0, 9, (CLASSES, 2)).astype(np.uint8)
WHOLE = LayerSplit().passes
CUTS = (LayerSplit(), LayerSplit(0, 21), LayerSplit(17, 0), LayerSplit(17, 9), LayerSplit(30, 19))


def check_refined(energy: NDArray[np.uint8], sigma: Floats, rows: NDArray[np.int32], width: int) -> None:
    """Refine from the first columns, the others being within reach, and read all back, and all stages in between."""
    rows = rows.copy()
    rows[:, width:] = np.clip(rows[:, width:], -1, 1)
    tokens = TokenGroups.from_classes(energy)
    runs, runs_before = (
        Runs.for_step(sigma[None], np.float32(1), tokens),
        Runs.for_step(sigma[None, :width], np.float32(3), tokens),
    )
    numbers = columns_by_class(rows, tokens)
    before = np.ascontiguousarray(previous_level(numbers)[:width])
    coarse = np.zeros_like(rows, shape=(len(rows), width))
    coarse[tokens.order] = before.T
    slow, slow_before = (slowly(sigma[:k], s, energy) for k, s in ((None, 1), (width, 3)))
    sixteenths = klt.drawn(coarse, slow_before, {"drawn": DRAWN})
    for cut in CUTS:
        stages, listed = cut.passes, klt.stages(cut.outward, cut.remaining)
        data = write_refinement(numbers, before, runs, stages)
        assert len(data) == len(stages) == len(listed)
        cost = refinement_bits(numbers, before, runs, stages) / 8
        assert cost == pytest.approx(sum(map(len, data)), rel=0.01, abs=8 * len(data))
        for count in range(1, len(stages) + 1):
            found = read_refinement([memoryview(part) for part in data[:count]], before, runs, stages)
            parts = PartialLevel(before, runs_before, state_after(stages[:count])).sixteenths(found, runs, DRAWN)
            told = list(zip(data[:count], listed, strict=False))
            wanted = klt.refined(told, (coarse, sixteenths), slow, {"drawn": DRAWN}, TABLES, plain)
            assert np.array_equal(found.T, wanted[0][tokens.order])
            assert np.array_equal(parts.T, wanted[1][tokens.order])
        assert np.array_equal(found, numbers)


def test_the_stages_of_a_cut_are_those_of_the_readme() -> None:
    for halves in (0, *range(MIN_TWO_PASS_CLASS, CLASSES)):
        for rest in range(CLASSES):
            assert LayerSplit(halves, rest).valid
            listed = klt.stages(halves, rest)
            assert [(s.outward, s.low, s.high) for s in LayerSplit(halves, rest).passes] == [
                (half == "first", low, high) for half, low, high in listed
            ]
    for wrong in (
        LayerSplit(MIN_TWO_PASS_CLASS - 1, 0),
        LayerSplit(CLASSES, 0),
        LayerSplit(0, CLASSES),
        LayerSplit(1, 1),
    ):
        assert not wrong.valid


@settings(max_examples=60, deadline=None)
@given(layouts, st.integers(0, 9))
@example((*ALL_ENERGIES, "spread", 1), 3)
def test_a_refinement_holds_any_numbers(layout: tuple[NDArray[np.uint8], Floats, str, int], width: int) -> None:
    energy, sigma, kind, seed = layout
    check_refined(energy, sigma, drawn(kind, sigma, energy, seed), min(width, len(sigma)))


def test_a_layer_less_is_a_third_to_nearest() -> None:
    numbers = np.array(
        [
            np.arange(-30, 31),
            [*range(-LARGEST_LEVEL, -LARGEST_LEVEL + 30), *range(LARGEST_LEVEL - 30, LARGEST_LEVEL + 1)],
        ]
    )
    found = previous_level(numbers.astype(np.int32))
    assert np.array_equal(found, np.rint(numbers / 3))
    assert np.abs(numbers - 3 * found).max() == 1
    assert np.array_equal(previous_level(previous_level(numbers.astype(np.int32))), np.rint(numbers / 9))


def test_tables_of_refinements_are_those_of_the_readme() -> None:
    frozen = sigma_tables().freqs.astype(np.int64)
    found = refinement_tables().freqs.reshape(3, 4, CLASSES, 256)
    for form, half in enumerate(("whole", "first", "second")):
        for magnitude in range(4):
            for kind in range(CLASSES):
                wanted = klt.refinement_table(frozen[kind], magnitude, half)
                assert np.array_equal(found[form, magnitude, kind], wanted), (half, magnitude, kind)


def test_runs_stand_in_the_order_of_the_readme() -> None:
    energy, sigma = ALL_ENERGIES
    band = (np.arange(len(energy)) // 3 % 3).astype(np.uint8)
    for step in (0.001, 1.0, 700.0):
        sigmas = np.stack([sigma, 3 * sigma, sigma / 7])
        runs = Runs.for_step(sigmas, np.float32(step), TokenGroups.from_classes(energy, band))
        slow = klt.Runs(sigmas[band], step, (band, energy), TABLES)
        groups = [divmod(int(runs.tokens.labels[group]), 16) for group in runs.group]
        ours = list(zip(groups, runs.index[0].tolist(), strict=True))
        assert ours == slow.order
        assert runs.classes.tolist() == [slow.shape[run][0] for run in slow.order]
        tables = [slow.shape[run][1] for run, _ in slow.places]
        assert runs.layout.table_of_row.tolist() == [
            tables[min(row + 31, len(tables) - 1)] for row in range(0, 200, 32)
        ]
        assert runs.layout.count == len(tables) == 200


def widest(step: float) -> tuple[Runs, bytes]:
    """A run of the widest class, and a symbol stream of nothing but escapes."""
    runs = Runs.for_step(falling([26.0])[None], np.float32(step), TokenGroups.from_classes(np.full(64, 8, np.uint8)))
    assert runs.classes.tolist() == [137]
    return runs, rans.encode_symbols(np.full(64, 128, np.uint8), runs.layout.table_of_row, sigma_tables())


@pytest.mark.parametrize("magnitude", [LARGEST_LEVEL, LARGEST_LEVEL + (1 << 15), 1 << 30, 1 << 31, 1 << 32, 1 << 37])
def test_no_number_above_the_largest_comes_out(magnitude: int) -> None:
    """These once became the least of all int32, which has no magnitude, and was looked up in front of a table."""
    runs, coded = widest(1.0)
    shift, radius = (int(shape_of_classes()[k, 137]) for k in (1, 2))
    high = magnitude >> shift
    low = np.tile(np.arange(shift) == shift - 1, 64)  # the bits that add nothing
    escapes = write_numbers(np.full(64, 2 * (high - radius - 1), np.int64))
    data = memoryview(
        len(coded).to_bytes(4, "little") + coded + np.packbits(low, bitorder="little").tobytes() + escapes
    )
    if magnitude <= LARGEST_LEVEL:
        assert (read_first(data, runs) == magnitude).all()
    else:
        with pytest.raises(CorruptRecord, match="the largest is 4194304"):
            read_first(data, runs)


def test_no_number_is_refined_beyond_the_largest() -> None:
    runs, _ = widest(1 / 3)
    most = (LARGEST_LEVEL + 1) // 3
    for sign in (-1, 1):
        before = np.full((1, 64), sign * most, np.int32)
        data = memoryview(write_refinement(3 * before + sign, before, runs, WHOLE)[0])
        assert (read_refinement([data], before, runs, WHOLE) == sign * (3 * most + 1)).all()
        for number in (sign * (most + 1), -(1 << 31)):
            with pytest.raises(CorruptRecord, match="to refine; the largest is"):
                read_refinement([data], np.full((1, 64), number, np.int32), runs, WHOLE)


def test_what_the_bytes_cannot_hold_is_refused() -> None:
    data, _, runs = check_first(*ALL_ENERGIES, drawn("escapes", ALL_ENERGIES[1], ALL_ENERGIES[0], 2))
    for cut in (data[:-1], data + b"\0", data[:3], b"", b"\xff" * 4 + data[4:]):
        with pytest.raises(CorruptRecord):
            read_first(memoryview(cut), runs)
    many = Runs.for_step(
        falling([-5.0] * 5)[None], np.float32(1), TokenGroups.from_classes(np.zeros(1 << 16, np.uint8))
    )
    zeros = np.zeros((1, 1 << 16), np.int32)
    for read in (read_first, lambda data, runs: read_refinement([data], zeros, runs, WHOLE)):
        with pytest.raises(CorruptRecord, match="5 bytes for 327680 levels"):
            read(memoryview(b"\1\0\0\0\0"), many)


def test_costs_are_told_to_a_few_parts_in_a_thousand() -> None:
    energy = np.random.default_rng(3).integers(5, 11, 3000).astype(np.uint8)
    sigma = np.geomspace(90, 0.1, 40).astype(np.float32)
    tokens = TokenGroups.from_classes(energy)
    fine = columns_by_class(drawn("spread", sigma, energy, 4), tokens)
    coarse, steps = previous_level(fine), (np.float32(1), np.float32(3))
    runs, before = (Runs.for_step(sigma[None], step, tokens) for step in steps)
    assert first_bits(coarse, before) / 8 == pytest.approx(len(write_first(coarse, before)), rel=4e-3)
    for cut in CUTS:
        written = write_refinement(fine, coarse, runs, cut.passes)
        assert refinement_bits(fine, coarse, runs, cut.passes) / 8 == pytest.approx(sum(map(len, written)), rel=5e-3)


def test_a_refinement_by_more_than_one_is_refused() -> None:
    runs, _ = widest(1.0)
    table = refinement_tables().freqs[CLASSES - 1]
    assert np.flatnonzero(table).tolist() == [0, 1, 255]
    with pytest.raises(lamofc_codecs.UnsupportedInput, match="has no slot"):
        write_refinement(np.full((1, 64), 2, np.int32), np.zeros((1, 64), np.int32), runs, WHOLE)


def test_layers_of_layers() -> None:
    """Seven refinements, columns joining one by one: what the first and the last say is what was put in."""
    energy, sigma = ALL_ENERGIES
    tokens = TokenGroups.from_classes(energy)
    numbers = [columns_by_class(drawn("spread", sigma, energy, 5), tokens)]
    for _ in range(7):
        numbers.insert(0, previous_level(numbers[0]))
    widths = [max(np.flatnonzero(some.any(axis=1)).max(initial=-1) + 1, 1) for some in numbers]
    assert widths[0] < widths[-1]
    held = [np.ascontiguousarray(some[:width]) for some, width in zip(numbers, widths, strict=True)]
    found = held[0]
    for layer, (before, after) in enumerate(pairwise(held)):
        runs = Runs.for_step(sigma[None, : len(after)], np.float32(3.0 ** (6 - layer)), tokens)
        data = write_refinement(after, before, runs, CUTS[layer % 5].passes)
        found = read_refinement([memoryview(part) for part in data], found, runs, CUTS[layer % 5].passes)
        assert np.array_equal(found, after)

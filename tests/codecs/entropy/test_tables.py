"""The frozen tables, the classes, and tables made from histograms."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lamofc_codecs.entropy import sigma_classes, tables
from lamofc_codecs.entropy.histogram import count_symbols, normalise, pack_table, unpack_table
from lamofc_codecs.errors import CodecError, CorruptRecord, UnsupportedInput
from lamofc_tools.generate import make_tables

counts = arrays(
    np.int64, 256, elements=st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 1 << 40)), fill=st.just(0)
)


def test_the_data_file_is_what_the_program_makes() -> None:
    data = Path(sigma_classes.__file__).with_name("sigma_tables.safetensors").read_bytes()
    assert make_tables.make() == data
    assert hashlib.sha256(data).hexdigest() == sigma_classes._SHA256


def test_another_data_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigma_classes, "_SHA256", "0" * 64)
    sigma_classes.frozen.cache_clear()
    with pytest.raises(CodecError, match=r"sigma_tables\.safetensors has sha256"):
        sigma_classes.frozen()
    sigma_classes.frozen.cache_clear()


def test_each_table_holds_its_radius_and_the_escape() -> None:
    frozen = tables.sigma_tables()
    assert len(frozen) == sigma_classes.CLASSES
    for freqs, radius in zip(frozen.freqs, sigma_classes.radii().astype(int), strict=True):
        held = set(np.flatnonzero(freqs).astype(np.uint8).view(np.int8).tolist())
        assert held == {*range(-radius, radius + 1), -128}
        assert freqs.sum(dtype=int) == 4096


def test_costs_match_the_entropy_of_what_they_model() -> None:
    """At every class the table costs its model less than 0.1 % + 0.006 bits more than the entropy."""
    for table, sigma in enumerate(sigma_classes.class_sigma(np.arange(sigma_classes.CLASSES)).tolist()):
        shares = make_tables.model(sigma, int(sigma_classes.radii()[table]))
        held = shares > 0
        entropy = -(shares[held] * np.log2(shares[held])).sum()
        cost = (shares[held] * tables.sigma_tables().costs[table][held]).sum()
        assert 0 <= cost - entropy < 0.001 * entropy + 0.006, table


def test_slots_name_every_symbol_as_often_as_its_frequency() -> None:
    frozen = tables.sigma_tables()
    for table in (0, 20, 47):
        slots = frozen.slots[table]
        symbols = slots & 0xFF
        assert np.array_equal(np.bincount(symbols, minlength=256), frozen.freqs[table])
        assert np.array_equal(slots >> 8 & 0xFFF, frozen.freqs[table][symbols])
        assert np.array_equal((slots >> 20) + frozen.starts[table][symbols], np.arange(4096))


def test_reciprocals_divide_exactly() -> None:
    """x // f for every frequency, at the multiples of f (and next to them) where a wrong reciprocal shows first."""
    both = np.zeros((4095, 256), np.uint16)
    both[:, 0], both[:, 1] = np.arange(1, 4096), np.arange(4095, 0, -1)
    coding = tables.Tables(both).coding[:, 0]
    inverse, freqs, k = (
        coding & np.uint64(0xFFFFFFFF),
        coding >> np.uint64(32) & np.uint64(4095),
        coding >> np.uint64(56),
    )
    assert np.array_equal(freqs, np.arange(1, 4096))
    shift = k + np.uint64(31)
    rng = np.random.default_rng(0)
    top = np.uint64((1 << 31) - 1)
    for factor in [1, 2, 3, *rng.integers(4, 1 << 31, 300)]:
        multiple = np.minimum(np.uint64(factor), top // freqs) * freqs
        for x in (
            multiple - np.uint64(1),
            multiple,
            np.minimum(multiple + np.uint64(1), top),
            np.full_like(freqs, top),
        ):
            assert np.array_equal(x * inverse >> shift, x // freqs)


def test_classes_of_spreads() -> None:
    largest = sigma_classes.CLASSES + sigma_classes.MAX_LOW_BITS * sigma_classes.CLASSES_PER_OCTAVE - 1
    middles, one = sigma_classes.class_sigma(np.arange(largest + 1)), np.float32(1)
    assert np.array_equal(sigma_classes.classes_of(middles, one), np.arange(largest + 1))
    ends = np.array([np.inf, 1.0, 0.0, np.nan, 1e-30, 3e38], np.float32)
    unit = sigma_classes.UNIT_CLASS
    assert sigma_classes.classes_of(ends, one).tolist() == [largest, unit, 0, largest, 0, largest]


def test_classes_are_told_by_comparison_with_the_thresholds() -> None:
    limits, draw = sigma_classes.thresholds(), np.random.default_rng(0)
    sigma = np.concatenate([limits, np.nextafter(limits, 0), np.exp(draw.normal(0, 6, 5000))]).astype(np.float32)
    for step in (np.float32(1), np.float32(0.3), np.float32(2.0**-40)):
        with np.errstate(over="ignore"):
            found = np.searchsorted(limits, sigma / step, side="right")
        expected = np.minimum(found, sigma_classes.CLASSES + 15 * 6 - 1)
        assert np.array_equal(sigma_classes.classes_of(sigma.reshape(2, -1), step).reshape(-1), expected)


def test_classes_above_the_top_are_an_octave_and_shifts() -> None:
    table, shift = sigma_classes.split_class(np.arange(sigma_classes.ALL_CLASSES))
    assert table[:48].tolist() == list(range(48))
    assert not shift[:48].any()
    ratio = (
        sigma_classes.class_sigma(np.arange(sigma_classes.ALL_CLASSES)) / 2.0**shift / sigma_classes.class_sigma(table)
    )
    assert np.allclose(ratio, 1)
    assert shift.max() == 24


@given(counts)
@settings(max_examples=200, deadline=None)
def test_normalised_histograms(tally: np.ndarray) -> None:
    freqs = normalise(tally)
    assert freqs.sum(dtype=int) == 4096
    assert freqs.max() < 4096
    assert (freqs[tally > 0] >= 1).all()
    if np.count_nonzero(tally) > 1:
        assert not freqs[tally == 0].any()
    assert unpack_table(b"??" + pack_table(freqs) + b"?", 2)[1] == 2 + len(pack_table(freqs))
    assert np.array_equal(unpack_table(pack_table(freqs))[0], freqs)
    tables.Tables.of(freqs)


def test_normalise_is_near_the_best() -> None:
    """No single slot moved from one symbol to another makes the coded size smaller by a hundred-thousandth."""
    tally = np.random.default_rng(1).integers(0, 10_000, 256) ** 2
    freqs = normalise(tally).astype(np.int64)
    gain = (tally * np.log2((freqs + 1) / freqs)).max()
    losses = np.where(freqs > 1, tally * np.log2(freqs / np.maximum(freqs - 1, 1)), np.inf)
    size = (tally * (12 - np.log2(freqs))).sum()
    assert gain - losses.min() < 1e-5 * size


def test_lone_and_missing_symbols() -> None:
    lone = normalise(np.bincount([255], minlength=256))
    assert (lone[255], lone[0]) == (4095, 1)
    assert (normalise(np.zeros(256, np.int64)) == 16).all()


@pytest.mark.parametrize("bad", [np.zeros(255, int), np.zeros(256), np.full(256, -1), np.full(256, 1 << 48)])
def test_histograms_that_are_none(bad: np.ndarray) -> None:
    with pytest.raises(UnsupportedInput, match="histogram of"):
        normalise(bad)


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 4097])
def test_histogram_counts(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert np.array_equal(count_symbols(data), np.bincount(data, minlength=256))


@given(st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_tables_from_any_bytes_are_sound_or_refused(data: bytes) -> None:
    try:
        freqs, end = unpack_table(data)
    except CorruptRecord:
        return
    assert end <= len(data)
    assert pack_table(freqs) == data[:end] or freqs[data[0]] == 0 or freqs[data[1]] == 0
    tables.Tables.of(freqs)


def test_every_cut_table_is_refused() -> None:
    packed = pack_table(normalise(np.random.default_rng(2).integers(0, 99, 256)))
    for length in range(len(packed)):
        with pytest.raises(CorruptRecord):
            unpack_table(packed[:length])


@pytest.mark.parametrize(
    "freqs", [np.full((1, 256), 15, np.uint16), np.eye(1, 256, dtype=np.uint16) * 4096, np.full((1, 256), 16.0)]
)
def test_tables_that_are_none(freqs: np.ndarray) -> None:
    with pytest.raises(UnsupportedInput):
        tables.Tables(freqs)

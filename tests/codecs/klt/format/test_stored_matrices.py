"""Coded matrices in profiles: the same values from fewer bytes, at the same rate."""

import numpy as np
import pytest
import torch

from lamofc_codecs import CodecError, Profile, Quality, decode, encode, fit
from lamofc_codecs.klt.fit import rounding
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.klt.format.stored_matrices import TypicalColumns
from lamofc_codecs.klt.transform import stretches
from lamofc_codecs.level_coding import matrix, write_matrix
from lamofc_codecs.testing import feature

KEYS, VALUES = 144, 128
NOISE = torch.Generator().manual_seed(4)
WEIGHT = {"k": torch.randn(200, KEYS, generator=NOISE) * torch.logspace(0, -1.5, KEYS), "v": torch.ones(VALUES)}


def sample(seed: int) -> dict[str, torch.Tensor]:
    return {"k": feature(100, KEYS, seed), "v": feature(100, VALUES, seed + 50)}


SAMPLES, TEST = [sample(-seed) for seed in range(1, 7)], [sample(seed) for seed in range(1, 3)]


def fitted() -> Profile:
    return fit("klt", SAMPLES, Quality(snr_db=12), weight=WEIGHT, means=16, waves=False)


@pytest.fixture(scope="module")
def coded() -> Profile:
    return fitted()


def without_coding(profile: Profile) -> Profile:
    """The same profile with its basis and typical tokens as they are."""
    parameters = KltParameters.from_profile(profile)
    assert parameters.basis is not None
    assert parameters.codebook is not None
    kept = {name: tensor for name, tensor in profile.tensors.items() if not name.startswith(("basis_coded", "means_"))}
    typical = parameters.codebook.basis
    matrices = {"basis": parameters.basis.rows, "means": typical.rows, "means_scale": typical.scale}
    return Profile("klt", profile.config, {**kept, **matrices})


def test_coded_matrices_are_those_that_stand_uncoded(coded: Profile) -> None:
    plain = without_coding(coded)
    ours, theirs = encode(TEST, coded), encode(TEST, plain)
    assert [record.layers for record in ours] == [record.layers for record in theirs]
    decoded = decode([record.data for record in ours], coded), decode([record.data for record in theirs], plain)
    assert all(torch.equal(one, other) for one, other in zip(*decoded, strict=True))
    assert len(coded.data) < 0.7 * len(plain.data)


def test_rates_are_those_of_finer_matrices(coded: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "_MIN_CODED_VALUES", 1 << 40)
    finer = fitted()
    assert "basis" in finer.tensors
    for step in (4.0, 1.0):
        ours, theirs = (rate_and_error(profile, Quality(step=step)) for profile in (coded, finer))
        assert ours == pytest.approx(theirs, rel=0.005), step


def rate_and_error(profile: Profile, quality: Quality) -> tuple[int, float]:
    records = encode(TEST, profile, quality=quality)
    return sum(len(record.data) for record in records), sum(record.weighted_sse or 0.0 for record in records)


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("basis_coded", torch.zeros(9, dtype=torch.uint8)),
        ("means_coded", torch.zeros(9, dtype=torch.uint8)),
        ("means_count", torch.zeros(1, dtype=torch.int32)),
        ("means_count", torch.full((1,), 1 << 17, dtype=torch.int32)),
        ("means_shift", torch.full((KEYS + VALUES,), 31, dtype=torch.uint8)),
        ("means_shift", torch.zeros(3, dtype=torch.uint8)),
        ("means_step", torch.full((1,), float("nan"))),
        ("means_step", torch.zeros(1)),
        ("stretch_matrix.0", torch.zeros(9, dtype=torch.uint8)),
    ],
)
def test_forged_matrices_are_refused(coded: Profile, name: str, forged: torch.Tensor) -> None:
    with pytest.raises(CodecError):
        encode(TEST, Profile("klt", coded.config, {**coded.tensors, name: forged}))


@pytest.mark.parametrize(
    ("place", "number"), [(-1, -128), (-1, -129), (1, 1 << 12)], ids=["singular", "negative", "indefinite"]
)
def test_a_matrix_that_is_not_positive_definite_is_refused(coded: Profile, place: int, number: int) -> None:
    half = np.zeros((1, KEYS * (KEYS + 1) // 2), np.int32)
    half[0, place] = number * stretches.units_of(KEYS) // 128
    forged = torch.frombuffer(bytearray(write_matrix(half)), dtype=torch.uint8)
    with pytest.raises(CodecError, match="not those of a positive definite matrix"):
        encode(TEST, Profile("klt", coded.config, {**coded.tensors, "stretch_matrix.0": forged}))


def test_a_fit_codes_no_matrix_beyond_its_bounds(coded: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "_MAX_MATRIX_CHANNELS", KEYS - 1)
    with pytest.raises(CodecError, match=f"a stretch matrix of {KEYS} channels; expected at most {KEYS - 1}"):
        KltParameters.from_profile(coded)
    assert "directions.0" in fitted().tensors
    monkeypatch.undo()
    rows = len(coded.tensors["sigma"])
    monkeypatch.setattr(matrix, "_MAX_VALUES", rows * (KEYS + VALUES) - 1)
    with pytest.raises(CodecError, match=f"a matrix of {rows} x {KEYS + VALUES} is coded; expected at most"):
        KltParameters.from_profile(coded)
    plain = fitted()
    assert {"basis", "means", "stretch_matrix.0"} <= set(plain.tensors)
    ours, theirs = (rate_and_error(profile, Quality(step=1.0)) for profile in (coded, plain))
    assert ours == pytest.approx(theirs, rel=0.005)


def test_typical_tokens_of_too_many_channels_are_refused(coded: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = KltParameters.from_profile(coded)
    assert parameters.basis is not None
    typical = TypicalColumns.from_profile(coded, parameters.columns)
    monkeypatch.setattr(matrix, "_MAX_ROWS", 1)
    with pytest.raises(CodecError, match="typical tokens of 272 channels are too many"):
        typical.to_channels(parameters.basis)


def test_tokens_that_are_all_typical_are_coded() -> None:
    known = 100 * torch.randn(20, 300, generator=torch.Generator().manual_seed(2))
    samples = [known[torch.from_numpy(np.random.default_rng(seed).integers(0, 20, 80))] for seed in range(12)]
    profile = fit("klt", samples, Quality(snr_db=20), means=20, waves=False)
    assert "means_coded" in profile.tensors
    decoded = decode([record.data for record in encode(samples, profile)], profile)
    for one, source in zip(decoded, samples, strict=True):
        assert float((one - source).square().sum() / source.square().sum()) < 0.011

"""Coded matrices in profiles: the same values from fewer bytes, at the same rate."""

import numpy as np
import pytest
import torch

from lamofc_codecs import CodecError, Profile, Quality, decode, encode, fit
from lamofc_codecs.klt.fit import rounding
from lamofc_codecs.klt.format.profile import KltParameters
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


def test_tokens_that_are_all_typical_are_coded() -> None:
    known = 100 * torch.randn(20, 300, generator=torch.Generator().manual_seed(2))
    samples = [known[torch.from_numpy(np.random.default_rng(seed).integers(0, 20, 80))] for seed in range(12)]
    profile = fit("klt", samples, Quality(snr_db=20), means=20, waves=False)
    assert "means_coded" in profile.tensors
    decoded = decode([record.data for record in encode(samples, profile)], profile)
    for one, source in zip(decoded, samples, strict=True):
        assert float((one - source).square().sum() / source.square().sum()) < 0.011

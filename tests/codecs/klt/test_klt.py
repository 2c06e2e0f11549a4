"""Codec klt: qualities met sample by sample, layers as copies of lower rates, outliers, profiles that do not fit."""

from itertools import accumulate, pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    BadQuality,
    CodecError,
    NonFiniteInput,
    Profile,
    Quality,
    Record,
    UnsupportedInput,
    decode,
    encode,
    fit,
    levels_of,
)
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import feature, picture

CHANNELS = 96


class TestWhole(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=20)
    noise = 0.01


class TestWithMeans(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=10)
    options: ClassVar[dict[str, object]] = {"means": 16, "levels": 2}
    noise = 0.1


class TestWithWaves(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=15)
    options: ClassVar[dict[str, object]] = {"waves": True}
    noise = 0.04


class TestWithoutTransform(CodecConformance):
    codec = "klt"
    quality = Quality(snr_db=30)
    options: ClassVar[dict[str, object]] = {"transform": "none"}
    noise = 0.001


def correlated(seed: int, tokens: int = 200, channels: int = CHANNELS) -> torch.Tensor:
    """Channels that are images of few directions, tokens of unlike energy."""
    mixing = torch.randn(channels, channels, generator=torch.Generator().manual_seed(channels))
    draw = torch.Generator().manual_seed(1000 + seed)
    inner = torch.randn(tokens, channels, generator=draw) * torch.arange(1, channels + 1) ** -0.9
    return inner @ mixing * torch.exp(0.4 * torch.randn(tokens, 1, generator=draw)) + 3


PICTURES = [picture(9, 11, 32, seed, first=2) for seed in range(8)]
SAMPLES = [correlated(-seed) for seed in range(1, 9)]
PROFILE = fit("klt", SAMPLES)


@pytest.mark.parametrize("exponent", [-20, -25, -30, -38, -44])
@pytest.mark.parametrize("quality", [{"snr_db": 20}, {"bpfp": 3.0}])
def test_tiny_features_keep_their_quality(quality: dict[str, float], exponent: int) -> None:
    target = Quality(**quality)  # type: ignore[arg-type]
    samples = [sample * 10.0**exponent for sample in SAMPLES[:4]]
    record = encode(samples[:1], fit("klt", samples[1:], target))[0]
    usual = encode(SAMPLES[:1], fit("klt", SAMPLES[1:4], target))[0]
    if exponent >= -25:
        assert record.codec == "klt" and len(record.data) == pytest.approx(len(usual.data), rel=0.05)
        assert snr_db(record) == pytest.approx(snr_db(usual), abs=0.3)
    else:  # the step would be below the least one of records
        assert (record.codec, record.sse) == ("raw", 0)


def test_a_step_below_the_least_of_records_loses_nothing() -> None:
    sample = SAMPLES[0] * 1e-30
    record = encode([sample], fit("klt", [sample], Quality(step=1e-31)))[0]
    assert (record.codec, record.sse) == ("raw", 0)


def test_a_group_of_which_one_feature_is_all_but_zero_is_fitted() -> None:
    groups = [{"tiny": sample * 1e-39, "usual": sample} for sample in SAMPLES[:4]]
    record = encode(groups[:1], fit("klt", groups[1:], Quality(snr_db=20)))[0]
    assert snr_db(record) > 19.8


def snr_db(record: Record) -> float:
    return float(10 * np.log10(record.signal / record.bulk_sse))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_sample_meets_its_quality(dtype: torch.dtype) -> None:
    sources = [correlated(seed).to(dtype) for seed in range(4)]
    for wish in (3.0, 10.0, 20.0, 30.0):
        for record in encode(sources, PROFILE, quality=Quality(snr_db=wish)):
            assert record.codec == "klt"
            assert snr_db(record) == pytest.approx(wish, abs=0.2)
    for bits in (0.5, 1.0, 4.0):
        for record in encode(sources, PROFILE, quality=Quality(bpfp=bits)):
            assert record.payload_bits / record.elements == pytest.approx(bits, rel=0.03)
    for mse in (1.0, 0.01):
        for record in encode(sources, PROFILE, quality=Quality(mse=mse)):
            assert record.sse / record.elements == pytest.approx(mse, rel=0.03)
    for limit in (0.5, 0.05):
        for source, record in zip(sources, encode(sources, PROFILE, quality=Quality(max_error=limit)), strict=True):
            decoded = decode([record.data], PROFILE)[0]
            assert float((decoded.float() - source.float()).abs().max()) == record.max_error <= limit


def test_a_layer_is_what_its_prefix_decodes_to() -> None:
    source = correlated(20)
    record = encode([source], PROFILE, quality=Quality(snr_db=20))[0]
    assert len(record.layers) == 3
    ends = list(accumulate(layer.bytes for layer in record.layers))
    assert ends[-1] == len(record.data)
    errors = []
    for end, layer in zip(ends, record.layers, strict=True):
        error = float((decode([record.data[:end]], PROFILE)[0] - source).double().square().sum())
        assert error == pytest.approx(layer.sse, rel=1e-6)
        errors.append(error)
    assert all(coarse > 2 * fine for coarse, fine in pairwise(errors))


def test_what_is_told_of_a_layer_within_a_level_is_about_right() -> None:
    source, profile = correlated(20, 1500), fit("klt", SAMPLES, layer_bytes=512)
    for wish in (11, 20):
        record = encode([source], profile, quality=Quality(snr_db=wish))[0]
        assert len(record.layers) >= 3
        ends = list(accumulate(layer.bytes for layer in record.layers))
        errors = []
        for end, layer in zip(ends, record.layers, strict=True):
            error = float((decode([record.data[:end]], profile)[0] - source).double().square().sum())
            assert error == pytest.approx(layer.sse, rel=0.02)
            errors.append(error)
        assert all(coarse > fine for coarse, fine in pairwise(errors))


def test_levels_tell_where_a_copy_is_as_good_as_one_made_so() -> None:
    source = correlated(21, 6000)
    record = encode([source], PROFILE, quality=Quality(snr_db=20))[0]
    levels = levels_of(record.data)
    assert (len(levels), sum(levels)) == (3, len(record.layers))
    assert levels_of(encode([source], fit("raw", []))[0].data) == (1,)
    for count in np.cumsum(levels):
        made = encode([source], PROFILE, quality=Quality(mse=record.layers[count - 1].sse / source.numel()))[0]
        taken = sum(layer.bytes for layer in record.layers[:count])
        assert taken <= 1.05 * len(made.data)


def test_layers_within_a_level_lose_little() -> None:
    """At each layer's end: against a record made for as many bytes, at most 0.7 dB."""
    source = correlated(21, 1500)
    record = encode([source], PROFILE, quality=Quality(snr_db=20))[0]
    for end in accumulate(layer.bytes for layer in record.layers):
        error = (decode([record.data[:end]], PROFILE)[0] - source).double().square().sum()
        made = encode([source], PROFILE, quality=Quality(bpfp=8 * end / source.numel()))[0]
        assert 10 * np.log10(float(error) / made.sse) < 0.7


def test_layers_cost_next_to_nothing() -> None:
    sources = [correlated(seed, 1500) for seed in range(30, 33)]
    single = fit("klt", SAMPLES, levels=1)
    for wish in (10, 20):
        several, one = (
            sum(record.payload_bits for record in encode(sources, profile, quality=Quality(snr_db=wish)))
            for profile in (PROFILE, single)
        )
        assert several <= 1.02 * one


def test_massive_entries_harm_nobody() -> None:
    source = correlated(40, 1000)
    spiked = source.clone()
    places = torch.randperm(source.numel(), generator=torch.Generator().manual_seed(4))[: source.numel() // 10_000]
    spiked.view(-1)[places] = 1e4 * (-1.0) ** torch.arange(len(places))
    plain, massive = encode([source, spiked], PROFILE, quality=Quality(snr_db=15))
    rest = torch.ones(source.numel(), dtype=torch.bool)
    rest[places] = False
    first, second = decode([plain.data, massive.data], PROFILE)
    errors = [((first - source).view(-1)[rest] ** 2).mean(), ((second - spiked).view(-1)[rest] ** 2).mean()]
    assert float(errors[1] / errors[0]) == pytest.approx(1, abs=0.01)
    assert torch.equal(second.view(-1)[places], spiked.view(-1)[places])
    assert len(massive.data) < len(plain.data) + 12 * len(places)


def test_the_transform_and_the_means_earn_their_keep() -> None:
    sources, aim = [correlated(seed) for seed in range(50, 54)], Quality(snr_db=15)

    def bits(**options: object) -> int:
        return sum(record.payload_bits for record in encode(sources, fit("klt", SAMPLES, aim, **options)))

    assert bits() < 0.7 * bits(transform="none")
    words = 5 * torch.randn(40, CHANNELS, generator=torch.Generator().manual_seed(5))

    def spoken(seed: int) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        return words[torch.randint(40, (400,), generator=draw)] + torch.randn(400, CHANNELS, generator=draw)

    profile = fit("klt", [spoken(seed) for seed in range(12)], Quality(snr_db=20))
    assert len(profile.tensors["means"]) == 256
    without = fit("klt", [spoken(seed) for seed in range(12)], Quality(snr_db=20), means=0)
    with_means, plain = (encode([spoken(99)], one)[0].payload_bits for one in (profile, without))
    assert with_means < 0.9 * plain
    assert "means" not in PROFILE.tensors


def test_a_profile_of_something_else_is_never_worse_than_raw() -> None:
    other = fit("klt", [feature(100, CHANNELS, -seed) for seed in range(3)], Quality(snr_db=15))
    for source in (correlated(60), 100 * correlated(61), torch.full((50, CHANNELS), 3.0), torch.zeros(9, CHANNELS)):
        for quality in (Quality(snr_db=15), Quality(max_error=0.01)):
            record = encode([source], other, quality=quality)[0]
            decoded = decode([record.data], other)[0]
            assert len(record.data) <= source.nbytes + 64
            assert float((decoded - source).double().square().sum()) == pytest.approx(record.sse, rel=1e-5, abs=1e-9)


def test_decibels_beyond_all_floats_are_answered() -> None:
    for decibels in (-4000.0, 4000.0):
        for element in (correlated(60, 9), [correlated(60, 5), correlated(61, 3)]):
            record = encode([element], PROFILE, quality=Quality(snr_db=decibels))[0]
            assert decode([record.data], PROFILE)[0].isfinite().all()
        profile = fit("klt", SAMPLES[:2], Quality(snr_db=decibels), means=0, waves=False)
        assert profile.config["quality"] == {"snr_db": decibels}


def test_values_that_are_not_finite() -> None:
    source = correlated(70)
    source[3, 4], source[5, 6] = float("nan"), float("inf")
    with pytest.raises(NonFiniteInput, match="token 3, channel 4"):
        encode([source], PROFILE, quality=Quality(snr_db=15))
    exact = fit("klt", SAMPLES, Quality(snr_db=15), nonfinite="exact")
    decoded = decode([encode([source], exact)[0].data], exact)[0]
    assert decoded[5, 6] == float("inf")
    assert decoded.isnan().nonzero().tolist() == [[3, 4]]


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(BadQuality, match="fitted without a quality"):
        encode([correlated(1)], PROFILE)
    for options in ({"means": -1}, {"levels": 8}, {"transform": "fft"}, {"components": 0}, {"nonfinite": "drop"}):
        with pytest.raises(UnsupportedInput):
            fit("klt", SAMPLES, **options)
    with pytest.raises(CodecError, match="nothing to fit on"):
        fit("klt", [])


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("sigma", torch.arange(CHANNELS).float()),
        ("sigma", torch.full((CHANNELS,), float("nan"))),
        ("drawn", torch.full((48, 2), 9, dtype=torch.uint8)),
        ("basis", torch.zeros(CHANNELS, 5, dtype=torch.int8)),
        ("energies", torch.zeros(256, dtype=torch.int32)),
        ("means", torch.zeros(0, CHANNELS, dtype=torch.int8)),
        ("basis_scale", torch.zeros(3)),
    ],
)
def test_forged_profiles_are_refused(name: str, forged: torch.Tensor) -> None:
    profile = Profile("klt", dict(PROFILE.config), {**PROFILE.tensors, name: forged})
    with pytest.raises(CodecError):
        encode([correlated(1)], profile, quality=Quality(snr_db=15))


@pytest.mark.parametrize("terrain", [{"first": -1, "sequence": True}, {"first": 0, "sequence": 1}, {"first": 0}, [0]])
def test_forged_terrains_are_refused(terrain: object) -> None:
    profile = fit("klt", PICTURES, Quality(snr_db=10), waves=True)
    with pytest.raises(CodecError, match="has a token grid rule"):
        encode(PICTURES[:1], Profile("klt", {**profile.config, "terrain": terrain}, dict(profile.tensors)))
    with pytest.raises(CodecError, match="bands"):
        encode(PICTURES[:1], Profile("klt", dict(profile.config), {**profile.tensors, "bands": torch.zeros(8, 32)}))


def test_tokens_far_from_all_means_are_still_coded() -> None:
    """A codebook leaves little of the tokens that it knows; of others much is left, and in all columns."""
    draw = torch.Generator().manual_seed(5)
    known = 10 * torch.randn(40, CHANNELS, generator=draw)
    samples = [known[torch.randint(40, (60,), generator=draw)] + 0.1 * correlated(seed, 60) for seed in range(20)]
    profile = fit("klt", samples, Quality(snr_db=15), means=40)
    other = 10 * torch.randn(60, CHANNELS, generator=draw)
    for wish in (3, 8, 15, 25):
        record = encode([other], profile, quality=Quality(snr_db=wish))[0]
        assert record.codec == "klt"
        assert snr_db(record) == pytest.approx(wish, abs=0.25)

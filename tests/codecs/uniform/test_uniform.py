"""Codec uniform: one step, classes by channel, exact outliers, qualities met sample by sample."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_codecs import (
    BadQuality,
    CodecError,
    CorruptRecord,
    NonFiniteInput,
    Profile,
    Quality,
    Record,
    UnsupportedInput,
    decode,
    encode,
    fit,
)
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import feature


class TestBySnr(CodecConformance):
    codec = "uniform"
    quality = Quality(snr_db=15)
    noise = 10**-1.5


class TestFine(CodecConformance):
    """So fine a step that every channel has raw low bits."""

    codec = "uniform"
    quality = Quality(step=2.0**-12)
    noise = 1e-4
    test_another_process_decodes_the_same = None


class TestBits(CodecConformance):
    codec = "uniform"
    options = {"bits": 10, "range": (-20.0, 20.0), "outside": "exact", "nonfinite": "exact"}  # noqa: RUF012
    noise = 0.05
    test_another_process_decodes_the_same = None


class TestExactRange(CodecConformance):
    codec = "uniform"
    quality = Quality(mse=0.01)
    options = {"range": (-4.0, 4.0), "outside": "exact"}  # noqa: RUF012
    noise = 0.05
    test_another_process_decodes_the_same = None


PROFILE = fit("uniform", [feature(300, 48, -1), feature(300, 48, -2)])


def coded(
    source: torch.Tensor, quality: Quality | None = None, profile: Profile = PROFILE
) -> tuple[Record, torch.Tensor]:
    record = encode([source], profile, quality=quality)[0]
    return record, decode([record.data], profile)[0]


def snr_db(record: Record) -> float:
    return 10 * math.log10(record.signal / record.bulk_sse) if record.bulk_sse else math.inf


@pytest.mark.parametrize("target", [3, 10, 20, 35, 60])
@pytest.mark.parametrize("tokens", [40, 1500])
def test_every_sample_meets_its_snr(target: float, tokens: int) -> None:
    for seed in range(4):
        record, _ = coded(feature(tokens, 48, seed) * (0.2 + seed), Quality(snr_db=target))
        assert record.codec == "uniform"
        assert abs(snr_db(record) - target) < 0.2


@pytest.mark.parametrize("target", [1e-4, 0.01, 0.5])
def test_every_sample_meets_its_mse(target: float) -> None:
    for seed in range(4):
        record, _ = coded(feature(200, 48, seed), Quality(mse=target))
        assert abs(record.sse / record.elements / target - 1) < 0.03


@pytest.mark.parametrize("target", [0.4, 1.0, 2.5, 6.0, 11.0])
def test_every_sample_meets_its_rate(target: float) -> None:
    for seed in range(4):
        record, _ = coded(feature(400, 48, seed), Quality(bpfp=target))
        assert abs(record.payload_bits / record.elements / target - 1) < 0.03


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("target", [1.0, 0.05, 0.001])
def test_no_element_is_off_by_more_than_the_largest_error(dtype: torch.dtype, target: float) -> None:
    source = feature(100, 48, 1, dtype)
    record, decoded = coded(source, Quality(max_error=target))
    assert (source.double() - decoded.double()).abs().max() <= target * (1 + 1e-6)
    assert record.max_error <= target


def test_a_coarser_step_costs_less() -> None:
    sizes = [len(coded(feature(200, 48, 1), Quality(step=step))[0].data) for step in (0.01, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_massive_entries_are_escaped_and_cost_little() -> None:
    source = feature(200, 48, 1)
    plain, _ = coded(source, Quality(step=0.5))
    source[7, 3], source[150, 40] = 12000.0, -4096.0
    record, decoded = coded(source, Quality(step=0.5))
    assert abs(decoded[7, 3] - 12000) <= 0.5
    assert abs(decoded[150, 40] + 4096) <= 0.5
    assert len(record.data) < len(plain.data) + 40


def test_what_no_step_can_count_is_kept_exactly() -> None:
    source = feature(200, 48, 1)
    source[7, 3], source[150, 40] = 3e38, -1e30
    _, decoded = coded(source, Quality(step=0.5))
    assert decoded[7, 3] == source[7, 3]
    assert decoded[150, 40] == source[150, 40]


def test_values_that_are_not_finite_are_refused_or_kept() -> None:
    source = feature(60, 48, 1)
    source[11, 5], source[12, 6], source[30, 7] = float("nan"), float("inf"), -float("inf")
    with pytest.raises(NonFiniteInput, match=r"3 of 2880 values are not finite .* token 11, channel 5"):
        coded(source, Quality(snr_db=15))
    exact = fit("uniform", [feature(300, 48, -1), source], Quality(snr_db=15), nonfinite="exact")
    record, decoded = coded(source, None, exact)
    assert torch.equal(decoded[~source.isfinite()].view(torch.int32), source[~source.isfinite()].view(torch.int32))
    assert abs(snr_db(record) - 15) < 0.2
    assert math.isfinite(record.sse) and math.isfinite(record.sum_sq)


@pytest.mark.parametrize(
    ("value", "words"), [(1e300, "beyond the range of float32"), (1e-300, "would become zero in float32")]
)
def test_a_float64_that_float32_cannot_hold_is_refused_or_kept(value: float, words: str) -> None:
    source = feature(60, 48, 1, torch.float64)
    source[3, 4] = value
    with pytest.raises(UnsupportedInput, match=f"1 of 2880 values.*{words}.*token 3, channel 4"):
        coded(source, Quality(snr_db=15))
    exact = fit("uniform", [feature(300, 48, -1)], Quality(snr_db=15), nonfinite="exact")
    record, decoded = coded(source, None, exact)
    assert decoded[3, 4] == value
    assert abs(snr_db(record) - 15) < 0.2


def test_bits_reconstruct_on_the_grid_and_clip() -> None:
    profile = fit("uniform", [feature(300, 48, -1)], bits=10, range=(-5, 5))
    source = feature(200, 48, 1)
    record, decoded = coded(source, None, profile)
    expected = np.clip(np.rint((source.double().numpy() + 5) * 1023 / 10), 0, 1023) * 10 / 1023 - 5
    assert np.abs(decoded.double().numpy() - expected).max() < 1e-5
    assert record.codec == "uniform"


def test_infinities_are_kept_even_where_the_rest_is_clipped() -> None:
    profile = fit("uniform", [feature(300, 48, -1)], bits=10, range=(-5, 5), nonfinite="exact")
    source = feature(200, 48, 1)
    source[3, 4], source[5, 6] = float("inf"), -float("inf")
    decoded = coded(source, None, profile)[1]
    assert torch.equal(decoded[~source.isfinite()], source[~source.isfinite()])
    assert decoded[source.isfinite()].abs().max() <= 5


def test_a_constant_and_a_sparse_sample_are_kept_raw_where_that_is_shorter() -> None:
    sparse = torch.zeros(3000, 48)
    sparse[100, 7] = sparse[2000, 8] = 3.0
    for source in (torch.full((30, 48), 0.75), torch.full((20000, 48), 0.75), sparse):
        record, decoded = coded(source, Quality(snr_db=15))
        assert record.codec == "raw"
        assert len(record.data) < 300
        assert torch.equal(decoded, source)


def test_bits_and_a_target_exclude_each_other() -> None:
    with pytest.raises(BadQuality, match=r"cannot aim at .* its quality is fixed"):
        fit("uniform", [feature(30, 4, 1)], Quality(snr_db=15), bits=10, range=(-5, 5))
    profile = fit("uniform", [feature(30, 4, 1)], bits=10, range=(-5, 5))
    with pytest.raises(BadQuality, match=r"cannot aim at .* its quality is fixed"):
        encode([feature(30, 4, 1)], profile, quality=Quality(step=1))
    with pytest.raises(UnsupportedInput, match="bits=10"):
        fit("uniform", [feature(30, 4, 1)], bits=10)


@pytest.mark.parametrize(
    "options", [{"bits": 0, "range": (0, 1)}, {"range": (1, 1)}, {"range": 3}, {"outside": "x"}, {"a": 1}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedInput):
        fit("uniform", [feature(30, 4, 1)], **options)


def test_a_quality_is_needed_and_must_be_one_that_it_aims_at() -> None:
    with pytest.raises(BadQuality, match="none is given"):
        coded(feature(30, 48, 1))
    with pytest.raises(BadQuality, match="cannot aim at qp=30"):
        coded(feature(30, 48, 1), Quality(qp=30))


def test_another_channel_count_names_both() -> None:
    with pytest.raises(UnsupportedInput, match="7 channels, the profile was fitted on 48"):
        coded(feature(30, 7, 1), Quality(snr_db=15))


def test_exact_dtypes_are_refused() -> None:
    with pytest.raises(UnsupportedInput, match=r"torch\.int64"):
        coded(torch.ones(3, 48, dtype=torch.int64), Quality(snr_db=15))


def test_constant_channels_and_constant_features() -> None:
    source = feature(100, 6, 1)
    source[:, 2] = 3.25
    profile = fit("uniform", [source], Quality(snr_db=20))
    assert (coded(source, None, profile)[1][:, 2] == 3.25).all()
    flat = torch.full((50, 4), 2.5)
    constant = fit("uniform", [flat], Quality(snr_db=20))
    record, decoded = coded(flat, None, constant)
    assert torch.equal(decoded, flat)
    assert len(record.data) < 110
    other = flat + torch.arange(4.0)
    assert snr_db(coded(other, None, constant)[0]) > 19.8


def test_a_short_dtype_that_cannot_reach_the_target_is_kept_raw() -> None:
    source = feature(200, 48, 1).to(torch.bfloat16)
    record, decoded = coded(source, Quality(snr_db=120))
    assert record.codec == "raw"
    assert torch.equal(decoded, source)


def test_float16_never_overflows() -> None:
    source = torch.full((64, 4), 65504.0, dtype=torch.float16) * torch.tensor([1, -1, 0.5, 0.1], dtype=torch.float16)
    profile = fit("uniform", [torch.zeros(9, 4), source])
    _, decoded = coded(source, Quality(step=30000.0), profile)
    assert decoded.isfinite().all()


@pytest.mark.parametrize("kind", ["snr_db", "mse", "bpfp", "step", "max_error"])
@pytest.mark.parametrize("value", [1e-300, 1e-44, 1e-12, 1e-3, 300.0, 1e38, 1e300])
def test_no_target_is_too_absurd_to_be_answered(kind: str, value: float) -> None:
    for tokens in (0, 1, 50):
        source = feature(tokens, 48, 1)
        record, decoded = coded(source, Quality(**{kind: value}))
        assert decoded.isfinite().all()
        assert len(record.data) <= source.nbytes + 64


def test_values_near_the_ends_of_float32() -> None:
    source = torch.full((40, 3), 3.3e38) * torch.tensor([1, -1, 0.5])
    source[0] *= -1
    profile = fit("uniform", [source], Quality(snr_db=10))
    assert torch.equal(coded(source, None, profile)[1], source)
    tiny = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) * 1e-42
    assert coded(tiny, None, fit("uniform", [tiny], Quality(snr_db=10)))[1].isfinite().all()


def test_no_channels_at_all() -> None:
    source = torch.zeros(5, 0)
    assert coded(source, None, fit("uniform", [source], Quality(snr_db=10)))[1].shape == (5, 0)


def test_a_profile_of_another_codec_is_refused() -> None:
    record, _ = coded(feature(200, 48, 1), Quality(snr_db=10))
    forged = bytearray(record.data)
    lloydmax = fit("lloydmax", [feature(100, 48, 1)])
    forged[8:24] = bytes.fromhex(lloydmax.id[:32])
    with pytest.raises(CorruptRecord):
        decode([bytes(forged)], lloydmax)
    broken = Profile("uniform", dict(lloydmax.config), lloydmax.tensors)
    with pytest.raises(CodecError):
        encode([feature(10, 48, 1)], broken)


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(0, 70),
    channels=st.integers(1, 40),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e4, 1e20]),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    seed=st.integers(0, 1000),
    limit=st.sampled_from([1e-3, 0.1, 3.0]),
)
def test_errors_stay_within_bounds_and_records_within_raw(
    tokens: int, channels: int, scale: float, dtype: torch.dtype, seed: int, limit: float
) -> None:
    source = (feature(tokens, channels, seed) * scale).to(dtype)
    profile = fit("uniform", [feature(30, channels, -1) * scale])
    record, decoded = coded(source, Quality(max_error=limit * scale), profile)
    assert (source.double() - decoded.double()).abs().max().item() <= limit * scale * (1 + 1e-6) if tokens else True
    assert len(record.data) <= source.nbytes + 64

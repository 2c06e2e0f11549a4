"""Groups whose features have weights of their own, errors in nats, and first tokens that all samples share."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    BadQuality,
    Quality,
    Rotary,
    UnsupportedInput,
    decode,
    encode,
    fit,
    recorded_options,
    testing,
)
from lamofc_codecs.klt.format import KltParameters

WIDTHS = {"a": 20, "b": 12}
TOKENS = 90


def group(seed: int) -> dict[str, torch.Tensor]:
    return {name: testing.feature(TOKENS, width, seed) for name, width in WIDTHS.items()}


def matrix_of(channels: int, seed: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(3 * channels, channels, generator=noise) * torch.rand(channels, generator=noise)


WEIGHT = {"a": matrix_of(20, 1), "b": 0.1 * matrix_of(12, 2)}
SAMPLES, NEW = [group(-seed) for seed in range(1, 13)], [group(seed) for seed in range(1, 4)]
PROFILE = fit("klt", SAMPLES, Quality(snr_db=15), weight=WEIGHT, weight_nats=0.5, weight_floor=0.001)


def weighted(
    source: dict[str, torch.Tensor], decoded: list[torch.Tensor], weight: dict[str, torch.Tensor] = WEIGHT
) -> float:
    """Weighted squared error of a token, as the weights were given."""
    parts = zip(WIDTHS, decoded, strict=True)
    rows = {name: one if one.dim() > 1 else torch.diag(one) for name, one in weight.items()}
    errors = [(source[name] - part).double() @ rows[name].double().T for name, part in parts]
    return sum(float(error.square().sum()) for error in errors) / TOKENS


VECTOR = {name: torch.rand(width, generator=torch.Generator().manual_seed(width)) for name, width in WIDTHS.items()}


@pytest.mark.parametrize("kl", [0.5, 5.0])
@pytest.mark.parametrize("weight", [WEIGHT, VECTOR, {**WEIGHT, "b": VECTOR["b"]}], ids=["matrices", "vectors", "mixed"])
def test_a_divergence_is_half_the_weighted_error(weight: dict[str, torch.Tensor], kl: float) -> None:
    profile = fit("klt", SAMPLES, Quality(snr_db=15), weight=weight, weight_nats=0.5, weight_floor=0.001)
    for source in NEW:
        (record,) = encode([source], profile, quality=Quality(kl=kl))
        found = weighted(source, decode([record.data], profile), weight) / 2
        assert 0.9 * kl < found < 1.03 * kl


@pytest.mark.parametrize("turned", [None, {"a": Rotary((0.5, 0.1), "halves", 2)}], ids=["still", "turned"])
def test_the_target_is_weighted_and_the_figures_of_parts_are_plain(turned: dict[str, Rotary] | None) -> None:
    options = {} if turned is None else {"rotary": turned}
    profile = fit("klt", SAMPLES, Quality(snr_db=15), weight=WEIGHT, weight_floor=0.001, **options)
    mean, low, high = (profile.tensors[f"bulk_{name}"].split([20, 12]) for name in ("mean", "low", "high"))
    space, plain = KltParameters.from_profile(profile).space, []
    for source, record in zip(NEW, encode(NEW, profile), strict=True):
        decoded = decode([record.data], profile)
        for number, part in enumerate(record.parts):
            x = source[part.name].double()
            inside = (x >= low[number]) & (x <= high[number])
            assert part.signal == pytest.approx(float((x - mean[number])[inside].square().sum()), rel=1e-5)
            assert part.bulk_sse == pytest.approx(float((x - decoded[number])[inside].square().sum()), rel=1e-4)
            plain.append(10 * math.log10(part.signal / part.bulk_sse))
        values = torch.cat([source["a"], source["b"]], 1).numpy()
        residual = torch.from_numpy(space.enter(values, np.arange(TOKENS))).double()
        assert record.weighted_sse is not None
        assert 10 * math.log10(float(residual.square().sum()) / record.weighted_sse) == pytest.approx(15, abs=0.14)
    assert max(plain) - min(plain) > 3


def test_bits_go_where_the_consumer_looks() -> None:
    plain, rate = fit("klt", SAMPLES, Quality(snr_db=15)), Quality(bpfp=0.7)
    lost = []
    for profile in (PROFILE, plain):
        data = [record.data for record in encode(NEW, profile, quality=rate)]
        lost.append(sum(weighted(s, decode([d], profile)) for s, d in zip(NEW, data, strict=True)))
    assert lost[0] < 0.7 * lost[1]


def test_parts_read_as_the_whole() -> None:
    (record,) = encode(NEW[:1], PROFILE)
    whole = decode([record.data], PROFILE)
    for number, part in enumerate(record.parts):
        assert torch.equal(decode([record.data], PROFILE, parts=[number])[0], whole[number])
        assert float((NEW[0][part.name] - whole[number]).square().sum()) == pytest.approx(part.sse, rel=1e-3)


LAYERED = fit("klt", SAMPLES, Quality(snr_db=25), weight=WEIGHT, weight_nats=0.5, weight_floor=0.001, layer_bytes=32)


@pytest.mark.parametrize("quality", [Quality(snr_db=25), Quality(max_error=0.2)], ids=str)
@pytest.mark.parametrize("stride", [1, 3])
def test_a_record_knows_its_weighted_errors(stride: int, quality: Quality, monkeypatch: pytest.MonkeyPatch) -> None:
    values = TOKENS * sum(WIDTHS.values())
    monkeypatch.setattr("lamofc_codecs.klt.encode.distortion._MAX_COARSE_VALUES", values // stride)
    (record,) = encode(NEW[:1], LAYERED, quality=quality)
    nats = LAYERED.config["nats"]
    assert len(record.layers) > 2
    ends = itertools.accumulate(layer.bytes for layer in record.layers)
    found = [weighted(NEW[0], decode([record.data[:end]], LAYERED)) / 2 for end in ends]
    told = [nats * layer.weighted_sse / TOKENS for layer in record.layers]
    assert found == pytest.approx(told, rel=0.2)  # within a refinement level, errors are interpolated
    assert (found[0], found[-1]) == pytest.approx((told[0], told[-1]), rel=0.02)
    assert sum(part.weighted_sse for part in record.parts) == pytest.approx(record.weighted_sse)
    even = {name: torch.ones(width) for name, width in WIDTHS.items()}
    cut = (record.data[: record.layers[0].bytes], record.data)
    plain = [TOKENS * weighted(NEW[0], decode([data], LAYERED), even) for data in cut]
    assert plain == pytest.approx([record.layers[0].sse, record.layers[-1].sse], rel=0.2 if stride > 1 else 1e-3)
    for layer, *parts in zip(record.layers, *(part.weighted_layers for part in record.parts), strict=True):
        assert sum(parts) == pytest.approx(layer.weighted_sse)


@pytest.mark.parametrize("factor", [1.0, 1e5])
@pytest.mark.parametrize("stride", [3, 30])
def test_tokens_without_errors_tell_nothing_of_others(
    stride: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third token is as the profile expects it, and all others are not."""
    monkeypatch.setattr(
        "lamofc_codecs.klt.encode.distortion._MAX_COARSE_VALUES", TOKENS * sum(WIDTHS.values()) // stride
    )
    means = torch.split(LAYERED.tensors["bulk_mean"], list(WIDTHS.values()))
    sample = {name: factor * tensor for name, tensor in NEW[0].items()}
    for tensor, mean in zip(sample.values(), means, strict=True):
        tensor[::3] = mean
    (record,) = encode([sample], LAYERED)
    told = [LAYERED.config["nats"] * record.layers[place].weighted_sse / TOKENS for place in (0, -1)]
    cut = (record.data[: record.layers[0].bytes], record.data)
    assert told == pytest.approx([weighted(sample, decode([data], LAYERED)) / 2 for data in cut], rel=0.3)


def test_a_divergence_needs_errors_in_nats() -> None:
    without = fit("klt", SAMPLES, Quality(snr_db=15), weight=WEIGHT)
    with pytest.raises(BadQuality, match=r"kl=0\.02") as caught:
        encode(NEW, without, quality=Quality(kl=0.02))
    assert "consumer" in caught.value.cure
    for options in ({}, {"weight": WEIGHT, "weight_floor": 1.0}):
        with pytest.raises(UnsupportedInput, match="weight_nats"):
            fit("klt", SAMPLES, Quality(snr_db=15), weight_nats=0.5, **options)


def test_first_tokens_that_all_samples_share_cost_next_to_nothing() -> None:
    begin = 100 * torch.randn(1, 24, generator=torch.Generator().manual_seed(5))
    samples = [torch.cat([begin, testing.feature(60, 24, seed)]) for seed in range(13)]
    turned = Rotary((1e-9,))
    known = fit("klt", samples[:12], Quality(snr_db=15), rotary=turned)
    unknown = fit("klt", samples[:12], Quality(snr_db=15))
    assert known.tensors["first_tokens"].shape == (1, 24)
    (one,), (other,) = encode(samples[12:], known), encode(samples[12:], unknown)
    assert len(one.data) < len(other.data) - 24
    assert torch.allclose(decode([one.data], known)[0][0], begin[0], atol=0.5)
    unlike = torch.cat([-begin, samples[12][1:]])
    (record,) = encode([unlike], known)
    assert float((unlike - decode([record.data], known)[0]).square().sum()) == pytest.approx(record.sse, rel=1e-3)


@pytest.mark.parametrize("share", [1, 16])
def test_first_tokens_are_known_however_few_tokens_a_fit_keeps(share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = 30 * torch.randn(1, 24, generator=torch.Generator().manual_seed(5))
    samples = [torch.cat([begin, testing.feature(100, 24, seed)]) for seed in range(40)]
    monkeypatch.setattr("lamofc_codecs.klt.fit.fit._MAX_ELEMENTS", 40 * 101 * 24 // share)
    monkeypatch.setattr("lamofc_codecs.klt.fit.centring._MIN_MEDIAN_TOKENS", 4096 // share)
    profile = fit("klt", samples, Quality(snr_db=15), rotary=Rotary((1e-9,)), waves=False)
    assert profile.tensors["first_tokens"].shape == (1, 24)


def test_a_profile_bears_the_name_of_its_consumer_where_one_is_given() -> None:
    options = {"weight": WEIGHT, "weight_nats": 0.5, "weight_floor": 0.001}
    named = fit("klt", SAMPLES, Quality(snr_db=15), consumer="m@1", **options)
    assert named.config["consumer"] == "m@1" and "consumer" not in PROFILE.config
    assert all(torch.equal(tensor, PROFILE.tensors[name]) for name, tensor in named.tensors.items())
    anew = {**options, "weight": {name: 2 * matrix for name, matrix in WEIGHT.items()}, "consumer": "m@1"}
    recorded = recorded_options("klt", anew, ("a", "b"))
    assert recorded == {"weight_floor": 0.001, "consumer": "m@1"}
    assert recorded_options("klt", anew, ("c",))["consumer"] is None
    anew["consumer_digest"] = "d"
    known = fit("klt", SAMPLES, Quality(snr_db=15), consumer="m@1", consumer_digest="d", **options)
    assert known.config == {**named.config, "consumer_digest": "d"}
    recorded = recorded_options("klt", anew, ("a", "b"), config=known.config)
    assert recorded == {"weight_floor": 0.001, "consumer": "m@1", "consumer_digest": "d"}
    assert "consumer_digest" not in recorded_options("klt", anew, ("a", "b"), config=named.config)
    assert recorded_options("klt", anew, ("c",))["consumer_digest"] is None
    assert "weight" in recorded_options("klt", options, ("a", "b"))


def test_a_wide_weighted_group_is_fitted_without_a_trial_of_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr("lamofc_codecs.klt.fit.fit.try_grid", lambda plain, *rest: tried.append(plain) or plain)
    monkeypatch.setattr("lamofc_codecs.klt.fit.fit._MAX_TRIED_CHANNELS", 31)
    trials: tuple[tuple[dict[str, Any], int], ...] = (
        ({"weight": WEIGHT}, 0),
        ({"weight": WEIGHT, "waves": True}, 1),
        ({"weight": WEIGHT, "waves": False}, 1),
        ({}, 2),
    )
    for options, count in trials:
        fit("klt", SAMPLES, Quality(snr_db=15), **options)
        assert len(tried) == count, options

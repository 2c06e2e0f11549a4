"""Errors that do not count alike: a profile fitted with a weight spends its bits where whoever reads looks."""

import math

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    CodecError,
    Profile,
    Quality,
    Record,
    UnsupportedInput,
    decode,
    encode,
    fit,
    testing,
)
from lamofc_codecs.klt.format import KltOptions
from lamofc_codecs.klt.transform.error_weights import ErrorWeights

CHANNELS = 48
SAMPLES = [testing.feature(160, CHANNELS, -seed) for seed in range(1, 13)]
HEAD = torch.randn(5, CHANNELS, generator=torch.Generator().manual_seed(4))
UNSEEN = [testing.feature(160, CHANNELS, seed) for seed in range(1, 5)]
PLAIN = fit("klt", SAMPLES, Quality(snr_db=10), means=0)
WEIGHTED = fit("klt", SAMPLES, Quality(snr_db=10), weight=HEAD, means=0)


def dense(given: torch.Tensor, floor: float) -> torch.Tensor:
    """The matrix of what errors count for, by definition."""
    rows = torch.diag(given) if given.dim() == 1 else given
    counts = (rows.T @ rows).double()
    return (1 - floor) * CHANNELS * counts / counts.trace() + floor * torch.eye(CHANNELS)


def off(records: list[Record], profile: Profile, counts: torch.Tensor) -> float:
    """Weighted squared error, beside the weighted squares about the middle."""
    middle, away, signal = profile.tensors["bulk_mean"].double(), 0.0, 0.0
    for source, decoded in zip(UNSEEN, decode([record.data for record in records], profile), strict=True):
        bulk = (source >= profile.tensors["bulk_low"]) & (source <= profile.tensors["bulk_high"])
        for values, total in ((source.double() - decoded.double(), "away"), (bulk * (source - middle), "signal")):
            found = float(torch.einsum("tc,cd,td->", values, counts, values))
            away, signal = (away + found, signal) if total == "away" else (away, signal + found)
    return away / signal


@pytest.mark.parametrize("floor", [0.001, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("rows", [0, 1, 5, 47, 60])
def test_the_metric_is_what_was_given(rows: int, floor: float) -> None:
    draw = torch.Generator().manual_seed(rows)
    given = torch.randn(rows, CHANNELS, generator=draw) if rows else torch.rand(CHANNELS, generator=draw)
    metric = ErrorWeights.from_values(given, floor, CHANNELS)
    values = torch.randn(300, CHANNELS, generator=draw)
    turned = torch.from_numpy(metric.apply(values.numpy().copy()))
    counts = dense(given, floor)
    wanted = torch.einsum("tc,cd,td->t", values.double(), counts, values.double())
    assert torch.allclose(turned.double().square().sum(1), wanted, rtol=0.02)
    (energy,) = metric.energies(values.numpy().copy(), [0, CHANNELS])
    assert energy == pytest.approx(float(turned.double().square().sum()), rel=1e-3)
    assert torch.allclose(metric.weigh_rows(values), turned, atol=1e-4)
    assert torch.allclose(metric.unweigh_rows(values) @ metric.weigh_rows(torch.eye(CHANNELS)), values, atol=1e-3)


def test_a_head_loses_less_at_the_same_bits() -> None:
    rate = Quality(bpfp=0.5)
    plain, weighted = (encode(UNSEEN, profile, quality=rate) for profile in (PLAIN, WEIGHTED))
    sizes = [sum(record.payload_bits for record in records) for records in (plain, weighted)]
    assert sizes[1] < 1.04 * sizes[0]
    counts = (HEAD.T @ HEAD).double()
    assert off(weighted, WEIGHTED, counts) < 0.1 * off(plain, PLAIN, counts)
    even = torch.eye(CHANNELS).double()
    assert off(weighted, WEIGHTED, even) > off(plain, PLAIN, even)


@pytest.mark.parametrize("decibels", [5.0, 12.0, 20.0, 33.0])
def test_decibels_are_weighted(decibels: float) -> None:
    records = encode(UNSEEN, WEIGHTED, quality=Quality(snr_db=decibels))
    assert -10 * math.log10(off(records, WEIGHTED, dense(HEAD, 0.03))) == pytest.approx(decibels, abs=0.2)
    # What the catalog is told stays the plain error.
    for source, record, decoded in zip(UNSEEN, records, decode([r.data for r in records], WEIGHTED), strict=True):
        assert record.sse == pytest.approx(float((source.double() - decoded.double()).square().sum()), rel=1e-6)


def test_squared_errors_are_weighted_too() -> None:
    records = encode(UNSEEN, WEIGHTED, quality=Quality(mse=0.05))
    counts = dense(HEAD, 0.03)
    for source, decoded in zip(UNSEEN, decode([record.data for record in records], WEIGHTED), strict=True):
        away = source.double() - decoded.double()
        found = float(torch.einsum("tc,cd,td->", away, counts, away)) / away.numel()
        assert found == pytest.approx(0.05, rel=0.05)


@pytest.mark.parametrize("transform", ["klt", "none"])
def test_channels_may_be_weighed_each(transform: str) -> None:
    weight = torch.ones(CHANNELS)
    weight[:8] = 30.0
    profile = fit("klt", SAMPLES, Quality(snr_db=10), weight=weight, means=0, transform=transform)
    records = encode(UNSEEN, profile)
    away = torch.cat(UNSEEN) - torch.cat(decode([record.data for record in records], profile))
    apart = away.square().mean(0)
    assert float(apart[8:].mean() / apart[:8].mean()) > 20
    assert -10 * math.log10(off(records, profile, dense(weight, 0.03))) == pytest.approx(10, abs=0.2)


def test_an_even_weight_changes_no_number() -> None:
    profile = fit("klt", SAMPLES, Quality(snr_db=10), weight=torch.full((CHANNELS,), 7.0), means=0)
    assert "weight" not in profile.tensors
    assert [a.payload_bits for a in encode(UNSEEN, profile)] == [a.payload_bits for a in encode(UNSEEN, PLAIN)]


def test_items_know_their_weighted_errors() -> None:
    items, counts = [source[:n] for n, source in zip((1, 2, 5), UNSEEN, strict=False)], dense(HEAD, 0.03)
    (record,) = encode([items], WEIGHTED)
    for item, source, decoded in zip(record.items, items, decode([record.data], WEIGHTED), strict=True):
        away = source.double() - decoded.double()
        found = float(torch.einsum("tc,cd,td->", away, counts, away))
        assert found == pytest.approx(item.weighted_sse, rel=0.02)
        assert item.weighted_layers[-1] == item.weighted_sse
    assert sum(item.weighted_sse or 0 for item in record.items) == pytest.approx(record.weighted_sse)


def test_weighted_errors_are_known_where_a_weight_was_given() -> None:
    even = fit("klt", SAMPLES, Quality(snr_db=10), weight=torch.ones(CHANNELS), means=0)
    for profile, known in ((PLAIN, None), (even, True)):
        (record,) = encode(UNSEEN[:1], profile)
        assert record.weighted_sse == (known and pytest.approx(record.sse))
    (lossless,) = encode(UNSEEN[:1], WEIGHTED, quality=Quality(snr_db=250))
    assert (lossless.codec, lossless.weighted_sse, lossless.layers[-1].weighted_sse) == ("raw", 0.0, 0.0)


def test_means_massive_entries_and_bounds_go_with_weights() -> None:
    source = UNSEEN[0].clone()
    source[3, 4] = 9000.0
    profile = fit("klt", SAMPLES, weight=HEAD, means=30)
    assert "means" in profile.tensors
    for quality in (Quality(snr_db=15), Quality(max_error=0.05), Quality(step=0.01)):
        record = encode([source], profile, quality=quality)[0]
        decoded = decode([record.data], profile)[0]
        assert decoded[3, 4] == 9000.0
        assert float((decoded - source).abs().max()) == pytest.approx(record.max_error, rel=1e-6)
        if quality.kind == "max_error":
            assert record.max_error <= 0.05


def test_the_profile_tells_of_its_weight_by_a_digest() -> None:
    again = fit("klt", SAMPLES, Quality(snr_db=10), weight=HEAD, means=0)
    assert again.id == WEIGHTED.id
    assert WEIGHTED.config["weight"] == KltOptions(weight=HEAD).to_json()["weight"]
    assert KltOptions(weight=2 * HEAD).to_json()["weight"] != WEIGHTED.config["weight"]
    assert "weight" not in PLAIN.config


@pytest.mark.parametrize(
    "weight",
    [
        torch.ones(CHANNELS + 1),
        torch.ones(3, CHANNELS - 1),
        torch.ones(2, 3, CHANNELS),
        torch.zeros(CHANNELS),
        torch.full((CHANNELS,), math.nan),
        torch.zeros(0, CHANNELS),
        "head.pt",
        np.ones(CHANNELS),
    ],
)
def test_a_weight_that_cannot_be_is_refused(weight: object) -> None:
    with pytest.raises(UnsupportedInput, match="weight"):
        fit("klt", SAMPLES, weight=weight)


@pytest.mark.parametrize("options", [{"weight_floor": 0.0}, {"weight_floor": True}, {"transform": "none"}])
def test_what_does_not_go_together_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedInput):
        fit("klt", SAMPLES, weight=HEAD, **options)


@pytest.mark.parametrize("weight", [torch.ones(2 * CHANNELS), {"a": HEAD}, {"a": HEAD, "b": HEAD[:, :9]}])
def test_a_group_has_a_weight_for_each_feature(weight: object) -> None:
    group = [{"a": sample, "b": sample} for sample in SAMPLES]
    with pytest.raises(UnsupportedInput, match="weight"):
        fit("klt", group, weight=weight)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", torch.zeros(CHANNELS)),
        ("weight", torch.full((CHANNELS,), math.inf)),
        ("stretch", -torch.ones(5)),
        ("stretch", torch.ones(4)),
        ("directions", torch.full((5, CHANNELS), 2.0, dtype=torch.float16)),
        ("basis_stride", torch.ones(3, dtype=torch.uint8)),
    ],
)
def test_profiles_of_nonsense_are_refused(name: str, value: torch.Tensor) -> None:
    forged = Profile("klt", WEIGHTED.config, {**WEIGHTED.tensors, name: value})
    with pytest.raises(CodecError):
        encode(UNSEEN[:1], forged)

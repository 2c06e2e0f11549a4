"""Rotary positions: turned as models turn keys, undone by the codec, and free where they are told."""

from typing import Literal

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    Pool,
    Quality,
    Rotary,
    UnsupportedInput,
    decode,
    decode_pooled,
    encode,
    fit,
    keep,
    recorded_options,
    testing,
)
from lamofc_codecs.klt.format import KltParameters

HEADS, HEAD, TURNED = 2, 24, 16
Pairs = Literal["halves", "neighbours"]


def rotary(pairs: Pairs = "halves", heads: int = HEADS) -> Rotary:
    return Rotary(tuple(100.0 ** (-2 * i / TURNED) for i in range(TURNED // 2)), pairs, heads)


def by_definition(values: torch.Tensor, told: Rotary, positions: np.ndarray) -> torch.Tensor:  # type: ignore[type-arg]
    """Multiply pairs of channels as complex numbers."""
    out = values.double().reshape(len(values), told.heads, -1).clone()
    count = len(told.frequencies)
    first = slice(0, count) if told.pairs == "halves" else slice(0, 2 * count, 2)
    second = slice(count, 2 * count) if told.pairs == "halves" else slice(1, 2 * count, 2)
    angles = torch.from_numpy(positions)[:, None].double() * torch.tensor(told.frequencies, dtype=torch.float64)
    numbers = torch.complex(out[..., first], out[..., second]) * torch.polar(torch.ones_like(angles), angles)[:, None]
    out[..., first], out[..., second] = numbers.real, numbers.imag
    return out.reshape(len(values), -1)


def keys(seed: int, told: Rotary | None, tokens: int = 90, start: int = 0) -> torch.Tensor:
    """Keys of few directions, turned by their positions."""
    mixing = torch.randn(6, HEADS * HEAD, generator=torch.Generator().manual_seed(1))
    noise = torch.Generator().manual_seed(100 + seed)
    values = torch.randn(tokens, 6, generator=noise) @ mixing + 0.02 * torch.randn(
        tokens, HEADS * HEAD, generator=noise
    )
    return values if told is None else by_definition(values, told, np.arange(start, start + tokens)).float()


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
@pytest.mark.parametrize("start", [0, 5, 100_000])
def test_it_turns_as_complex_numbers_do_and_back(pairs: Pairs, start: int) -> None:
    told, values, positions = rotary(pairs), torch.randn(40, HEADS * HEAD), np.arange(start, start + 40)
    turned = values.numpy().copy()
    told.turn(turned, positions)
    assert np.abs(turned - by_definition(values, told, positions).numpy()).max() < 2e-6
    assert torch.equal(told.turned(values, positions), torch.from_numpy(turned))
    told.turn(turned, positions, back=True)
    assert np.abs(turned - values.numpy()).max() < 2e-6


@pytest.mark.parametrize(
    "positions",
    [[7], [2, 5, 8, 11], [5, 6, 7, 5, 6, 7], [9, 0, 1], [3, 900000]],
    ids=["one", "strided", "items", "mixed", "far"],
)
def test_a_token_turns_alike_whatever_stands_beside_it(positions: list[int]) -> None:
    told, values = rotary(), keys(1, None, len(positions))
    turned = told.turned(values, np.array(positions, np.int64))
    assert torch.allclose(turned.double(), by_definition(values, told, np.array(positions)), atol=1e-5)
    for row, position, one in zip(values, positions, turned, strict=True):
        assert torch.equal(told.turned(row[None], np.array([position]))[0], one)


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
def test_turned_keys_take_the_bits_of_keys_before_they_were_turned(pairs: Pairs) -> None:
    told, quality = rotary(pairs), Quality(snr_db=15)
    plain = fit("klt", [keys(seed, None) for seed in range(12)], quality)
    turned = fit("klt", [keys(seed, told) for seed in range(12)], quality, rotary=told)
    unaware = fit("klt", [keys(seed, told) for seed in range(12)], quality)
    sizes = {}
    for name, profile, source in (("plain", plain, None), ("turned", turned, told), ("unaware", unaware, told)):
        tensors = [keys(seed, source) for seed in range(20, 24)]
        records = encode(tensors, profile)
        sizes[name] = sum(len(record.data) for record in records)
        for tensor, record, decoded in zip(tensors, records, decode([r.data for r in records], profile), strict=True):
            assert float((tensor - decoded).square().sum()) == pytest.approx(record.sse, rel=1e-3)
            assert record.signal / record.bulk_sse > 0.97 * 10**1.5
    assert sizes["turned"] < 1.05 * sizes["plain"] < 0.6 * sizes["unaware"]


def test_a_record_reads_alike_on_every_path() -> None:
    told, quality = rotary(), Quality(snr_db=20)
    samples = [{"k": keys(seed, told), "v": keys(seed + 50, None)} for seed in range(12)]
    profile = fit("klt", samples, quality, rotary={"k": told}, waves=False)
    assert KltParameters.from_profile(profile).space.rotary
    data = [record.data for record in encode([samples[3], samples[4]], profile)]
    whole = decode(data, profile)
    assert all(
        torch.equal(one, other) for one, other in zip(decode(data, profile, parts=[0]), whole[0::2], strict=True)
    )
    assert all(
        torch.equal(one, other) for one, other in zip(decode(data, profile, parts=[1]), whole[1::2], strict=True)
    )


def test_a_profile_names_the_rotation_of_each_part_once() -> None:
    told, samples = rotary(), [{"k": keys(seed, None), "v": keys(seed + 50, None)} for seed in range(3)]
    for given, stored in (({"v": told}, [None, told.to_json()]), ({"k": None}, [None, None])):
        profile = fit("klt", samples, Quality(snr_db=15), rotary=given, waves=False)
        assert profile.config["rotary"] == stored
        assert recorded_options("klt", {"rotary": given}, ("k", "v")) == {"rotary": stored}
        assert len(decode([encode(samples[:1], profile)[0].data], profile)) == 2
    alone = fit("klt", [sample["k"] for sample in samples], Quality(snr_db=15), rotary=told)
    assert alone.config["rotary"] == [told.to_json()]


def test_items_of_one_record_meet_the_ratio_of_records_of_their_own() -> None:
    """Keys have a mean before they are turned, which is part of the signal after it."""
    told = rotary()
    offset = 8 * torch.randn(1, HEADS * HEAD, generator=torch.Generator().manual_seed(2))
    samples = [told.turned(testing.feature(tokens, HEADS * HEAD, tokens) + offset) for tokens in range(60, 74)]
    profile = fit("klt", samples[2:], Quality(snr_db=15), rotary=told, waves=False)
    (joint,) = encode([samples[:2]], profile)
    for item, alone in zip(joint.items, encode(samples[:2], profile), strict=True):
        assert item.signal / item.bulk_sse == pytest.approx(alone.signal / alone.bulk_sse, rel=0.1)


def test_turning_refuses_what_it_would_write_beyond() -> None:
    told = Rotary([1, 0.1, 0.01])  # type: ignore[arg-type]
    assert told.frequencies == (1.0, 0.1, 0.01)
    with pytest.raises(UnsupportedInput, match="3 pairs a head"):
        told.turn(np.ones((1, 4), np.float32), np.array([1]))
    with pytest.raises(UnsupportedInput, match="1 positions of 2 tokens"):
        told.turned(torch.ones(2, 6), np.array([1]))
    assert told.turned(torch.empty(0, 6)).shape == (0, 6)
    halves = told.turned(torch.ones(3, 6, dtype=torch.bfloat16))
    assert torch.equal(halves, told.turned(torch.ones(3, 6)).to(torch.bfloat16))


@pytest.mark.parametrize("told", [{"q": rotary()}, {"k": "x"}, rotary()])
def test_a_group_has_rotations_of_its_own_features(told: object) -> None:
    samples = [{"k": keys(seed, None), "v": keys(seed, None)} for seed in range(3)]
    with pytest.raises(UnsupportedInput, match="rotary="):
        fit("klt", samples, Quality(snr_db=15), rotary=told)


@pytest.mark.parametrize(
    ("told", "channels"),
    [(rotary(heads=5), 48), (rotary(heads=4), 48), (Rotary((1.0,) * 25), 48)],
)
def test_a_rotation_that_does_not_fit_is_refused(told: Rotary, channels: int) -> None:
    with pytest.raises(UnsupportedInput, match="rotary positions"):
        fit("klt", [torch.randn(20, channels)], rotary=told)


@pytest.mark.parametrize("frequencies", [(), (float("nan"),), (float("inf"),)])
def test_frequencies_are_finite_numbers(frequencies: tuple[float, ...]) -> None:
    with pytest.raises(UnsupportedInput, match="rotary positions"):
        Rotary(frequencies)


@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
def test_a_late_sequence_is_coded_by_its_positions(pairs: Pairs) -> None:
    """A cache of a window begins late; told so, it takes no more bits than one that begins at 0."""
    told, quality = rotary(pairs), Quality(snr_db=15)
    profile = fit("klt", [keys(seed, told) for seed in range(12)], quality, rotary=told)
    early, late = keys(30, told), keys(30, told, start=700)
    (at_zero,) = encode([early], profile)
    (known,) = encode([late], profile, first_positions=[700])
    (unknown,) = encode([late], profile)
    assert len(known.data) <= len(at_zero.data) + 8 < 0.8 * len(unknown.data)
    (decoded,) = decode([known.data], profile)
    assert float((late - decoded).square().sum()) == pytest.approx(known.sse, rel=1e-3)
    with pytest.raises(UnsupportedInput, match="first_positions"):
        encode([late], profile, first_positions=[-1])


@pytest.mark.parametrize("turned", [TURNED, HEAD, 2], ids=["partly", "wholly", "one pair"])
@pytest.mark.parametrize("pairs", ["halves", "neighbours"])
@pytest.mark.parametrize("step", [1.0, 0.1])
def test_a_late_window_errs_as_keys_before_they_were_turned(step: float, pairs: Pairs, turned: int) -> None:
    told, first = Rotary(rotary().frequencies[:1] * (turned // 2), pairs, HEADS), 123_456
    if turned > 2:
        told = Rotary(tuple(100.0 ** (-2 * i / turned) for i in range(turned // 2)), pairs, HEADS)
    quality, samples = Quality(step=step), [keys(seed, None) for seed in range(12)]
    still = fit("klt", samples, quality, means=0, waves=False)
    profile = fit("klt", [told.turned(one) for one in samples], quality, rotary=told, means=0, waves=False)
    for seed in (30, 31):
        source = keys(seed, None)
        positions = np.arange(first, first + len(source))
        late = told.turned(source, positions)
        (record,), (plain,) = encode([late], profile, first_positions=[first]), encode([source], still)
        error = told.turned(late - decode([record.data], profile)[0], positions, back=True)
        expected = source - decode([plain.data], still)[0]
        assert float(error.square().mean()) == pytest.approx(float(expected.square().mean()), rel=0.02)
        assert torch.allclose(error.square().mean(0), expected.square().mean(0), rtol=0.5, atol=step**2 / 100)
        assert len(record.data) <= len(plain.data) + 12


def test_a_fit_knows_where_its_samples_begin() -> None:
    told, quality, starts = rotary(), Quality(snr_db=15), [37 * seed for seed in range(12)]
    late = [keys(seed, told, start=at) for seed, at in enumerate(starts)]
    source = keys(30, told, start=700)
    sizes = []
    for samples, given in ((late, starts), (late, None), ([keys(seed, told) for seed in range(12)], None)):
        profile = fit("klt", samples, quality, rotary=told, first_positions=given)
        sizes.append(len(encode([source], profile, first_positions=[700])[0].data))
    assert sizes[0] < 1.03 * sizes[2] < 0.9 * sizes[1]
    group = [{"k": sample, "v": testing.feature(len(sample), 8, at)} for at, sample in enumerate(late)]
    parts = fit("klt", group, quality, rotary={"k": told}, first_positions=starts)
    (record,) = encode([{**group[5], "k": source[: len(group[5]["v"])]}], parts, first_positions=[700])
    assert record.parts[0].signal > 25 * record.parts[0].bulk_sse
    for wrong in (starts[1:], [-1] * 12, 5):
        with pytest.raises(UnsupportedInput, match="first_positions"):
            fit("klt", late, quality, rotary=told, first_positions=wrong)


@pytest.mark.parametrize("weight", [None, torch.diag(torch.linspace(0.8, 1.2, HEADS * HEAD))], ids=["even", "weighted"])
def test_items_in_one_record_each_begin_at_their_first_position(weight: torch.Tensor | None) -> None:
    told, quality = rotary(), Quality(snr_db=15)
    options = {} if weight is None else {"weight": weight, "sinks": True}
    profile = fit("klt", [keys(seed, told) for seed in range(12)], quality, rotary=told, **options)
    items = [keys(seed, told, tokens, start=9) for seed, tokens in ((40, 30), (41, 1), (42, 60))]
    (record,) = encode([items], profile, first_positions=[9])
    for item, figures, decoded in zip(items, record.items, decode([record.data], profile), strict=True):
        assert float((item - decoded).square().sum()) == pytest.approx(figures.sse, rel=1e-3)
        assert figures.signal / figures.bulk_sse > (0.97 if weight is None else 0.9) * 10**1.5
    kept = keep(record.data, profile, [0, 2])
    whole = decode([record.data], profile)
    assert all(torch.equal(*pair) for pair in zip(decode([kept], profile), whole[0::2], strict=True))
    assert torch.equal(decode([record.data], profile, items=[1])[0], whole[1])
    for mean, tensor in zip(decode_pooled([record.data], profile, Pool("mean")), whole, strict=True):
        assert torch.allclose(mean[0], tensor.mean(0), atol=1e-4)

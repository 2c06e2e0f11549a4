"""Rotary positions that nobody states: found in keys, and in nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from lamofc_codecs import Quality, Rotary, UnsupportedInput, encode, fit, recorded_options
from lamofc_codecs.klt.fit.rotation_search import find_rotary
from lamofc_codecs.klt.format import KltOptions

QUALITY = Quality(snr_db=15)
PLAIN: dict[str, Any] = {"means": 0, "waves": False}


def rotary(
    head: int,
    heads: int,
    base: float = 1e4,
    turned: int | None = None,
    pairs: Literal["halves", "neighbours"] = "halves",
) -> Rotary:
    count = turned or head
    return Rotary(tuple((1 / base ** (torch.arange(0, count, 2).float() / count)).double().tolist()), pairs, heads)


def values(seed: int, channels: int, tokens: int = 60) -> torch.Tensor:
    """Tokens about a mean, of few directions."""
    fixed, noise = torch.Generator().manual_seed(7), torch.Generator().manual_seed(seed)
    mean, mixing = torch.randn(channels, generator=fixed), torch.randn(channels // 4, channels, generator=fixed)
    mixed = torch.randn(tokens, channels // 4, generator=noise) @ mixing
    return 2 * mean + 0.3 * mixed + 0.05 * torch.randn(tokens, channels, generator=noise)


def keys(told: Rotary, channels: int, starts: Mapping[int, int] | None = None, count: int = 16) -> list[torch.Tensor]:
    begin = starts or {}
    return [
        told.turned(values(seed, channels), np.arange(begin.get(seed, 0), begin.get(seed, 0) + 60))
        for seed in range(count)
    ]


SLOWED = rotary(128, 2, 1e6)
LAYOUTS = {
    "one head": (rotary(64, 1), 64),
    "many heads": (rotary(64, 8, 5e5), 512),
    "neighbours": (rotary(32, 2, 1e6, pairs="neighbours"), 64),
    "partly turned": (rotary(48, 2, turned=24), 96),
    "a quarter, neighbours": (rotary(64, 2, 1e4, 16, "neighbours"), 128),
    "slowed": (replace(SLOWED, frequencies=tuple(frequency / 8 for frequency in SLOWED.frequencies)), 256),
    "a width of its own": (rotary(40, 1), 40),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("snr_db", [8, 25])
def test_a_rotation_is_found_as_it_is(name: str, snr_db: float) -> None:
    told, channels = LAYOUTS[name]
    assert find_rotary(keys(told, channels), None, (snr_db,)) == told


def test_what_is_found_is_said_in_words() -> None:
    told, channels = LAYOUTS["slowed"]
    found: list[str] = []
    fit("klt", keys(told, channels), features=["key"], found=lambda _, words: found.append(words), **PLAIN)
    words = "rotary positions of theta 1e+06, slowed 8 times, found and undone (64 pairs of halves, 2 heads)"
    assert found == [words]


def test_windows_are_turned_back_by_their_own_positions() -> None:
    told, starts = rotary(64, 1), {seed: 700 + 31 * seed for seed in range(16)}
    late = keys(told, 64, starts)
    assert find_rotary(late, list(starts.values()), (15,)) == told
    assert find_rotary(late, None, (15,)) != told
    long = [told.turned(values(seed, 64, 3000)).to(torch.bfloat16) for seed in range(6)]
    assert find_rotary(long, None, (15,)) == told


def test_sinks_and_what_is_no_number_do_not_hide_it() -> None:
    told = rotary(64, 1)
    spoilt = keys(told, 64)
    for sample in spoilt:
        sample[0] *= 1000
    spoilt[3][5, 6], spoilt[4][7] = float("nan"), float("inf")
    assert find_rotary(spoilt, None, (15,)) == told


def white(seed: int, tokens: int, channels: int) -> torch.Tensor:
    return torch.randn(tokens, channels, generator=torch.Generator().manual_seed(seed))


def drifting(seed: int, tokens: int, channels: int) -> torch.Tensor:
    """Tokens that are like their neighbours."""
    return values(seed, channels, tokens) + white(seed + 1, tokens, channels).cumsum(0) / 8


NO_KEYS = {
    "keys before they are turned": [values(seed, 64) for seed in range(16)],
    "noise": [white(seed, 60, 64) for seed in range(16)],
    "little noise": [white(seed, 70, 16) for seed in range(4)],
    "many small samples": [white(seed, 4, 256) for seed in range(200)],
    "drifting": [drifting(seed, 60, 64) for seed in range(16)],
    "waves of one rate": [
        torch.sin(0.7 * torch.arange(60)[:, None] + torch.arange(64)) + 0.1 * white(seed, 60, 64) for seed in range(16)
    ],
    "zeros": [torch.zeros(60, 64)] * 16,
    "one value": [torch.ones(60, 64)] * 16,
    "no tokens": [torch.ones(0, 64)] * 16,
    "few tokens": [rotary(64, 1).turned(values(seed, 64, 8)) for seed in range(8)],
    "few samples": keys(rotary(64, 1), 64, count=3),
    "odd": [white(seed, 60, 63) for seed in range(16)],
    "narrow": [white(seed, 60, 2) for seed in range(16)],
    "widths that differ": [white(seed, 60, 64 + seed) for seed in range(16)],
    "whole numbers": [torch.ones(60, 64, dtype=torch.int32)] * 16,
    "nothing": [],
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_nothing_is_found_where_there_is_nothing(name: str) -> None:
    assert find_rotary(NO_KEYS[name], None, (15,)) is None


@pytest.mark.parametrize("feature", ["layer.3.k_cache", "model.layers.0.key", "KEYS-7"])
def test_features_named_as_keys_are_searched(feature: str) -> None:
    told, samples = rotary(64, 1), keys(rotary(64, 1), 64)
    found: list[tuple[str, str]] = []
    profile = fit("klt", samples, QUALITY, features=[feature], found=lambda *words: found.append(words), **PLAIN)
    assert profile.data == fit("klt", samples, QUALITY, rotary=told, **PLAIN).data
    assert found == [(feature, "rotary positions of theta 10000 found and undone (32 pairs of halves, 1 head)")]


@pytest.mark.parametrize(
    ("features", "options"),
    [
        (["layer.0.v_cache"], {}),
        (["monkey"], {}),
        ([], {}),
        (["layer.0.k_cache"], {"rotary": None}),
        (["layer.0.k_cache"], {"rotary": {"layer.1.k_cache": "find"}}),
        (["layer.0.k_cache"], {"weight": torch.linspace(1, 2, 64)}),
    ],
    ids=["values", "part of a word", "no name", "refused", "another", "weighed"],
)
def test_other_features_are_left_as_they_are(features: list[str], options: dict[str, Any]) -> None:
    samples = keys(rotary(64, 1), 64)
    profile = fit("klt", samples, QUALITY, features=features, **options, **PLAIN)
    assert "rotary" not in profile.config
    assert profile.data == fit("klt", samples, QUALITY, **{**options, "rotary": None}, **PLAIN).data


def test_a_search_that_finds_nothing_changes_no_byte() -> None:
    samples = [values(seed, 64) for seed in range(16)]
    plain = fit("klt", iter(samples), QUALITY, rotary=None).data
    found: list[tuple[str, str]] = []
    named: dict[str, Any] = {"features": ["k"], "found": lambda *words: found.append(words)}
    assert fit("klt", iter(samples), QUALITY, **named).data == plain and found == []
    assert fit("klt", iter(samples), QUALITY, rotary="find", **named).data == plain
    assert found == [("k", "no rotary positions found")]


def test_a_group_is_searched_feature_by_feature() -> None:
    told, other, starts = rotary(64, 1), rotary(32, 2, 1e6), {seed: 9 * seed for seed in range(16)}
    late = list(starts.values())
    pairs = zip(keys(told, 64, starts), keys(other, 64, starts), strict=True)
    samples = [{"a.k": one, "b": two, "c.v": values(seed, 24)} for seed, (one, two) in enumerate(pairs)]
    found: list[str] = []

    def rotations(**options: Any) -> list[Any]:
        profile = fit(
            "klt", samples, QUALITY, first_positions=late, found=lambda name, _: found.append(name), **options, **PLAIN
        )
        return [part and Rotary.from_json(part) for part in profile.config["rotary"]]

    assert rotations() == [told, None, None] and found == ["a.k"]
    assert rotations(rotary="find") == [told, other, None] and found == ["a.k", "a.k", "b", "c.v"]
    assert rotations(rotary={"b": "find"}, features=["a.k", "b", "c.v"]) == [None, other, None]
    assert rotations(rotary={"a.k": told, "b": "find"}) == [told, other, None]
    for wrong in ({"q": told, "b": "find"}, {"b": "seek"}, {"b": "keys"}):
        with pytest.raises(UnsupportedInput, match="rotary="):
            rotations(rotary=wrong)


def test_keys_take_fewer_bits_at_positions_that_are_found() -> None:
    told = rotary(64, 2)
    samples = keys(told, 128, count=20)
    sizes = [
        sum(len(record.data) for record in encode(samples[16:], fit("klt", samples[:16], QUALITY, features=[name])))
        for name in ("k", "v")
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_a_profile_is_taken_again_whatever_was_found() -> None:
    told = rotary(64, 1)
    assert recorded_options("klt", {"rotary": "find", "means": 0}, ["k"]) == {"means": 0}
    assert recorded_options("klt", {"rotary": {"k": "find", "j": told}}, ["k"]) == {}
    assert recorded_options("klt", {"rotary": {"k": "find", "j": told}}, ["j"]) == {"rotary": [told.to_json()]}
    assert recorded_options("klt", {"rotary": {"k": "find", "j": told}}, ["j", "k"]) == {}
    assert recorded_options("klt", {"rotary": None}, ["k"]) == {"rotary": None}


def test_only_rotations_that_are_settled_are_undone() -> None:
    told = rotary(64, 1)
    assert KltOptions().rotations == KltOptions(rotary="find").rotations == []
    assert KltOptions(rotary={"k": "find", "j": told}).rotations == [None, told]
    for names in ([], ["k", "j"]):
        assert KltOptions().for_parts(names) == KltOptions(rotary=None).for_parts(names) == KltOptions(rotary=None)
        with pytest.raises(UnsupportedInput, match="rotary=find"):
            KltOptions(rotary="find").for_parts(names)

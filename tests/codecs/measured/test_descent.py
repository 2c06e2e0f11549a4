"""Rounding by a consumer's gradient: fewer bits at one divergence, errors told as they are, any kind of weights."""

from collections.abc import Callable
from itertools import count
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    Coding,
    Guide,
    OutOfReach,
    Profile,
    Quality,
    Rotary,
    UnsupportedInput,
    decode,
    encode,
    encode_measured,
    encode_together,
    fit,
    testing,
)
from lamofc_codecs.abilities import Steerable
from lamofc_codecs.measured import Descent, GuidedEncoder
from lamofc_codecs.pipeline import Encoder
from lamofc_codecs.registry import open_codec

TOKENS, CHANNELS = 60, 24
SAMPLES = [testing.feature(TOKENS, CHANNELS, -seed) for seed in range(1, 13)]
SAMPLE = testing.feature(TOKENS, CHANNELS, 3)
WEIGHT = torch.diag(torch.linspace(0.2, 2, CHANNELS))


def fitted(**options: Any) -> Profile:
    weights = {"weight": WEIGHT, "weight_nats": 0.5, "weight_floor": 0.001}
    return fit("klt", SAMPLES, Quality(kl=0.5), **{**weights, **options})


@pytest.mark.parametrize("slopes", [[torch.ones(3)], []])
def test_a_guide_that_fails_is_told(slopes: list[torch.Tensor]) -> None:
    def wrong(decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        if not slopes:
            raise UnsupportedInput("the guide is broken")
        return slopes

    message = "a gradient of" if slopes else "the guide is broken"
    with pytest.raises(UnsupportedInput, match=message):
        encode_measured(SAMPLE, fitted(), Quality(kl=0.5), lambda decoded: 0.5, guide=Guide(wrong, 4))


def test_each_token_moves_by_a_share_of_its_own_errors() -> None:
    lengths = torch.logspace(-3, 3, TOKENS)[:, None]
    errors = lengths * torch.randn(TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0))
    descent = Descent.against(errors)
    descent.step(errors)
    shares = (descent.shift.norm(dim=1) / errors.norm(dim=1)).tolist()
    assert shares == pytest.approx([shares[0]] * TOKENS, rel=1e-4) and 0 < shares[0] < 1


class FewAnswers:
    """A consumer of as many answers as tokens, each a nonlinear one of some tokens."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.mixes = torch.randn(TOKENS, TOKENS * CHANNELS, generator=generator) / (TOKENS * CHANNELS) ** 0.5

    def divergence_of(self, decoded: torch.Tensor) -> torch.Tensor:
        moved = self.mixes @ ((SAMPLE - decoded) @ WEIGHT).flatten()
        return torch.expm1(moved.square()).mean() * CHANNELS

    def measure(self, decoded: list[torch.Tensor]) -> float:
        return float(self.divergence_of(decoded[0]))

    def gradient(self, decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        leaf = decoded[0].clone().requires_grad_()
        self.divergence_of(leaf).backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        return [leaf.grad]


def test_a_guide_saves_bits_at_the_same_divergence() -> None:
    profile, consumer = fitted(), FewAnswers(1)
    usual, before = encode_measured(SAMPLE, profile, Quality(kl=0.5), consumer.measure)
    record, measured = encode_measured(
        SAMPLE, profile, Quality(kl=0.5), consumer.measure, guide=Guide(consumer.gradient)
    )
    assert 0.25 < measured < 0.75 and before > 0.25
    assert record.payload_bits < 0.7 * usual.payload_bits


def test_its_errors_are_those_of_the_sample() -> None:
    profile, consumer = fitted(), FewAnswers(1)
    record, _ = encode_measured(SAMPLE, profile, Quality(kl=0.5), consumer.measure, guide=Guide(consumer.gradient, 4))
    (decoded,) = decode([record.data], profile)
    errors, codec = SAMPLE - decoded, open_codec(profile)
    assert record.sse == pytest.approx(float(errors.double().square().sum()), rel=1e-5)
    assert isinstance(codec, Steerable)
    weighted = codec.weigh_errors(errors, np.arange(TOKENS)).double().square().sum()
    assert record.weighted_sse == pytest.approx(float(weighted), rel=0.01)


def test_steps_are_as_many_as_the_guide_has() -> None:
    asked: list[int] = []

    def gradient(decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        asked.append(len(decoded))
        return FewAnswers(1).gradient(decoded)

    usual = GuidedEncoder([Coding(SAMPLE, fitted())], Guide(gradient, 0)).encode(0.5)
    assert (usual[0].data, asked) == (encode([SAMPLE], fitted(), quality=Quality(kl=0.5))[0].data, [])
    encoder = GuidedEncoder([Coding(SAMPLE, fitted())], Guide(gradient, 6))
    moved = encoder.encode(0.5)
    assert moved[0].data != usual[0].data and asked == [1] * 6
    assert encoder.encode(0.4)[0].data != moved[0].data
    assert encoder.encode(0.5)[0].data == moved[0].data and asked == [1] * 18  # each encoding begins anew
    untouched, _ = encode_measured(SAMPLE, fitted(), Quality(kl=0.5), lambda _: 0.5, guide=Guide(gradient, 0))
    assert untouched.data == usual[0].data and len(asked) == 18


def test_a_guide_that_saves_nothing_is_not_followed() -> None:
    def foretold(decoded: list[torch.Tensor]) -> float:
        return float(((SAMPLE - decoded[0]) @ WEIGHT).square().sum() / TOKENS / 2)

    usual, _ = encode_measured(SAMPLE, fitted(), Quality(kl=0.5), foretold)
    guide = Guide(lambda decoded: [torch.ones_like(decoded[0])])
    found = encode_together([Coding(SAMPLE, fitted())], Quality(kl=0.5), foretold, guide)
    assert not found.guided and found.records[0].data == usual.data


def test_tokens_are_turned_by_their_positions() -> None:
    profile = fitted(rotary=Rotary(tuple(torch.logspace(0, -2, CHANNELS // 2).tolist())))
    codec, at = open_codec(profile), np.arange(500, 500 + TOKENS)
    assert isinstance(codec, Steerable)
    slope = torch.randn(TOKENS, CHANNELS, generator=torch.Generator().manual_seed(6))
    encoder = GuidedEncoder([Coding(SAMPLE, profile, 500)], Guide(lambda decoded: [slope], 8))
    (before,) = GuidedEncoder([Coding(SAMPLE, profile, 500)], Guide(lambda decoded: [slope], 0)).encode(0.5)
    (after,) = encoder.encode(0.5)
    moved = decode([after.data], profile)[0] - decode([before.data], profile)[0]
    along = (codec.weigh_errors(moved, at) * codec.weigh_gradient(slope, at)).sum()
    assert along / (codec.weigh_errors(moved, at).norm() * codec.weigh_gradient(slope, at).norm()) < -0.2


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_the_features_of_a_group_may_come_in_any_order(names: tuple[str, str]) -> None:
    def features(seed: int) -> dict[str, torch.Tensor]:
        whole = testing.feature(TOKENS, CHANNELS, seed)
        return {"a": whole[:, :18], "b": 100 * whole[:, 18:]}

    weight = {"a": torch.eye(18), "b": torch.eye(6) / 100}
    options = {"weight": weight, "weight_nats": 0.5, "weight_floor": 0.001}
    profile = fit("klt", [features(-seed) for seed in range(1, 13)], Quality(kl=0.5), **options)
    sample, other = features(3), {}

    def gradient(decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        return [(got - sample[name]) / got.std() ** 2 for name, got in zip("ab", decoded, strict=True)]

    for order in (("a", "b"), names):
        coding = Coding({name: sample[name] for name in order}, profile)
        other[order] = GuidedEncoder([coding], Guide(gradient, 4)).encode(0.5)[0].data
    assert other[names] == other["a", "b"]


def test_an_encoding_that_fails_leaves_the_next_as_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    profile, guide = fitted(), Guide(FewAnswers(1).gradient, 6)
    encoder, same = (GuidedEncoder([Coding(SAMPLE, profile)], guide) for _ in range(2))
    encoder.encode(0.5)
    same.encode(0.5)
    with monkeypatch.context() as patch, pytest.raises(UnsupportedInput, match="beyond"):
        patch.setattr(Encoder, "encode", Mock(side_effect=UnsupportedInput("beyond", "ask for less")))
        encoder.encode(0.4)
    assert len(encoder.encode(0.45)[0].data) == pytest.approx(len(same.encode(0.45)[0].data), rel=0.05)
    with monkeypatch.context() as patch:
        original, calls = Encoder.encode, count()

        def failing(self: Encoder, *arguments: Any, **options: Any) -> Any:
            if next(calls) == 2:
                raise OutOfReach("beyond", "ask for less")
            return original(self, *arguments, **options)

        patch.setattr(Encoder, "encode", failing)
        (record,) = encoder.encode(0.45)
    assert decode([record.data], profile)[0].shape == SAMPLE.shape


def test_values_that_are_stored_exactly_are_not_guided() -> None:
    spiked = SAMPLE.clone()
    spiked[4, 5] = 1e9
    profile = fitted(nonfinite="exact")
    felt: list[float] = []

    def gradient(decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        felt.append(float(decoded[0][4, 5]))
        slope = torch.zeros_like(decoded[0])
        slope[4, 5] = 1.0
        return [slope]

    (usual,) = encode([spiked], profile, quality=Quality(kl=0.5))
    (record,) = GuidedEncoder([Coding(spiked, profile)], Guide(gradient, 4)).encode(0.5)
    assert felt == [1e9] * 4 and record.data == usual.data


def test_steps_without_a_finite_gradient_are_not_made() -> None:
    (usual,) = encode([SAMPLE], fitted(), quality=Quality(kl=0.5))
    for value in (0.0, float("nan"), float("inf")):
        guide = Guide(lambda decoded, value=value: [torch.full_like(decoded[0], value)], 3)  # type: ignore[misc]
        assert GuidedEncoder([Coding(SAMPLE, fitted())], guide).encode(0.5)[0].data == usual.data


@pytest.mark.parametrize("wrong", [lambda x: [], lambda x: [x, x], lambda x: [x[:1]]], ids=["none", "two", "one token"])
def test_a_gradient_has_the_shapes_of_what_is_decoded(wrong: Callable[[torch.Tensor], list[torch.Tensor]]) -> None:
    encoder = GuidedEncoder([Coding(SAMPLE, fitted())], Guide(lambda decoded: wrong(decoded[0])))
    with pytest.raises(UnsupportedInput, match=r"by decoded tensors of \[\(60, 24\)\]"):
        encoder.encode(0.5)


def test_only_one_item_of_a_codec_with_a_space_is_guided() -> None:
    guide = Guide(FewAnswers(1).gradient, 3)
    with pytest.raises(UnsupportedInput, match="2 items of one record cannot be guided"):
        encode_measured([SAMPLE, SAMPLE], fitted(), Quality(kl=0.5), lambda decoded: 0.5, guide=guide)
    alone, listed = (GuidedEncoder([Coding(one, fitted())], guide).encode(0.5) for one in (SAMPLE, [SAMPLE]))
    assert alone[0].data == listed[0].data


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": torch.linspace(0.2, 2, CHANNELS)},
        {"weight": torch.randn(4, CHANNELS, generator=torch.Generator().manual_seed(3))},
        {"rotary": Rotary(tuple(torch.logspace(0, -2, CHANNELS // 2).tolist()))},
    ],
    ids=["matrix", "channels", "directions", "rotary"],
)
def test_a_gradient_is_weighed_by_the_inverse_of_the_weights(options: dict[str, Any]) -> None:
    codec = open_codec(fitted(**options))
    assert isinstance(codec, Steerable)
    positions = np.arange(5, 5 + TOKENS)
    errors, gradient = torch.randn(2, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(4))
    kept = gradient.clone()
    inner = (codec.weigh_errors(errors, positions) * codec.weigh_gradient(gradient, positions)).sum(1)
    torch.testing.assert_close(inner, (errors * gradient).sum(1), rtol=1e-3, atol=1e-3)
    assert torch.equal(gradient, kept)


def test_no_token_is_shifted_by_more_than_its_errors() -> None:
    generator = torch.Generator().manual_seed(5)
    errors = torch.randn(TOKENS, CHANNELS, generator=generator) * torch.linspace(0.01, 3, TOKENS)[:, None]
    descent = Descent.against(errors)
    for _ in range(40):
        descent.step(torch.ones(TOKENS, CHANNELS) * torch.logspace(-9, 9, TOKENS)[:, None])
    lengths, limits = descent.shift.norm(dim=1), errors.norm(dim=1)
    assert (lengths <= 1.001 * limits).all() and (lengths > 0.1 * limits).all() and (descent.shift < 0).all()
    descent = Descent.against(errors)
    descent.step(torch.zeros(TOKENS, CHANNELS))
    assert not descent.shift.any()

"""Rounding by a consumer's gradient: fewer bits at one divergence, errors told as they are, any kind of weights."""

from typing import Any

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    Guide,
    Profile,
    Quality,
    Rotary,
    UnsupportedInput,
    decode,
    encode_measured,
    fit,
    testing,
)
from lamofc_codecs.abilities import Steerable
from lamofc_codecs.pipeline import Descent
from lamofc_codecs.registry import open_codec

TOKENS, CHANNELS = 60, 24
SAMPLES = [testing.feature(TOKENS, CHANNELS, -seed) for seed in range(1, 13)]
SAMPLE = testing.feature(TOKENS, CHANNELS, 3)
WEIGHT = torch.diag(torch.linspace(0.2, 2, CHANNELS))


def fitted(**options: Any) -> Profile:
    weights = {"weight": WEIGHT, "weight_nats": 0.5, "weight_floor": 0.001}
    return fit("klt", SAMPLES, Quality(kl=0.5), **{**weights, **options})


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

    usual, _ = encode_measured(SAMPLE, fitted(), Quality(kl=0.5), lambda decoded: 0.5)
    still, _ = encode_measured(SAMPLE, fitted(), Quality(kl=0.5), lambda decoded: 0.5, guide=Guide(gradient, 0))
    assert (still.data, asked) == (usual.data, [])
    moved, _ = encode_measured(SAMPLE, fitted(), Quality(kl=0.5), lambda decoded: 0.5, guide=Guide(gradient, 5))
    assert moved.data != usual.data
    assert asked == [1] * 5


def test_only_one_item_of_a_codec_with_a_space_is_guided() -> None:
    guide = Guide(FewAnswers(1).gradient)
    with pytest.raises(UnsupportedInput, match="2 items of one record cannot be guided"):
        encode_measured([SAMPLE, SAMPLE], fitted(), Quality(kl=0.5), lambda decoded: 0.5, guide=guide)


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
    lengths = descent.shift.norm(dim=1)
    usual = float(errors.norm(dim=1).median())
    assert (lengths <= 1.001 * errors.norm(dim=1).clamp_min(0.2 * usual)).all()
    assert (lengths > 0.1 * usual).all() and (descent.shift < 0).all()
    descent.resize(0.5)
    assert (descent.shift.norm(dim=1) <= 0.501 * lengths).all()
    descent = Descent.against(errors)
    descent.step(torch.zeros(TOKENS, CHANNELS))
    assert not descent.shift.any()

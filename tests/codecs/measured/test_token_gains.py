"""Gains of tokens: fewer bits where the consumer feels few tokens, and nothing else changed."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lamofc_codecs import (
    Coding,
    Draw,
    Guide,
    Profile,
    Quality,
    UnsupportedInput,
    decode,
    encode,
    encode_measured,
    encode_together,
    fit,
    testing,
)
from lamofc_codecs.measured.guided_encoder import GuidedEncoder
from lamofc_codecs.measured.token_gains import token_octaves, with_gains

TOKENS, CHANNELS, WANTED = 160, 64, Quality(kl=0.5)
SAMPLES = [testing.feature(TOKENS, CHANNELS, -seed) for seed in range(1, 13)]
SAMPLE = testing.feature(TOKENS, CHANNELS, 3)
WEIGHT = torch.diag(torch.linspace(0.2, 2, CHANNELS))
FELT = torch.exp2(torch.randn(TOKENS, generator=torch.Generator().manual_seed(0)) * 3)
"""Sensitivity of each token over that which the weights foretell, as unlike as tokens of a text."""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return fit("klt", SAMPLES, WANTED, weight=WEIGHT, weight_nats=0.5, weight_floor=0.001)


def measure(decoded: list[torch.Tensor]) -> float:
    errors = ((SAMPLE - decoded[0]) @ WEIGHT).square().sum(1)
    return float((FELT / FELT.mean() * errors).mean() / 2)


def drawn(seed: int = 0) -> Callable[[], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def draw() -> list[torch.Tensor]:
        return [FELT.sqrt()[:, None] * torch.randn(TOKENS, CHANNELS, generator=generator) @ WEIGHT]

    return draw


def gains_of(codings: list[Coding], draw: Draw) -> list[NDArray[np.int64]]:
    octaves = token_octaves(codings, draw)
    assert octaves is not None
    half, whole = (with_gains(codings, octaves, exponent) for exponent in (0.5, 1.0))
    gains = [coding.gains for coding in whole if coding.gains is not None]
    for one, other in zip(half, gains, strict=True):
        assert one.gains is not None and np.abs(2 * one.gains - other)[np.abs(other) < 63].max() <= 2
    return gains


def test_tokens_that_are_felt_less_take_fewer_bits(profile: Profile) -> None:
    usual, before = encode_measured(SAMPLE, profile, WANTED, measure)
    record, divergence = encode_measured(SAMPLE, profile, WANTED, measure, draw=drawn())
    assert record.payload_bits < 0.85 * usual.payload_bits
    assert divergence <= max(1.4 * WANTED.value, before)
    (decoded,) = decode([record.data], profile)
    assert divergence == pytest.approx(measure([decoded]), rel=1e-6)
    errors = (SAMPLE - decoded).double()
    assert record.sse == pytest.approx(float(errors.square().sum()), rel=1e-5)
    of_tokens = (errors @ WEIGHT.double()).square().sum(1)
    order = FELT.argsort()
    assert of_tokens[order[:16]].mean() > 4 * of_tokens[order[-16:]].mean()


def test_gains_are_those_of_sensitivities(profile: Profile) -> None:
    gains = gains_of([Coding(SAMPLE, profile)], drawn())[0]
    wanted = 8 * (FELT.log2() - FELT.log2().median())
    assert np.abs(gains - wanted.clamp(-63, 63).numpy()).max() <= 8
    pair = gains_of([Coding(SAMPLE, profile)] * 2, lambda: [drawn(1)()[0], 4 * drawn(2)()[0]])
    apart = [float(np.median(one)) for one in pair]
    assert apart[1] - apart[0] == pytest.approx(32, abs=3)


def test_draws_that_say_nothing_change_nothing(profile: Profile) -> None:
    usual, _ = encode_measured(SAMPLE, profile, WANTED, measure)
    for silent in (torch.zeros(TOKENS, CHANNELS), torch.full((TOKENS, CHANNELS), torch.nan)):
        record, _ = encode_measured(SAMPLE, profile, WANTED, measure, draw=lambda silent=silent: [silent])
        assert record.data == usual.data
    (gains,) = gains_of([Coding(SAMPLE, profile)], lambda: [drawn()()[0] * (torch.arange(TOKENS) > 3)[:, None]])
    assert set(gains[:4]) == {gains[4:].min()}


def test_a_token_that_is_a_sink_keeps_the_largest_gain() -> None:
    middle = CHANNELS // 2
    matrices = {"a": WEIGHT[:middle, :middle], "b": WEIGHT[middle:, middle:]}
    weights = {"weight": matrices, "weight_nats": 0.5, "weight_floor": 0.001}

    def halves(sample: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"a": sample[:, :middle], "b": sample[:, middle:]}

    known = fit("klt", list(map(halves, SAMPLES)), WANTED, features=["a", "b"], sinks=True, **weights)
    sample = SAMPLE.clone()
    sample[20] *= 10
    record = Coding(halves(sample), known, gains=np.full(TOKENS, -20)).encode(0.5)
    decoded = torch.cat(decode([record.data], known), 1)
    errors = ((sample - decoded) @ WEIGHT).square().sum(1)
    others = torch.cat([errors[:20], errors[21:]])
    assert errors[20] < 0.05 * others.mean()


def test_a_guide_goes_on_from_gains(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(decoded: list[torch.Tensor]) -> list[torch.Tensor]:
        return [(FELT[:, None] * ((decoded[0] - SAMPLE) @ WEIGHT)) @ WEIGHT]

    guided: list[Coding] = []

    def noted(codings: list[Coding], guide: Guide) -> GuidedEncoder:
        guided.extend(codings)
        return GuidedEncoder(codings, guide)

    monkeypatch.setattr("lamofc_codecs.measured.together.GuidedEncoder", noted)
    coding, guide = Coding(SAMPLE, profile), Guide(gradient, 4)
    both = encode_together([coding], WANTED, measure, guide, drawn())
    gains = [gain for weighed in guided for gain in [weighed.gains] if gain is not None]
    assert len(gains) == len(guided) == 1 and np.corrcoef(gains[0], FELT.log2().numpy())[0, 1] > 0.9
    assert len(both.records[0].data) < len(encode_together([coding], WANTED, measure).records[0].data)


@pytest.mark.parametrize("felt_first", [0.8, 1.0, 1.2])
def test_a_coarser_encoding_is_no_saving_by_itself(profile: Profile, felt_first: float) -> None:
    """Without a gradient a guide leaves what is quantised as it is, so nothing but a coarser step saves bytes."""
    tried: list[float] = []

    def felt(decoded: list[torch.Tensor]) -> float:
        tried.append(felt_first * float(((SAMPLE - decoded[0]) @ WEIGHT).square().sum(1).mean() / 2))
        return tried[-1]

    guide = Guide(lambda decoded: [torch.zeros_like(decoded[0])], 1)
    plain = encode([SAMPLE], profile, quality=WANTED)[0]
    met = encode_together([Coding(SAMPLE, profile)], WANTED, felt, guide)
    assert len(tried) > 1 and not met.guided
    assert met.records[0].data == plain.data and met.divergence == tried[0]


def test_gradients_of_other_shapes_are_refused(profile: Profile) -> None:
    with pytest.raises(UnsupportedInput, match=r"a gradient of \[\(159, 64\)\] by decoded tensors of \[\(160, 64\)\]"):
        token_octaves([Coding(SAMPLE, profile)], lambda: [drawn()()[0][1:]])
    with pytest.raises(UnsupportedInput, match=r"a gradient of \[\] by decoded tensors of \[\(160, 64\)\]"):
        token_octaves([Coding(SAMPLE, profile)], list)
    uniform = fit("uniform", SAMPLES, Quality(snr_db=10))
    with pytest.raises(UnsupportedInput, match="codec uniform cannot be guided"):
        token_octaves([Coding(SAMPLE, uniform)], drawn())


def test_draws_that_are_not_finite_are_left_out(profile: Profile) -> None:
    finite, numbers = drawn(), iter(range(100))

    def draw() -> list[torch.Tensor]:
        (slope,) = finite()
        if next(numbers) % 4 == 1:
            slope[int(FELT.argmax())] = torch.inf
        return [slope]

    octaves = token_octaves([Coding(SAMPLE, profile)], draw)
    assert octaves is not None and int(octaves[0].argmax()) == int(FELT.argmax())
    never = [torch.full((TOKENS, CHANNELS), torch.nan)]
    assert token_octaves([Coding(SAMPLE, profile)], lambda: never) is None


def test_records_without_gains_are_as_before(profile: Profile) -> None:
    assert Coding(SAMPLE, profile).encode(0.5).data == encode([SAMPLE], profile, quality=WANTED)[0].data

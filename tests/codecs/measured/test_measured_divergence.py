"""A divergence that is met by measurement: a sample of any sensitivity comes near it, in at most four encodings."""

import math
from collections.abc import Callable

import pytest
import torch

from lamofc_codecs import (
    BadQuality,
    OutOfReach,
    Quality,
    Record,
    UnsupportedInput,
    encode,
    encode_measured,
    encode_together,
    fit,
    testing,
)
from lamofc_codecs.measured import meet_divergence

WEIGHT = torch.diag(torch.linspace(0.2, 2, 24))
PROFILE = fit(
    "klt",
    [testing.feature(80, 24, -seed) for seed in range(1, 13)],
    Quality(kl=0.5),
    weight=WEIGHT,
    weight_nats=0.5,
    weight_floor=0.001,
)
SAMPLE = testing.feature(80, 24, 3)


def _size(record: Record) -> int:
    return len(record.data)


def consumer(sensitivity: float, exponent: float, asked: list[float]) -> Callable[[list[torch.Tensor]], float]:
    """A consumer with a power law of what the profile foretells."""

    def measure(decoded: list[torch.Tensor]) -> float:
        errors = (SAMPLE.double() - decoded[0].double()) @ WEIGHT.double()
        asked.append(float(errors.square().sum()) / len(SAMPLE) / 2)
        return sensitivity * asked[-1] ** exponent

    return measure


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.4])
@pytest.mark.parametrize("sensitivity", [0.3, 1.0, 5.0, 20.0])
def test_samples_of_any_sensitivity_come_near(sensitivity: float, exponent: float) -> None:
    wanted, asked = 0.1, []
    record, measured = encode_measured(SAMPLE, PROFILE, Quality(kl=wanted), consumer(sensitivity, exponent, asked))
    assert 0.65 * wanted < measured < 1.45 * wanted
    assert measured in [sensitivity * error**exponent for error in asked] and len(asked) <= 4
    usual = encode([SAMPLE], PROFILE, quality=Quality(kl=wanted))[0]
    before = sensitivity * asked[0] ** exponent / wanted
    if before > 1.4:
        assert record.payload_bits > usual.payload_bits
    elif before < 0.7:
        assert record.payload_bits < usual.payload_bits
    else:
        assert record.data == usual.data and len(asked) == 1


def test_a_consumer_that_feels_nothing_gets_a_coarse_record() -> None:
    record, measured = encode_measured(SAMPLE, PROFILE, Quality(kl=0.1), lambda decoded: 0.0)
    assert measured == 0.0
    assert record.payload_bits <= encode([SAMPLE], PROFILE, quality=Quality(kl=0.1))[0].payload_bits


def test_only_divergences_are_measured() -> None:
    with pytest.raises(BadQuality, match="snr_db=15 cannot be measured"):
        encode_measured(SAMPLE, PROFILE, Quality(snr_db=15), lambda decoded: 0.1)
    with pytest.raises(UnsupportedInput, match="no record is to be coded"):
        encode_together([], Quality(kl=0.1), lambda decoded: 0.1)


def test_trials_on_both_sides_are_followed_by_one_between_them() -> None:
    """A consumer that breaks at a threshold is met within few trials."""
    usual, asked = encode([SAMPLE], PROFILE, quality=Quality(kl=0.1))[0], []

    def code(divergence: float) -> Record:
        asked.append(divergence)
        return usual

    trial = meet_divergence(0.1, code, lambda record: 2.2 * (asked[-1] / 0.1) ** 2.5, _size, 4)
    assert len(asked) == 3 and asked[1] < asked[2] < asked[0]
    assert 0.07 < trial.measured < 0.14


def test_bytes_grow_by_no_more_than_the_divergence_falls() -> None:
    """A consumer that hardly feels how finely a sample is coded gets a coarse record of it."""
    sizes = {0.1: 1000}

    def code(divergence: float) -> float:
        sizes[divergence] = int(1000 * (0.1 / divergence) ** 0.4)
        return divergence

    stubborn = meet_divergence(0.1, code, lambda asked: 0.6 * (asked / 0.1) ** 0.2, sizes.__getitem__, 4)
    assert (stubborn.foretold, stubborn.size) == (0.1, 1000) and len(sizes) == 4
    usual = meet_divergence(0.1, code, lambda asked: 0.6 * (asked / 0.1) ** 0.6, sizes.__getitem__, 2)
    assert 1500 < usual.size < 3000 and 0.14 < usual.measured < 0.3


def test_a_plain_search_asks_the_consumer_up_to_six_times() -> None:
    measured: list[float] = []

    def measure(decoded: list[torch.Tensor]) -> float:
        measured.append(0.5 * 0.9 ** len(measured))
        return measured[-1]

    encode_measured(SAMPLE, PROFILE, Quality(kl=0.1), measure)
    assert len(measured) == 6


def test_answers_that_are_not_finite_are_felt_too_much() -> None:
    usual, asked = encode([SAMPLE], PROFILE, quality=Quality(kl=0.1))[0], []

    def code(divergence: float) -> Record:
        asked.append(divergence)
        return usual

    trial = meet_divergence(0.1, code, lambda record: math.nan if asked[-1] > 0.02 else 5 * asked[-1], _size, 4)
    assert 0.02 <= trial.measured <= 0.1 and len(asked) <= 4
    with pytest.raises(UnsupportedInput, match="answers to 4 encodings are not finite"):
        meet_divergence(0.1, code, lambda record: math.inf, _size, 4)


def test_a_trial_beyond_the_profile_is_followed_by_half_the_correction() -> None:
    usual, asked = encode([SAMPLE], PROFILE, quality=Quality(kl=0.1))[0], []

    def code(divergence: float) -> Record:
        asked.append(divergence)
        if divergence < 0.02:
            raise OutOfReach("no record reaches it")
        return usual

    trial = meet_divergence(0.1, code, lambda record: 30 * asked[-1], _size, 4)
    assert asked[:3] == [0.1, pytest.approx(0.1 / 30**0.9), pytest.approx(0.1 / 30**0.45)]
    assert trial.foretold == asked[2] and len(asked) == 4
    with pytest.raises(OutOfReach):
        meet_divergence(0.01, code, lambda record: 1.0, _size, 4)

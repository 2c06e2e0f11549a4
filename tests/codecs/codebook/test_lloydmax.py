"""Codec lloydmax: 256 levels, nearest or to the left."""

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    BadQuality,
    CodecError,
    NonFiniteInput,
    Profile,
    Quality,
    UnsupportedInput,
    decode,
    encode,
    fit,
)
from lamofc_codecs.codebook.kmeans import place_levels
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import feature

LEVELS = (np.sinh(np.linspace(-8, 8, 256)) / 3).astype(np.float32)


class TestFitted(CodecConformance):
    codec = "lloydmax"
    noise = 0.01


class TestGivenLevelsToTheLeft(CodecConformance):
    codec = "lloydmax"
    options = {"levels": LEVELS.tolist(), "assign": "floor"}  # noqa: RUF012
    noise = 0.05


def coded(source: torch.Tensor, profile: Profile) -> torch.Tensor:
    return decode([encode([source], profile)[0].data], profile)[0]


def test_values_go_to_the_nearest_level() -> None:
    source = feature(100, 30, 1)
    decoded = coded(source, fit("lloydmax", [], levels=LEVELS.tolist())).numpy()
    nearest = LEVELS[np.abs(source.numpy().reshape(-1, 1) - LEVELS).argmin(1)].reshape(source.shape)
    assert np.array_equal(decoded, nearest)


def test_floor_gives_the_level_on_the_left_as_the_published_code_does() -> None:
    source = feature(100, 30, 1)
    source[0, 0], source[0, 1] = -1e6, float(LEVELS[17])
    decoded = coded(source, fit("lloydmax", [], levels=LEVELS.tolist(), assign="floor")).numpy()
    expected = LEVELS[np.clip(np.digitize(source.numpy(), LEVELS) - 1, 0, 255)]
    assert np.array_equal(decoded, expected)
    assert decoded[0, 1] == LEVELS[17]


def test_levels_given_without_samples_serve_any_channel_count() -> None:
    profile = fit("lloydmax", [], levels=LEVELS.tolist())
    for channels in (1, 7, 300):
        assert coded(feature(10, channels, 1), profile).shape == (10, channels)


def test_a_fit_is_near_the_best_there_is() -> None:
    # Panter and Dite: the best N levels for a density have an error of (integral of its cube root) ** 3 / (12 N ** 2).
    values = np.sort(np.random.default_rng(1).standard_normal(400_000).astype(np.float32))
    levels = place_levels(values, 256)
    middles = (levels[1:] + levels[:-1]) / 2
    error = float(((values - levels[np.searchsorted(middles, values)]).astype(np.float64) ** 2).mean())
    best = np.sqrt(3) * np.pi / 2 / 256**2
    # That is for the density; on 1600 values a level the best levels for the values themselves are 3 % better.
    assert 0.94 * best < error < 1.0 * best
    assert (np.diff(levels) > 0).all()


def test_few_distinct_values_still_give_rising_levels() -> None:
    profile = fit("lloydmax", [torch.tensor([[1.0, 2.0], [1.0, 3.0]])])
    assert torch.equal(coded(torch.tensor([[3.0, 1.0], [2.0, 2.0]]), profile), torch.tensor([[3.0, 1.0], [2.0, 2.0]]))
    constant = fit("lloydmax", [torch.full((5, 2), 7.0)])
    assert torch.equal(coded(torch.full((5, 2), 7.0), constant), torch.full((5, 2), 7.0))


def test_few_values_that_come_often_each_have_a_level() -> None:
    source = torch.arange(10.0).repeat_interleave(12).view(-1, 3)
    assert torch.equal(coded(source, fit("lloydmax", [source])), source)
    for bits in (1, 2, 3):
        profile = fit("lloydmax", [source], bits=bits)
        assert (coded(source, profile) - source).abs().max() <= 10 / 2**bits / 2


@pytest.mark.parametrize("bits", [1, 4, 8, 9, 10])
def test_levels_of_any_depth_are_better_the_more_there_are(bits: int) -> None:
    source = feature(300, 40, 1)
    profile = fit("lloydmax", [feature(300, 40, seed) for seed in (-1, -2)], bits=bits)
    assert len(profile.tensors["levels"]) == 1 << bits
    decoded = coded(source, profile)
    assert decoded.unique().numel() <= 1 << bits
    levels = profile.tensors["levels"].double()
    nearest = levels[(source.double().view(-1, 1) - levels).abs().argmin(1)].view(source.shape)
    assert torch.equal(decoded.double(), nearest)


@pytest.mark.parametrize("levels", [[1.0] * 256, list(range(255)), [*range(255), float("inf")], "levels", None])
def test_bad_levels_are_refused(levels: object) -> None:
    with pytest.raises(CodecError):
        fit("lloydmax", [], levels=levels)


def test_nothing_to_fit_on() -> None:
    for samples in ([], [torch.zeros(0, 4)], [torch.zeros(5, 0)]):
        with pytest.raises(CodecError, match="nothing to fit on"):
            fit("lloydmax", samples)


def test_it_aims_at_no_quality_and_loses_no_nan() -> None:
    with pytest.raises(BadQuality, match="lloydmax cannot aim at snr_db=15"):
        fit("lloydmax", [feature(10, 4, 1)], Quality(snr_db=15))
    profile = fit("lloydmax", [feature(50, 4, 1)])
    with pytest.raises(NonFiniteInput):
        coded(torch.full((2, 4), float("nan")), profile)
    with pytest.raises(UnsupportedInput, match="assign"):
        fit("lloydmax", [feature(10, 4, 1)], assign="right")

"""Quality: one target, stated once."""

import pickle

import pytest

from lamofc_codecs import BadQuality, Quality

KINDS = ("snr_db", "mse", "bpfp", "step", "max_error", "lmbda", "qp")


@pytest.mark.parametrize("kind", KINDS)
def test_it_names_its_target_and_survives_json(kind: str) -> None:
    quality = Quality(**{kind: 15})
    assert (quality.kind, quality.value, str(quality)) == (kind, 15.0, f"{kind}=15")
    assert Quality.from_json(quality.to_json()) == quality == pickle.loads(pickle.dumps(quality))  # noqa: S301
    assert Quality.from_json(f'{{"{kind}": 15}}') == quality
    assert hash(quality) == hash(Quality(**{kind: 15.0}))


def test_lossless() -> None:
    quality = Quality(lossless=True)
    assert (quality.kind, str(quality), quality.to_json()) == ("lossless", "lossless", {"lossless": True})
    assert Quality.from_json(quality.to_json()) == quality


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"snr_db": 15, "mse": 1},
        {"mse": 0},
        {"mse": -1},
        {"bpfp": float("nan")},
        {"step": float("inf")},
        {"step": 10**400},
        {"step": "1"},
        {"step": True},
        {"lossless": False},
        {"max_error": -0.0},
    ],
)
def test_what_says_nothing_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(BadQuality):
        Quality(**given)


@pytest.mark.parametrize("text", ["", "15", "[]", '{"psnr": 3}', '{"snr_db": "x"}', "{"])
def test_json_that_is_no_quality_is_refused(text: str) -> None:
    with pytest.raises(BadQuality):
        Quality.from_json(text)


def test_negative_decibels_mean_something() -> None:
    assert Quality(snr_db=-3).value == -3

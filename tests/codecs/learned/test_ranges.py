"""Features side by side in one plane, and values scaled to a range in place of levels, against plain NumPy."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lamofc_codecs import CodecError, CorruptRecord, Profile, Sizes, UnsupportedInput, decode, encode, fit
from lamofc_codecs.learned.codec import Hyperprior
from lamofc_codecs.learned.plane_tiles import tiles
from lamofc_codecs.plane import PlaneParts, checked_ranges, separate
from lamofc_codecs.published.truncation import TRUNCATION, published_ranges
from lamofc_codecs.registry import open_codec
from lamofc_codecs.testing.samples import drawn_weights, feature

LAYERS = [f"dpt.{layer}" for layer in range(4)]
BOUNDS = [(-1, 1), (-2, 2), (-10, 10), (-10, 10)]
"""LaMoFC's ranges of the four layers before Hyperprior."""


@lru_cache(maxsize=2)
def weights() -> Profile:
    return drawn_weights(Sizes("hyperprior", 8, 12))


def layers(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    return {name: feature(70, 40, 10 * seed + layer, dtype) for layer, name in enumerate(LAYERS)}


def fitted(**options: object) -> Profile:
    samples = [layers(seed) for seed in (1, 2)]
    return fit("hyperprior", samples, features=LAYERS, weights=weights(), tile=0, fill="zero", **options)


def through_the_network(profile: Profile, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pixels from 0 to 1 through the trained networks alone: what any scale wraps."""
    codec = open_codec(profile)
    assert isinstance(codec, Hyperprior)
    (tile,) = tiles(*pixels.shape, 0)
    latent = codec._model.analyse(tile.cut(torch.from_numpy(pixels), "zero"))
    again = torch.empty(pixels.shape)
    tile.put(again, codec._model.restore(torch.round(latent)))
    return again.clamp(0, 1).numpy()


def test_a_truncation_scales_each_feature_by_its_own_range() -> None:
    profile, sample = fitted(truncation="hyperprior"), layers(3)
    assert profile.config["range"] == [[float(low), float(high)] for low, high in BOUNDS]
    assert "levels" not in profile.tensors
    (record,) = encode([sample], profile)
    pixels = np.concatenate(
        [
            (np.clip(sample[name].numpy(), low, high) - np.float32(low)) * np.float32(1 / (high - low))
            for name, (low, high) in zip(LAYERS, BOUNDS, strict=True)
        ],
        1,
    )
    assert pixels.shape == (70, 160)
    expected = np.split(through_the_network(profile, pixels), 4, 1)
    decoded = decode([record.data], profile)
    for (low, high), own, there in zip(BOUNDS, decoded, expected, strict=True):
        restored = there / np.float32(1 / (high - low)) + np.float32(low)
        assert np.abs(own.numpy() - restored).max() < 1e-5 * (high - low)
    for name, own, part in zip(LAYERS, decoded, record.parts, strict=True):
        assert part.name == name
        assert part.sse == pytest.approx(float((own - sample[name]).double().square().sum()), rel=1e-5)


def test_features_of_a_group_are_read_alone_and_keep_their_dtypes() -> None:
    profile, sample = fitted(truncation="hyperprior"), layers(3)
    sample["dpt.2"] = sample["dpt.2"].half()
    (record,) = encode([sample], profile)
    whole = decode([record.data], profile)
    assert [one.dtype for one in whole] == [torch.float32, torch.float32, torch.float16, torch.float32]
    for part, expected in enumerate(whole):
        assert torch.equal(decode([record.data], profile, parts=[part])[0], expected)


def test_each_feature_of_a_group_has_its_levels(tmp_path: Path) -> None:
    profile, sample = fitted(assign="floor"), layers(3)
    levels = profile.tensors["levels"].numpy()
    assert levels.shape == (4, 256)
    decoded = decode([encode([sample], profile)[0].data], profile)
    for own, one in zip(levels, decoded, strict=True):
        assert np.isin(one.numpy(), own).all()
    numbers = [
        np.clip(np.searchsorted(own, sample[name].numpy(), "right") - 1, 0, 255)
        for name, own in zip(LAYERS, levels, strict=True)
    ]
    pixels = np.concatenate(numbers, 1).astype(np.float32) / 256
    expected = np.split(np.clip(np.rint(through_the_network(profile, pixels) * 256), 0, 255).astype(int), 4, 1)
    there = [own[one] for own, one in zip(levels, expected, strict=True)]
    assert np.mean([(one.numpy() != other).mean() for one, other in zip(decoded, there, strict=True)]) < 1e-3


def test_a_range_of_one_feature() -> None:
    source = feature(70, 40, 1, torch.float16)
    profile = fit("hyperprior", [source], features=["csr"], weights=weights(), truncation="hyperprior")
    assert profile.config["range"] == [-5.0, 5.0]
    assert profile == fit("hyperprior", [source], weights=weights(), range=(-5, 5))
    assert profile == fit("hyperprior", [source], weights=weights(), truncation="hyperprior.csr")
    decoded = decode([encode([source], profile)[0].data], profile)[0]
    assert decoded.dtype == torch.float16
    assert float(decoded.abs().max()) <= 5
    codec = open_codec(profile)
    assert isinstance(codec, Hyperprior)
    assert torch.equal(codec.quantise(torch.tensor([[-9.0, 1.0, 7.0]])), torch.tensor([[-5.0, 1.0, 5.0]]))


def test_ranges_of_published_tasks() -> None:
    assert published_ranges("hyperprior", LAYERS) == BOUNDS
    assert published_ranges("vtm", ["dpt.3", "cls"]) == [(-20.0, 20.0), (-20.0, 20.0)]
    assert published_ranges("cls", ["whatever"]) == [TRUNCATION["vtm"]["cls"]]
    with pytest.raises(UnsupportedInput, match="without a name"):
        published_ranges("vtm", [])
    with pytest.raises(UnsupportedInput, match=r"hyperprior\.layer"):
        published_ranges("hyperprior", ["layer.x"])


@pytest.mark.parametrize(
    "options",
    [
        {"range": (0.0, 1.0), "truncation": "cls"},
        {"range": [(0, 1), (0, 2)]},
        {"range": (1.0, 1.0)},
        {"range": (0.0, float("nan"))},
        {"range": "wide"},
        {"truncation": "cls", "bits": 8},
        {"levels": [[0.0, 1.0]] * 3},
        {"levels": [[0.0, 1.0]] * 3 + [[0.0, 1.0, 2.0, 3.0]]},
    ],
)
def test_ranges_that_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        fitted(**options)


def test_parts_of_other_widths_are_refused() -> None:
    profile = fitted(truncation="hyperprior")
    (record,) = encode([layers(3)], profile)
    parts = [[name, width] for name, width in zip(LAYERS, (40, 40, 39, 41), strict=True)]
    other = Profile(profile.codec, {**profile.config, "parts": parts}, profile.tensors)
    codec = open_codec(other)
    with pytest.raises(CorruptRecord, match="parts of"):
        codec.decode_parts([memoryview(record.data)], [40] * 4, [torch.empty(70, 40)] * 4)  # type: ignore[attr-defined]
    for bad in ([["a"]], [["a", -1]], [["a", True]], "ab"):
        with pytest.raises(CodecError, match="parts"):
            PlaneParts.of({"parts": bad})
    with pytest.raises(UnsupportedInput, match="unlike features"):
        separate([{"a": torch.zeros(2, 2)}, {"b": torch.zeros(2, 2)}])
    assert checked_ranges((0, 1), 3) == [(0.0, 1.0)] * 3

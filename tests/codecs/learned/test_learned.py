"""Codecs hyperprior and elic: small networks with drawn weights, which code badly but must do all else well."""

from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lamofc_codecs import (
    BadQuality,
    CodecError,
    CorruptRecord,
    Profile,
    Quality,
    Sizes,
    UnsupportedInput,
    decode,
    encode,
    fit,
)
from lamofc_codecs.learned.latent_coder import Reading, Writing
from lamofc_codecs.learned.plane_tiles import tiles
from lamofc_codecs.learned.profile import LearnedOptions, model_of
from lamofc_codecs.learned.rans64 import Cdfs, Reader, Writer
from lamofc_codecs.record.framing import inspect, pack, sections
from lamofc_codecs.runtime import devices
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import drawn_weights, feature

LEVELS = [number / 64 for number in range(256)]
SIZES = {
    "hyperprior": Sizes("hyperprior", 8, 12),
    "elic": Sizes("elic", 8, 12, (2, 4, 6)),
}


@lru_cache(maxsize=4)
def weights(arch: str) -> Profile:
    return drawn_weights(SIZES[arch])


class TestHyperprior(CodecConformance):
    codec = "hyperprior"
    options = {"weights": weights("hyperprior")}  # noqa: RUF012
    quality = Quality(lmbda=0.01)
    noise = 1e6


class TestElic(CodecConformance):
    codec = "elic"
    options = {"weights": weights("elic"), "tile": 64}  # noqa: RUF012
    noise = 1e6


@pytest.fixture(params=["hyperprior", "elic"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return fit(request.param, [feature(90, 64, -1)], weights=weights(request.param))


def test_a_reader_finds_the_writers_numbers(profile: Profile) -> None:
    model, plane = model_of(profile), torch.rand(128, 192, generator=torch.Generator().manual_seed(1))
    latent = model.analyse(plane)
    writing = Writing()
    there = model.walk(writing, *latent.shape[2:], latent)
    assert np.unique(np.concatenate(writing.values)).size > 5, "latents that are all but zero would show nothing"
    reading = Reading(memoryview(writing.finish()))
    assert torch.equal(model.walk(reading, *latent.shape[2:]), there)
    reading.finish()
    rounding = torch.finfo(torch.float32).eps * latent.abs()
    assert bool(((there - latent).abs() <= 0.5 + 1e-5 + rounding).all())


def test_decoded_on_a_device_it_is_the_same_but_for_pixels_between_levels(profile: Profile) -> None:
    sources = [feature(70, 64, 3), feature(0, 64, 3), feature(9, 64, 4, torch.float16)]
    records = [record.data for record in encode(sources, profile)]
    with patch.object(devices, "ACCELERATORS", ("cpu",)):
        there = decode(records, profile, device="cpu")
    for one, other in zip(there, decode(records, profile), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
def test_on_a_gpu(profile: Profile) -> None:
    source = feature(300, 64, 3)
    there, here = (encode([source], profile, device=device)[0] for device in ("cuda", "cpu"))
    assert abs(len(there.data) - len(here.data)) < 0.01 * len(here.data)
    levels = profile.tensors["levels"].numpy()
    for record in (there, here):
        numbers = [
            np.searchsorted(levels, decode([record.data], profile, device=device)[0].cpu().numpy())
            for device in ("cuda", "cpu")
        ]
        assert np.abs(numbers[0] - numbers[1]).max() <= 1
        assert (numbers[0] != numbers[1]).mean() < 0.01


def test_elic_reads_each_group_by_those_before_it() -> None:
    model = model_of(weights("elic"))
    asked: list[torch.Tensor] = []

    class Watching(Writing):
        def code(
            self, given: torch.Tensor | None, middles: torch.Tensor, indexes: torch.Tensor, cdfs: Cdfs
        ) -> torch.Tensor:
            asked.append(middles)
            return super().code(given, middles, indexes, cdfs)

    latent = model.analyse(torch.rand(64, 64, generator=torch.Generator().manual_seed(2)))
    changed = latent.clone()
    changed[:, :2, 0, 0] += 3  # the first group, a cell of the first colour
    for one in (latent, changed):
        model._walk_groups(Watching(), torch.zeros(1, 16, 4, 4), one)
    first, second = asked[:6], asked[6:]
    same = [torch.equal(a, b) for a, b in zip(first, second, strict=True)]
    assert same == [True, False, False, False, False, False]


def test_numbers_that_are_not_those_written_are_refused(profile: Profile) -> None:
    record = encode([feature(70, 64, 3)], profile)[0]
    assert record.codec == profile.codec
    other = {**profile.tensors, "net.h_s.0.weight": profile.tensors["net.h_s.0.weight"] * -3}
    altered = Profile(profile.codec, profile.config, other)
    header = inspect(record.data)
    data = pack(header.number, altered.id, header.grid, [[bytes(part)] for part in sections(record.data, header)])
    with pytest.raises(CorruptRecord, match=r"not those that were written|ends before|are left|its end is off"):
        decode([data], altered)


def test_tiles_cover_a_plane_once() -> None:
    for rows, columns, size in ((1, 1, 256), (300, 520, 256), (64, 64, 64), (65, 129, 64), (500, 3, 0)):
        plane, seen = torch.rand(rows, columns), torch.zeros(rows, columns)
        again = torch.full((rows, columns), float("nan"))
        for tile in tiles(rows, columns, size):
            seen[tile.row : tile.row + tile.rows, tile.column : tile.column + tile.columns] += 1
            for fill in ("zero", "edge"):
                filled = tile.cut(plane, fill)
                assert filled.shape == tile.filled
                assert not (filled.shape[0] % 64 or filled.shape[1] % 64)
                tile.put(again, filled)
        assert torch.equal(seen, torch.ones(rows, columns))
        assert torch.equal(again, plane)


def test_zero_fill_lies_half_on_each_side_as_in_the_published_code() -> None:
    filled = next(tiles(61, 10, 0)).cut(torch.ones(61, 10), "zero")
    assert filled[0, 27] == 0
    assert torch.equal(filled[1:62, 27:37], torch.ones(61, 10))
    assert filled.sum() == 610


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, "needs trained weights"),
        ({"weights": "nowhere.safetensors"}, "nowhere"),
        ({"weights": weights("elic")}, "weights of elic, not of hyperprior"),
        ({"weights": weights("hyperprior"), "tile": 100}, "tile=100"),
        ({"weights": weights("hyperprior"), "fill": "grey"}, "grey"),
        ({"weights": weights("hyperprior"), "bits": 11}, "bits=11"),
        ({"weights": weights("hyperprior"), "colour": 1}, "colour"),
    ],
)
def test_what_fit_refuses(options: dict[str, object], cause: str) -> None:
    with pytest.raises((CodecError, OSError), match=cause):
        fit("hyperprior", [feature(20, 8, 1)], **options)


def test_qualities_are_those_of_the_weights(profile: Profile) -> None:
    with pytest.raises(BadQuality, match=r"lmbda=0\.02"):
        fit(profile.codec, [feature(20, 8, 1)], Quality(lmbda=0.02), weights=weights(profile.codec))
    with pytest.raises(BadQuality, match=r"trained for 0\.01"):
        encode([feature(20, 64, 1)], profile, quality=Quality(lmbda=0.02))


def test_weights_alone_code_nothing() -> None:
    with pytest.raises(CodecError, match="weights without levels"):
        encode([feature(20, 8, 1)], weights("hyperprior"))


def test_weights_of_another_shape_or_that_are_not_finite_are_refused() -> None:
    whole = weights("hyperprior")
    for change in (lambda t: t[:, :1], lambda t: t * float("nan")):
        broken = {**whole.tensors, "net.g_a.2.weight": change(whole.tensors["net.g_a.2.weight"]).contiguous()}
        with pytest.raises(CodecError, match=r"g_a\.2\.weight"):
            model_of(Profile("hyperprior", whole.config, broken))
    sunk = {**whole.tensors, "hyper_cdf": whole.tensors["hyper_cdf"].flip(1).contiguous()}
    with pytest.raises(CodecError, match="does not rise"):
        model_of(Profile("hyperprior", whole.config, sunk))


def cdfs() -> Cdfs:
    frequencies = np.random.default_rng(0).integers(1, 900, (5, 40))
    table = np.concatenate([np.zeros((5, 1)), np.cumsum(frequencies, 1)], 1).astype(np.int32)
    table[:, -1] = 1 << 16
    return Cdfs(table, np.full(5, 41, np.int32), np.arange(-20, -15, dtype=np.int32))


def test_a_large_plane_of_one_value_is_read_again() -> None:
    source = 1 + 0.001 * torch.rand(2048, 3072, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for tile in (0, 256):
        profile = fit("hyperprior", [], weights=certain(), levels=LEVELS, tile=tile)
        record = encode([source], profile)[0]
        assert record.codec == "hyperprior"
        assert len(record.data) < 2000
        assert decode([record.data], profile)[0].shape == source.shape


def test_a_short_record_of_a_large_tensor_is_refused_before_there_is_room_for_it(profile: Profile) -> None:
    record = encode([feature(64, 64, 1)], profile)[0]
    header = inspect(record.data)
    grid = replace(header.grid, tokens=(1 << 27,))
    forged = pack(header.number, header.profile, grid, [[bytes(part)] for part in sections(record.data, header)])
    with pytest.raises(CorruptRecord, match="cannot hold a tensor"):
        decode([forged], profile)


def certain() -> Profile:
    """Weights that make a latent of zeros, under tables that all but know it."""
    whole = weights("hyperprior")
    tensors = {name: tensor * 0 if name.startswith("net.g_a") else tensor for name, tensor in whole.tensors.items()}
    tensors |= {name: tensor for name, tensor in whole.tensors.items() if name.endswith(".beta")}
    tensors |= {name: tensor * 0 for name, tensor in whole.tensors.items() if ".h_" in name and "bias" in name}
    tensors["medians"] = torch.zeros(8)
    for name in ("hyper", "latent"):
        cdf = torch.arange(11, dtype=torch.int32).expand(len(tensors[f"{name}_cdf"]), 11).clone()
        cdf[:, 5:] += (1 << 16) - 10
        tensors[f"{name}_cdf"] = cdf
    return Profile("hyperprior", whole.config, tensors)


def test_the_coder_gives_back_what_it_was_given_piece_by_piece() -> None:
    draw = np.random.default_rng(1)
    indexes = draw.integers(0, 5, 5000).astype(np.int32)
    values = np.rint(draw.standard_normal(5000) * 9).astype(np.int32)
    values[::97] = draw.integers(-(1 << 26), 1 << 26, len(values[::97]))
    writer = Writer()
    for first, last in pairwise((0, 1, 700, 5000)):
        writer.push(values[first:last], indexes[first:last], cdfs())
    data = writer.finish()
    reader = Reader(memoryview(data))
    read = [reader.pull(indexes[first:last], cdfs()) for first, last in pairwise((0, 333, 334, 5000))]
    reader.finish()
    assert np.array_equal(np.concatenate(read), values)
    for length in (0, 4, 8, len(data) - 4):
        with pytest.raises(CorruptRecord):
            short = Reader(memoryview(data[:length]))
            short.pull(indexes, cdfs())
            short.finish()


def test_the_coder_reads_noise_without_harm() -> None:
    draw = np.random.default_rng(2)
    indexes = np.zeros(4000, np.int32)
    failed = 0
    for _ in range(200):
        data = draw.integers(0, 256, 4 * draw.integers(2, 60), dtype=np.uint8).tobytes()
        try:
            reader = Reader(memoryview(data))
            reader.pull(indexes, cdfs())
            reader.finish()
        except CorruptRecord:
            failed += 1
    assert failed == 200


def test_bits_of_the_codebook_may_be_others() -> None:
    for bits in (1, 4, 10):
        few = fit("hyperprior", [feature(90, 64, -1)], weights=weights("hyperprior"), bits=bits)
        decoded = decode([encode([feature(70, 64, 1)], few)[0].data], few)[0]
        assert decoded.unique().numel() <= 1 << bits
    with pytest.raises(UnsupportedInput):
        fit("hyperprior", [feature(90, 64, -1)], weights=weights("hyperprior"), levels=[0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "context", [[[8, 8]], [[8, 8, 8], [8, 8]], [[8, 8], [8, 0]], [[8, 8], [8, 5000]], [[8, 8], [8, True]], "ab", []]
)
def test_widths_that_no_channel_context_has_are_refused(context: object) -> None:
    whole = weights("elic")
    with pytest.raises(CodecError, match=r"context=.* for 3 groups"):
        model_of(Profile("elic", {**whole.config, "context": context}, whole.tensors))


def test_widths_are_in_the_config_unless_they_are_those_of_older_profiles() -> None:
    older = drawn_weights(replace(SIZES["elic"], context=((224, 128), (224, 128))))
    assert "context" not in older.config
    assert weights("elic").config["context"] == [[8, 8], [8, 10]]
    for made in (older, weights("elic")):
        assert LearnedOptions.of(made.config).to_json() == made.config
        assert fit("elic", [feature(90, 64, -1)], weights=made).config.get("context") == made.config.get("context")
    with pytest.raises(CodecError, match=r"channel.1.0.weight' must be .*\(224, 2, 5, 5\).* has .*\(8, 2, 5, 5\)"):
        bare = {name: value for name, value in weights("elic").config.items() if name != "context"}
        model_of(Profile("elic", bare, weights("elic").tensors))

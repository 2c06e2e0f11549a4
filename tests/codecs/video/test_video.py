"""Codecs vvc and hevc: one plane, ten bits, one intra frame."""

import numpy as np
import pytest
import torch

from lamofc_codecs import BadQuality, CodecError, CorruptRecord, Quality, UnsupportedInput, decode, encode, fit
from lamofc_codecs.published.truncation import TRUNCATION, published_range
from lamofc_codecs.record.framing import inspect, pack, sections
from lamofc_codecs.testing.conformance import CodecConformance
from lamofc_codecs.testing.samples import feature, picture
from lamofc_codecs.video.codec import Hevc, Vvc

pytest.importorskip("imageio_ffmpeg")


class TestVvc(CodecConformance):
    codec = "vvc"
    quality = Quality(qp=10)
    options = {"preset": "faster"}  # noqa: RUF012
    noise = 0.2


class TestHevc(CodecConformance):
    codec = "hevc"
    quality = Quality(qp=10)
    options = {"preset": "faster"}  # noqa: RUF012
    noise = 0.2


@pytest.mark.parametrize("codec", ["vvc", "hevc"])
def test_finer_quantisation_costs_more_and_errs_less(codec: str) -> None:
    source = picture(16, 16, 64, 1)
    profile = fit(codec, [picture(16, 16, 64, 2)], preset="faster")
    found = [encode([source], profile, quality=Quality(qp=qp))[0] for qp in (42, 32, 22)]
    assert [len(record.data) for record in found] == sorted(len(record.data) for record in found)
    assert found[0].sse > 3 * found[1].sse > 9 * found[2].sse > 0


def test_values_are_cut_off_to_the_range_and_lie_on_its_levels() -> None:
    source = picture(16, 16, 64, 1)
    source = source / source.abs().max() * 8
    profile = fit("vvc", [source], Quality(qp=4), truncation="csr", preset="faster")
    assert profile.config["range"] == [-5.0, 5.0]
    record = encode([source], profile)[0]
    decoded = decode([record.data], profile)[0]
    assert record.codec == "vvc"
    levels = (decoded.to(torch.float64) + 5) / (10 / 1023)
    assert float((levels - levels.round()).abs().max()) < 1e-3
    assert float((decoded - source.clamp(-5, 5)).abs().max()) < 0.2


def test_the_published_rounding_is_downwards() -> None:
    source, step = picture(16, 16, 64, 1), 10 / 1023
    source = (source / source.abs().max() * 4 / step).round() * step + 0.2 * step
    means = []
    for rounding in ("nearest", "floor"):
        profile = fit("vvc", [source], Quality(qp=4), range=(-5.0, 5.0), rounding=rounding, preset="faster")
        decoded = decode([encode([source], profile)[0].data], profile)[0]
        means.append(float((decoded - source).mean()) / step)
    assert means[0] - means[1] == pytest.approx(1.0, abs=0.05)


def test_features_side_by_side_are_one_frame() -> None:
    """LaMoFC's four layers, each cut off to its own range, as 1611 x 2 rows of 4 x 1536 columns are there."""
    names = [f"dpt.{layer}" for layer in range(4)]
    sample = {name: picture(16, 8, 24, layer) * (layer + 1) for layer, name in enumerate(names)}
    profile = fit("vvc", [sample], Quality(qp=4), features=names, truncation="vtm", rounding="floor", preset="faster")
    assert profile.config["range"] == [[-1.0, 1.0], [-2.0, 2.0], [-10.0, 10.0], [-20.0, 20.0]]
    (record,) = encode([sample], profile)
    decoded = decode([record.data], profile)
    packed, steps = [], []
    for (low, high), name, own, part in zip(profile.config["range"], names, decoded, record.parts, strict=True):
        packed.append(np.floor((sample[name].numpy().clip(low, high).astype(np.float64) - low) / (high - low) * 1023))
        steps.append((own.numpy().astype(np.float64) - low) / (high - low) * 1023)
        assert part.sse == pytest.approx(float((own - sample[name]).double().square().sum()), rel=1e-5)
    whole, there = np.concatenate(packed, 1), np.concatenate(steps, 1)
    assert whole.shape == (128, 96)
    assert np.abs(there - np.rint(there)).max() < 0.02
    assert np.sqrt(np.mean((there - whole) ** 2)) < 8
    assert torch.equal(decode([record.data], profile, parts=[3])[0], decoded[3])
    own = fit("vvc", [sample], Quality(qp=4), preset="faster").config["range"]
    assert len(own) == 4 and own[3][1] > own[0][1]


def test_what_no_stream_is_shorter_than_is_left_as_it_is() -> None:
    source = feature(64, 64, 1)
    record = encode([source], fit("vvc", [source], Quality(qp=1), truncation="csr", preset="faster"))[0]
    assert (record.codec, record.sse) == ("raw", 0.0)


@pytest.mark.parametrize(("kind", "most"), [(Vvc, 100), (Hevc, 120)])
def test_what_the_container_takes_is_measured(kind: type[Vvc], most: int) -> None:
    profile = fit(kind.id, [picture(16, 16, 64, 2)], preset="faster")
    stream = bytes(sections(*_with_header(encode([picture(16, 16, 64, 1)], profile)[0].data))[0])
    assert 40 < kind.overhead(stream) < most < len(stream)
    assert b"warning" not in stream
    assert kind.overhead(b"") == 0


def _with_header(data: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return data, inspect(data)


def test_a_frame_of_another_size_is_refused() -> None:
    profile = fit("vvc", [feature(64, 64, 1)], preset="faster")
    for tokens in (128, 8):
        data = encode([feature(64, 64, 1)], profile)[0].data
        header = inspect(data)
        other = inspect(encode([feature(tokens, 64, 1)], profile)[0].data)
        forged = pack(header.number, header.profile, other.grid, [[bytes(part)] for part in sections(data, header)])
        with pytest.raises(CorruptRecord, match=r"frame|refused"):
            decode([forged], profile)


@pytest.mark.parametrize("codec", ["vvc", "hevc"])
def test_a_large_plane_of_one_level_is_read_again(codec: str) -> None:
    draw = torch.Generator().manual_seed(1)
    source = 1.0005 + 0.0002 * torch.rand(2048, 3072, generator=draw, dtype=torch.float64)
    profile = fit(codec, [feature(64, 3072, 1)], Quality(qp=50), range=(0.0, 3.0), preset="faster")
    record = encode([source], profile)[0]
    assert record.codec == codec
    assert len(record.data) < source.nbytes / (1 << 14)
    assert float((decode([record.data], profile)[0] - source).abs().mean()) < 0.05


def test_papers_ranges() -> None:
    assert published_range("dpt.4") == (-20.0, 20.0)
    assert published_range("hyperprior.cls") == (-5.0, 5.0)
    assert set(TRUNCATION["vtm"]) == set(TRUNCATION["hyperprior"])
    with pytest.raises(UnsupportedInput, match="truncation='nowhere'"):
        fit("vvc", [feature(10, 4, 1)], truncation="nowhere")


def test_uniform_takes_the_papers_ranges_at_ten_bits() -> None:
    source = feature(50, 8, 1)
    profile = fit("uniform", [source], truncation="csr")
    assert (profile.config["bits"], profile.config["range"]) == (10, [-5.0, 5.0])
    decoded = decode([encode([source], profile)[0].data], profile)[0].numpy()
    grid = np.linspace(-5, 5, 1024)
    expected = grid[np.abs(np.clip(source.numpy(), -5, 5)[..., None] - grid).argmin(-1)]
    assert np.abs(decoded - expected).max() < 1e-5
    with pytest.raises(UnsupportedInput, match="beside a truncation"):
        fit("uniform", [source], truncation="csr", range=(0.0, 1.0))


@pytest.mark.parametrize(
    "options", [{"preset": "slowest"}, {"range": (1.0, 1.0)}, {"range": (0.0, float("inf"))}, {"rounding": "up"}]
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        fit("vvc", [feature(10, 4, 1)], **options)


def test_bad_qps_are_refused() -> None:
    profile = fit("vvc", [feature(40, 40, 1)])
    for qp in (-1, 64, 22.5):
        with pytest.raises(BadQuality, match="qp="):
            encode([feature(40, 40, 1)], profile, quality=Quality(qp=qp))

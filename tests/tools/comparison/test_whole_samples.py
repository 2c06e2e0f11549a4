"""Whole samples, ratios of sums and records larger than lossless ones, in `lamofc bench`: each figure a second way."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from safetensors.torch import save_file

from lamofc_codecs import Sizes, fit
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_tools.comparison import Choice, SampleSplit, gpu_memory, list_points, measure, split_source, whole_samples
from lamofc_tools.plots import draw_rates

Lamofc: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples of different lengths, with one feature of half precision and one of full."""
    folder = tmp_path_factory.mktemp("features")
    for number in range(8):
        draw = torch.Generator().manual_seed(number)
        a = torch.randn(20 + 15 * number, 16, generator=draw)
        save_file({"a": a.half(), "b": a[:12, :8].contiguous()}, folder / f"s{number}.safetensors")
    return folder


def tensors(splits: list[SampleSplit]) -> dict[tuple[str, str], torch.Tensor]:
    named = [(split, name, tensor) for split in splits for name, tensor in zip(split.samples, split.test, strict=True)]
    return {(name, split.feature): tensor for split, name, tensor in named}


def test_a_whole_sample_is_all_of_its_tensors(source: Path) -> None:
    splits = split_source(str(source), Choice())
    points = list_points(["uniform", "lloydmax:bits=4"], ["snr_db=10"], [])
    measurements = [measure(point, split) for split in splits for point in points]
    found = whole_samples(measurements)
    assert [(one.coder, one.setting, one.samples) for one in found] == [
        ("uniform", "snr_db=10", 2),
        ("lloydmax:bits=4", "", 2),
    ]
    given = tensors(splits)
    for point, whole in zip(points, found, strict=True):
        coders = {split.feature: point.make(split) for split in splits}
        bits, payload, of_32, errors, elements = ([0.0, 0.0] for _ in range(5))
        for (name, feature), tensor in given.items():
            at, coder = splits[0].samples.index(name), coders[feature]
            data = coder.encode(tensor)
            bits[at] += 8 * len(data)
            payload[at] += coder.payload(data)
            of_32[at] += 8 * len(data) * 4 / tensor.element_size()
            errors[at] += float((tensor.double() - coder.decode(data, tensor).double()).square().sum())
            elements[at] += tensor.numel()

        def mean(values: list[float], counts: list[float] = elements) -> float:
            return sum(value / count for value, count in zip(values, counts, strict=True)) / len(values)

        assert whole.bpfp == pytest.approx(mean(bits))
        assert whole.payload_bpfp == pytest.approx(mean(payload))
        assert whole.ebpfp == pytest.approx(mean(of_32))
        assert whole.mse == pytest.approx(mean(errors), rel=1e-5)
        assert whole.pooled_bpfp == pytest.approx(sum(bits) / sum(elements))
        assert whole.pooled_payload_bpfp == pytest.approx(sum(payload) / sum(elements))
        assert whole.pooled_mse == pytest.approx(sum(errors) / sum(elements), rel=1e-5)
        assert whole.pooled_bpfp != pytest.approx(whole.bpfp, rel=1e-3)
        profiles = sum(coder.profile_bytes for coder in coders.values())
        assert whole.profile_bpfp == pytest.approx(8 * profiles / (10_000 * sum(elements) / 2))
    assert whole_samples([one for one in measurements if one.feature == "a"]) == []


def test_samples_that_lack_a_feature_are_no_whole_samples(source: Path) -> None:
    point = list_points([], [], ["float16"])[0]
    first, second = (measure(point, split) for split in split_source(str(source), Choice()))
    less = replace(second, each=second.each[1:], samples=1)
    assert [one.sample for one in whole_samples([first, less])[0].each] == [second.each[1].sample]
    assert whole_samples([first, replace(second, each=(), samples=0)]) == []


def test_records_larger_than_lossless_ones_are_said_and_in_no_curve(
    lamofc: Lamofc, source: Path, tmp_path: Path
) -> None:
    """A network that is not trained needs more bits than the lossless codec for two values, and is set aside."""
    folder = tmp_path / "binary"
    folder.mkdir()
    for number in range(8):
        draw = torch.Generator().manual_seed(number)
        save_file({"a": (torch.randn(40, 16, generator=draw) > 1.5).half()}, folder / f"s{number}.safetensors")
    drawn_weights(Sizes("hyperprior", 8, 12)).save(tmp_path / "w.safetensors")
    words = ("bench", folder, "--codec", f"hyperprior:weights={tmp_path}/w.safetensors", "--codec", "uniform")
    options = ("--quality", "snr_db=5", "--peer", "float16", "--png", tmp_path / "p.png")
    pytest.importorskip("matplotlib")
    ran = lamofc(*words, *options)
    network = next(line for line in ran.out.splitlines() if line.startswith("hyperprior"))
    assert "2 of 2 raw" in network
    assert "Such points are in no curve." in ran.out
    assert (tmp_path / "p.png").stat().st_size > 1000
    points = lamofc(*words, *options[:-2], "--store", tmp_path / "runs", "--json").document["points"]
    assert [(point["coder"].partition(":")[0], point["in_curve"]) for point in points] == [
        ("hyperprior", False),
        ("uniform", points[1]["fallbacks"] == 0),
        ("float16", True),
    ]
    assert points[0]["mse"] == 0
    again = lamofc(*words, *options[:-2], "--store", tmp_path / "runs", "--json").document["points"]
    assert again == points


def test_a_coder_that_expands_is_in_no_curve(source: Path) -> None:
    split = SampleSplit("tiny", [torch.randn(64, 8)], [torch.randn(2, 3)], ["s"])
    found = measure(list_points(["raw"], [], [])[0], split)
    assert (found.expanded, found.fallbacks, found.in_curve) == (1, 0, False)


def test_a_plot_leaves_points_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    axes = pytest.importorskip("matplotlib.axes")
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr(axes.Axes, "plot", lambda self, x, y, **style: drawn.append((style["label"], *x, *y)))
    monkeypatch.setattr(axes.Axes, "legend", lambda self, **style: None)
    row = {"feature": "a", "coder": "net", "snr_db": 5.0, "total": 1.0, "in_curve": True}
    draw_rates(
        [row, {**row, "snr_db": 300.0, "in_curve": False}, {**row, "feature": "b", "in_curve": False}],
        tmp_path / "p.png",
    )
    assert drawn == [("net", 5.0, 1.0)]


def test_without_a_gpu_its_memory_is_null_and_that_is_said(lamofc: Lamofc, source: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    words = ("bench", source, "--feature", "a", "--peer", "float16", "--memory")
    assert "There is no GPU here" in lamofc(*words).out
    document = lamofc(*words, "--json").document
    assert document["gpu"] is None
    assert document["points"][0]["encode_gpu_bytes"] is None
    assert gpu_memory(fit("raw", [torch.randn(4, 4)]), torch.randn(4, 4)) == {}


@pytest.mark.gpu
def test_memory_of_a_gpu_holds_weights_and_planes() -> None:
    tensor = torch.randn(256, 256)
    profile = fit("hyperprior", [tensor], weights=drawn_weights(Sizes("hyperprior", 128, 192)))
    peaks = gpu_memory(profile, tensor)
    assert set(peaks) == {"encode_gpu_bytes", "decode_gpu_bytes"}
    assert all(tensor.nbytes < peak < 2**32 for peak in peaks.values())

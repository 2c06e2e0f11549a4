"""The figures of `tools/bench rate`, worked out another way."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_tools import plots
from lamofc_tools.benchmarks.codecs import rate


def _sample(seed: int, channels: int = 24) -> torch.Tensor:
    mixing = torch.randn(channels, channels, generator=torch.Generator().manual_seed(1))
    return torch.randn(60, channels, generator=torch.Generator().manual_seed(seed)) @ mixing


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(12):
        save_file({"a": _sample(number), "b": 2 * _sample(number)[:, :8]}, folder / f"{number:02d}.safetensors")
    return folder


def test_every_figure_is_that_of_the_records(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rate.BENCHMARK.main([str(source), "--aims", "12", "--feature", "a"]) == 0
    shown = capsys.readouterr().out
    document = json.loads(shown.splitlines()[-1])
    rows = {row["coder"]: row for row in document["rows"]}
    assert {"uniform", "plain", "klt, no means", "klt", "lloydmax"} <= set(rows)
    train, test = [_sample(number) for number in range(9)], [_sample(number) for number in range(9, 12)]
    profile = fit("klt", train, Quality(snr_db=12))
    records = encode(test, profile)
    elements = sum(tensor.numel() for tensor in test)
    assert rows["klt"]["stored"] == pytest.approx(8 * sum(len(record.data) for record in records) / elements)
    assert rows["klt"]["profile"] == pytest.approx(8 * len(profile.data) / (10_000 * 60 * 24))
    middle = torch.cat(train).mean(0)
    decoded = decode([record.data for record in records], profile)
    shares = [
        float((found - tensor).square().sum() / (tensor - middle).square().sum())
        for found, tensor in zip(decoded, test, strict=True)
    ]
    assert rows["klt"]["snr_db"] == pytest.approx(-10 * np.log10(np.mean(shares)), abs=0.01)
    assert rows["klt"]["snr_db"] == pytest.approx(12, abs=0.2)
    total = {name: row["stored"] + row["profile"] for name, row in rows.items()}
    assert rows["klt"]["factor"] == pytest.approx(total["klt"] / total["plain"])
    assert document["means"]["klt at 12 dB"] == pytest.approx(rows["klt"]["factor"])
    assert f"{rows['klt']['stored']:.4f}" in shown


def test_groups_and_samples_held_out_by_a_column(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rate.BENCHMARK.main([str(source), "--aims", "12", "--group", "*"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [row["coder"] for row in rows] == ["plain", "klt, no means", "klt"]
    assert rows[2]["payload"] < rows[0]["payload"]


def test_too_few_samples_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"a": _sample(1)}, tmp_path / "one.safetensors")
    assert rate.BENCHMARK.main([str(tmp_path)]) == 1
    assert "0 samples to fit on, 1 to test" in capsys.readouterr().err


def test_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    row = {"feature": "a", "coder": "klt", "snr_db": 10.0, "total": 1.0}
    plots.draw_rates([row, {**row, "snr_db": 20.0, "total": 2.5}], tmp_path / "rate.png")
    assert (tmp_path / "rate.png").read_bytes()[:4] == b"\x89PNG"

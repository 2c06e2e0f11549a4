"""The benchmarks of levels and of tiles, on little."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from lamofc_codecs import Sizes
from lamofc_codecs.testing.samples import drawn_weights, feature
from lamofc_tools.benchmarks.codecs import levels, tiles


def test_ours_errs_least_and_floor_most(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    numbers = (np.sinh(np.linspace(-6, 6, 256)) * 2).tolist()
    (tmp_path / "list.json").write_text(json.dumps(numbers))
    assert levels.BENCHMARK.main([str(tmp_path / "list.json"), "--values", "15000", "--rounds", "1"]) == 0
    rows = {row["how"]: row for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]}
    ours, given = rows["lloydmax"], rows["the levels given"]
    assert ours["nearest"] <= rows["KMeans, n_init=auto"]["nearest"]
    assert ours["nearest"] < given["nearest"]
    assert 3.5 < given["floor"] / given["nearest"] < 6


def test_values_are_sampled_to_match_the_levels() -> None:
    numbers = (np.sinh(np.linspace(-4, 4, 256)) * 2).astype(np.float32)
    values = levels.sample_values(numbers, 200_000)
    # Where the best levels lie, each cell has about the same share of the error: count times width squared.
    gaps, counts = np.diff(numbers), np.histogram(values, numbers)[0]
    share = (counts * gaps**2)[counts > 400]
    assert len(share) > 60
    assert share.min() > 0.7 * share.mean()
    assert share.max() < 1.4 * share.mean()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident sets are read from /proc")
def test_tiles(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number in range(4):
        save_file({"x": feature(50, 48, number)}, tmp_path / f"{number}.safetensors")
    drawn_weights(Sizes("hyperprior", 8, 12)).save(tmp_path / "w.weights")
    words = [str(tmp_path), str(tmp_path / "w.weights"), "--tiles", "64,0", "--tokens", "80", "--channels", "120"]
    assert tiles.BENCHMARK.main(words) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["source_bytes"] == 2 * 80 * 120 * 4
    assert [(row["tile"], row["codec"]) for row in found["rows"]] == [(64, "hyperprior"), (0, "hyperprior")]
    assert all(row["bpfp"] > 0 and row["encode_bytes"] > 0 for row in found["rows"])

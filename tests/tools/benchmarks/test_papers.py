"""The papers' codecs trained and compared, on little: everything but the hours."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from lamofc_codecs import Sizes
from lamofc_codecs.testing.samples import picture
from lamofc_tools.benchmarks.learning import papers
from tests.extras import needs

pytestmark = [needs("compressai"), needs("imageio_ffmpeg")]


@pytest.mark.slow
def test_it_trains_compares_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    small = {"hyperprior": Sizes("hyperprior", 8, 16), "elic": Sizes("elic", 8, 16, (4, 12))}
    monkeypatch.setattr(papers, "SIZES", small)
    monkeypatch.setattr(papers, "CROP", (64, 64))
    monkeypatch.setattr(papers, "QUALITIES", ("snr_db=5", "qp=32"))
    source, folder = tmp_path / "source", tmp_path / "kept"
    source.mkdir()
    for number in range(16):
        save_file({"x": picture(8, 8, 64, number)}, source / f"{number:02}.safetensors")
    words = [str(source), str(folder), "--scale", "0.001", "--test-samples", "2"]
    assert papers.BENCHMARK.main(words) == 0
    found = json.loads((folder / "results.json").read_text())
    assert [(point["coder"], point["setting"]) for point in found["points"]] == [
        ("klt", "snr_db=5"),
        ("uniform", "snr_db=5"),
        ("vvc", "qp=32"),
        ("hevc", "qp=32"),
        *((arch, f"lambda={value}") for arch in small for value in ("0.001", "0.02", "0.004") if arch == "hyperprior"),
        *(("elic", f"lambda={value}") for value in ("0.02", "0.004", "0.001")),
    ]
    assert [point["of_reference"] is None for point in found["points"]] == [True] + [False] * 9
    assert [stage["compared"] for stage in found["training"]].count(True) == 6
    assert (folder / "results.png").stat().st_size > 10_000
    capsys.readouterr()
    assert papers.BENCHMARK.main(words) == 0  # nothing is left to do: not even times differ
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == found

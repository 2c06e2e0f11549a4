"""The figures of `tools/bench gpu`, measured where there is no GPU: by the same array operations on the CPU."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs.runtime import devices
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.codecs import gpu


def test_its_last_line_is_json_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--device", "cpu", "--rounds", "1", "--aims", "3,60", "--shapes", "tiny", "--batch", "8", "--save"]
    with (
        patch.object(synthetic, "TOKENS", 48),
        patch.object(synthetic, "COMPONENTS", 20),
        patch.object(synthetic, "SHAPES", {"tiny": 32}),
        patch.object(devices, "ACCELERATORS", ("cpu",)),
        patch.object(gpu, "RESULTS", tmp_path / "results"),
        patch.object(gpu, "hyperprior_speed", lambda *given: 0.5),
    ):
        assert gpu.BENCHMARK.main(given) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert json.loads((tmp_path / "results/gpu-the-cpu.json").read_text()) == document
    reached, missed = document["rows"]
    size = 8 * 48 * 32 * 4
    seconds = size / 1e9 / reached["decode_gb_s"] + size / 1e9 / reached["encode_gb_s"]
    assert reached["b_max_gbit_s"] == pytest.approx((8 * size - reached["bits"] * size / 4) / seconds / 1e9)
    assert reached["hyperprior_gb_s"] == 0.5
    assert missed["missed"] == "20 columns are too few"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.BENCHMARK.main([]) == 1
    assert capsys.readouterr().err == "error: there is no CUDA device here\ntry: tools/bench cpu\n"

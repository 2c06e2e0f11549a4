"""`tools/bench small` measures records of texts, of a source or drawn."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lamofc_tools.benchmarks.codecs import small


@pytest.mark.parametrize("drawn", [True, False])
def test_every_feature_has_a_row_for_each_ratio(
    drawn: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "_FITTED", 4)
    monkeypatch.setattr(small, "_MEASURED", 2)
    for number in range(8):
        noise = torch.randn(12, 16, generator=torch.Generator().manual_seed(number))
        save_file({"hidden": noise.cumsum(0)}, tmp_path / f"{number}.safetensors")
    words = [] if drawn else [str(tmp_path)]
    assert small.BENCHMARK.main([*words, "--rounds", "1", "--aims", "5,20"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [(row["feature"], row["aim_db"]) for row in rows] == [
        ("synthetic" if drawn else "hidden", db) for db in (5, 20)
    ]
    assert rows[0]["record_bytes"] < rows[1]["record_bytes"]
    assert all(min(row["together_ms"], row["single_ms"], row["encode_ms"]) > 0 for row in rows)

"""The memory of one large tensor, on a small one."""

from pathlib import Path

import numpy as np
import pytest

from lamofc_tools.benchmarks.store import large


def test_a_tensor_is_ingested_and_read_by_processes_that_tell_their_peaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large, "_CHANNELS", 64)
    (tmp_path / "source").mkdir()
    size = large.write_tensor(tmp_path / "source" / "tensor.npy", 0.001)
    assert abs(size - 1_000_000) <= 128
    assert np.load(tmp_path / "source" / "tensor.npy").astype(np.float32).std() > 0.5
    rows = list(large.rows_of(tmp_path, ["raw"], size))
    assert [row["verb"] for row in rows] == ["ingest", "read"]
    assert all(0.05 < row["beside_gb"] < 4 and row["peak_gb"] > row["beside_gb"] for row in rows)

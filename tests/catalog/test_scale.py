"""The budgets of the catalog at ten million rows, which takes minutes, and its benchmark at two hundred."""

import json
from pathlib import Path
from typing import Any

import pytest

from lamofc_tools.benchmarks.store import catalog
from lamofc_tools.benchmarks.store.catalog import BENCHMARK, BUDGETS


@pytest.mark.scale
@pytest.mark.timeout(1800)
def test_budgets_hold_at_ten_million_rows(tmp_path: Path, capsys: Any) -> None:
    BENCHMARK.main(["--records", "10000000", "--commits", "1000", "--folder", str(tmp_path)])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: result[name] for name, budget in BUDGETS.items() if result[name] > budget} == {}


def test_the_benchmark_runs_small(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge, a tail, and a process of its own that measures; every figure is there."""
    monkeypatch.setattr(catalog, "MERGE_EVERY", 4)
    monkeypatch.setenv(
        "PYTHONPATH", ":".join(str(Path(__file__).parents[2] / root) for root in (".", "catalog", "tools"))
    )
    BENCHMARK.main(["--records", "200", "--commits", "5", "--ids", "hashed", "--folder", str(tmp_path)])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["runs"], result["tail"]) == (1, 1)
    assert set(BUDGETS) < set(result)

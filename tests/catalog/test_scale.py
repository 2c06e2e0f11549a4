"""The budgets at ten million rows: minutes long, by hand or from the long check."""

import json
from pathlib import Path
from typing import Any

import pytest

from lamofc_tools.benchmarks.store.catalog import BENCHMARK, BUDGETS


@pytest.mark.scale
@pytest.mark.timeout(1800)
def test_budgets_hold_at_ten_million_rows(tmp_path: Path, capsys: Any) -> None:
    BENCHMARK.main(["--records", "10000000", "--commits", "1000", "--folder", str(tmp_path)])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: found[name] for name, budget in BUDGETS.items() if found[name] > budget} == {}


def test_the_benchmark_runs_small(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand rows in seventy commits: a merge, a tail, and every measure is there."""
    monkeypatch.setenv(
        "PYTHONPATH", ":".join(str(Path(__file__).parents[2] / root) for root in (".", "catalog", "tools"))
    )
    BENCHMARK.main(["--records", "2100", "--commits", "70", "--ids", "hashed", "--folder", str(tmp_path)])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["runs"], found["tail"]) == (1, 6)
    assert set(BUDGETS) < set(found)

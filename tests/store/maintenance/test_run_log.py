"""Runs and their metrics in the catalog."""

from pathlib import Path

import pytest

from lamofc_store import Metric, add_run
from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument, ReadOnly


def test_a_run_is_committed_with_its_metrics_and_outlives_a_checkpoint(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    with open_store(url, "a") as store:
        found = [Metric("bpp", 0.5, step=1), Metric("bpp", 0.25, step=2), Metric("mse", 3, "layer.1")]
        run = add_run(store, "bench", "mine", {"b": 1, "a": [2]}, found, seconds=2.5)
        others = [add_run(store, "bench", str(number), {}, []) for number in range(70)]
        assert len({run, *others}) == 71
    with open_store(url) as again:
        rows = again.sql("SELECT kind, name, config, seconds FROM runs WHERE run = ?", [run]).fetchall()
        assert rows == [("bench", "mine", '{"a": [2], "b": 1}', 2.5)]
        query = "SELECT name, value, feature, step FROM metrics WHERE run = ? ORDER BY name, step"
        assert again.sql(query, [run]).fetchall() == [
            ("bpp", 0.5, None, 1),
            ("bpp", 0.25, None, 2),
            ("mse", 3.0, "layer.1", None),
        ]
        assert again.sql("SELECT started <= now()::TIMESTAMP FROM runs").fetchall() == [(True,)] * 71
        assert again.log()[0]["verb"] == "run"
        with pytest.raises(ReadOnly):
            add_run(again, "bench", "mine", {}, [])


def test_a_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "store"), "a") as store, pytest.raises(BadArgument, match="is no JSON"):
        add_run(store, "bench", "mine", {"path": tmp_path}, [])

"""Sweeps of a language model: one list varies at a time, each metric is measured once and kept in a file of its own."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from lamofc_tools.benchmarks.learning import llm
from lamofc_tools.benchmarks.learning.replayed import swept_model
from lamofc_tools.benchmarks.learning.replayed.swept_model import Setting, Sweep
from lamofc_tools.consumer import ModelMetric, measure_metric
from tests.tools.benchmarks.test_llm import arguments

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def test_a_sweep_varies_one_list_at_a_time() -> None:
    sweep = Sweep.of([2, 4], [64, 192], [10, 200])
    assert sweep.settings == [
        Setting(2, 192, 120),
        Setting(4, 64, 120),
        Setting(4, 192, 120),
        Setting(4, 192, 10),
        Setting(4, 192, 200),
    ]
    assert sweep.varying == ["block", "tokens", "fit_texts"]
    assert (sweep.metric_setting.tokens, sweep.metric_setting.fit_texts) == (192, 200)
    alone = Sweep.of([3], [8], [5])
    assert (alone.settings, alone.varying, alone.metric_setting) == ([Setting(3, 8, 5)], [], Setting(3, 8, 5))
    assert Sweep.of([3], [16, 8], [5]).metric_setting == Setting(3, 16, 5)


def test_rows_of_a_sweep_name_their_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*arguments(tmp_path, "0,1"), "--codecs", "klt for model", "--scopes", "all", "--fit-count", "8"]
    assert llm.BENCHMARK.main([*words, "--metric", str(tmp_path / "metric-{block}.safetensors")]) == 0
    for block in (0, 1):
        assert ModelMetric.load(tmp_path / f"metric-{block}.safetensors").consumer == f"gemma3@{block}"
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["block", "codec"]
    document = json.loads(lines[-1])
    places = dict.fromkeys((row["block"], row["tokens"], row["fit_texts"]) for row in document["rows"])
    assert list(places) == [(0, 16, 8), (1, 16, 8)]
    assert [(one["block"], one["tokens"], one["fit_texts"]) for one in document["bits_at"]] == list(places)


def test_a_metric_is_measured_once_for_all_lengths(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*arguments(tmp_path, tokens="8,16"), "--codecs", "klt for model", "--scopes", "all"]
    with pytest.MonkeyPatch.context() as patch:
        measured = Mock(side_effect=measure_metric)
        patch.setattr(swept_model, "measure_metric", measured)
        assert llm.BENCHMARK.main(words) == 0
    assert measured.call_count == 1 and measured.call_args.args[1].prefix == 8
    assert {row["tokens"] for row in json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]} == {8, 16}


def test_one_file_for_several_metrics_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*arguments(tmp_path, "0,1"), "--codecs", "int8"]
    assert llm.BENCHMARK.main([*words, "--metric", str(tmp_path / "metric.safetensors")]) == 2
    error = capsys.readouterr().err
    assert "for the metrics of blocks 0, 1" in error and "metric-{block}.safetensors" in error

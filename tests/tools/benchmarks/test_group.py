"""The figures of `tools/bench group` are those of one group, and its stages are places that the codec has."""

import argparse
import importlib
import json
import time
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import Quality, fit
from lamofc_codecs.testing import feature
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.codecs import group, group_features
from lamofc_tools.benchmarks.learning.replayed.swept_model import Setting, SweptModel
from lamofc_tools.benchmarks.stage_clock import OTHER, Stage, StageClock
from lamofc_tools.consumer import ModelMetric, Passages, Split, find_rotary
from lamofc_tools.models import open_model
from tests.tools.models import tiny_models

PLACES = sorted({place for stages in group.STAGES.values() for stage in stages for place in stage.places})


@pytest.mark.parametrize("place", PLACES)
def test_a_place_of_a_stage_is_there(place: str) -> None:
    module, _, function = place.partition(":")
    found = importlib.import_module(f"lamofc_codecs.{module}")
    if function:
        names = [value.__code__ for value in vars(found).values() if isinstance(value, FunctionType)]
        names += [
            member.__code__
            for value in vars(found).values()
            if isinstance(value, type)
            for member in vars(value).values()
            if isinstance(member, FunctionType)
        ]
        assert function in {code.co_name for code in names if isinstance(code, CodeType)}


def test_a_place_belongs_to_one_stage_of_a_verb() -> None:
    for stages in group.STAGES.values():
        places = [place for stage in stages for place in stage.places]
        assert len(places) == len(set(places))


def outer() -> None:
    time.sleep(0.02)
    inner()
    time.sleep(0.02)


def inner() -> None:
    time.sleep(0.06)


def test_time_belongs_to_the_innermost_stage() -> None:
    package, _, module = __name__.partition(".")
    stages = Stage("outside", (f"{module}:outer",)), Stage("inside", (f"{module}:inner",))
    shares = StageClock(package, stages).shares(outer)
    assert shares["inside"] == pytest.approx(0.6, abs=0.15)
    assert shares["outside"] == pytest.approx(0.4, abs=0.15)
    assert sum(shares.values()) == pytest.approx(1)
    whole = Stage("outside", (f"{module}:outer",), with_callees=True)
    assert StageClock(package, (whole, stages[1])).shares(outer)["outside"] == pytest.approx(1, abs=0.05)
    assert StageClock("other_package", stages).shares(outer)[OTHER] == 1


def test_the_clock_stops_where_the_work_fails() -> None:
    def failing() -> None:
        raise ValueError("failed")

    clock = StageClock("lamofc_codecs", ())
    with pytest.raises(ValueError, match="failed"):
        clock.shares(failing)
    assert clock.shares(lambda: None) == {OTHER: 1}


def test_parts_of_a_profile_are_all_of_its_bytes() -> None:
    profile = fit("klt", [feature(60, 24, 1)], Quality(snr_db=10))
    parts = group.profile_parts(profile)
    assert sum(parts.values()) == len(profile.data)
    assert parts["basis"] == 24 * 24


def test_its_last_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    widths = {"layer.0.k_cache": 24, "layer.0.output": 40, "layer.0.v_cache": 24}
    arguments = ["--synthetic", "--samples", "8", "--coded", "8", "--tokens", "30", "--fits", "1", "--rounds", "1"]
    with patch.object(group_features, "DRAWN_WIDTHS", widths), patch.object(synthetic, "TOKENS", 64):
        assert group.BENCHMARK.main(arguments) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["channels"], document["fit_samples"], document["coded_samples"]) == (88, 8, 8)
    rows = {row["verb"]: row for row in document["rows"]}
    elements = 8 * 30 * 88
    assert rows["encode"]["speed"] == pytest.approx(2 * elements / rows["encode"]["seconds"] / 1e6)
    assert rows["decode"]["speed"] == pytest.approx(4 * elements / rows["decode"]["seconds"] / 1e9)
    for verb in ("fit", "encode", "decode"):
        shares = {row["stage"]: row["share"] for row in document["stages"] if row["verb"] == verb}
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[OTHER] < 0.5
    assert sum(document["profile"].values()) == document["profile_bytes"]


def test_a_kept_metric_of_other_weights_is_refused(tmp_path: Path) -> None:
    loaded = open_model(tiny_models.language(tmp_path / "gemma3", "gemma3"), dtype="float32")
    split, file = Split(loaded, 1), tmp_path / "metric.safetensors"
    matrices = {name: torch.eye(count) for name, count in split.channels.items()}
    metric = ModelMetric(split.consumer, matrices, 1, 1, find_rotary(loaded), "0123")
    metric.save(file)
    passages = Passages({}, 8)
    model = SweptModel(loaded, 6, lambda count: [], [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "fitting", lambda setting: passages)
        with pytest.raises(BadArgument, match="measured on other weights"):
            model.facts(Setting(), 1, file)(1).metric()
        words = argparse.Namespace(metric=file, closed_form=False)
        with pytest.raises(BadArgument, match="measured on other weights"):
            group_features._metric(split, passages, words)
        replace(metric, consumer_digest=loaded.digest).save(file)
        assert model.facts(Setting(), 1, file)(1).metric().consumer_digest == loaded.digest
        assert group_features._metric(split, passages, words).consumer_digest == loaded.digest

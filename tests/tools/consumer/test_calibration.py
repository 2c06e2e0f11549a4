"""Calibration of a metric on texts held out: a scale that is wrong is mended, one that is right stays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

import lamofc_codecs
from lamofc_codecs import OutOfReach, Quality
from lamofc_tools.consumer import ModelMetric, Split, cut_passages, measure_metric
from lamofc_tools.consumer.calibration import MetricCalibration
from lamofc_tools.models import LoadedModel, ModelInput

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def calibration(opened: LoadedModel, texts: Sequence[ModelInput]) -> MetricCalibration:
    passages, split = cut_passages(opened, texts, 12, 8), Split(opened, 1)
    known = [(split.features(ids[None, :12])[0], ids[None]) for ids in passages.ids.values()]
    return MetricCalibration(split, known, known)


def traces(metric: ModelMetric) -> dict[str, float]:
    return {name: float(matrix.trace()) for name, matrix in metric.matrices.items()}


def test_a_wrong_scale_is_mended(opened: LoadedModel, texts: list[ModelInput]) -> None:
    metric = measure_metric(opened, cut_passages(opened, texts, 12, 8), 1, draws=8)
    right = calibration(opened, texts).calibrated(metric)
    for name, before in traces(metric).items():
        assert traces(right)[name] == pytest.approx(before, rel=1.0), name  # the model is small, and nearly linear
    caches = [name for name in metric.matrices if name.endswith("_cache")]
    wrong = metric.scaled(8.0, list(metric.matrices)).scaled(0.25, caches)
    mended = calibration(opened, texts).calibrated(wrong)
    for name, trace in traces(right).items():
        assert traces(mended)[name] == pytest.approx(trace, rel=0.35), name


def test_a_divergence_that_is_not_reached_is_doubled(
    opened: LoadedModel, texts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, whole = measure_metric(opened, cut_passages(opened, texts, 12, 8), 1, draws=8), calibration(opened, texts)
    right, asked, encode = traces(whole.calibrated(metric)), [], lamofc_codecs.encode

    def within_reach(*arguments: Any, quality: Quality) -> Any:
        asked.append(quality.value)
        if quality.value < 0.05:
            raise OutOfReach(f"no record reaches {quality}", "code each feature by itself")
        return encode(*arguments, quality=quality)

    monkeypatch.setattr(lamofc_codecs, "encode", within_reach)
    found = traces(calibration(opened, texts).calibrated(metric))
    assert {0.02, 0.04, 0.08, 0.05, 0.1} <= set(asked)
    for name, trace in right.items():
        assert found[name] == pytest.approx(trace, rel=0.3), name
    monkeypatch.setattr(lamofc_codecs, "encode", lambda *_, quality: within_reach(quality=Quality(kl=1e-6)))
    with pytest.raises(OutOfReach, match="no record reaches"):
        whole.calibrated(metric)


def test_a_quarter_of_many_texts_is_held_out(opened: LoadedModel, texts: list[ModelInput]) -> None:
    more = [
        ModelInput(f"{text.id} {turn}", text.path, " ".join(text.text.split(" ")[turn:]))
        for turn in range(3)
        for text in texts
    ]
    passages = cut_passages(opened, more, 10, 6)
    assert len(passages.ids) >= 16
    metric = measure_metric(opened, passages, 1, draws=2)
    held_out = sum(number >= 7 and number % 4 == 3 for number in range(len(passages.ids)))
    assert metric.tokens == (len(passages.ids) - held_out) * 9
    assert measure_metric(opened, passages, 1, draws=2, calibrated=False).tokens == len(passages.ids) * 9
    batched = measure_metric(opened, passages, 1, draws=2, batch=5)
    for name, matrix in metric.matrices.items():
        other = batched.matrices[name]
        assert float(other.trace()) == pytest.approx(float(matrix.trace()), rel=0.2), (
            name
        )  # as records of other rounding
        shape, likewise = matrix / matrix.trace(), other / other.trace()
        torch.testing.assert_close(shape, likewise, rtol=1e-2, atol=1e-3 * float(shape.abs().max()))


def test_hidden_states_alone_are_calibrated(opened: LoadedModel, texts: list[ModelInput]) -> None:
    measured = measure_metric(opened, cut_passages(opened, texts, 12, 8), 1, draws=8)
    alone = replace(measured, matrices={"layer.1.output": measured.matrices["layer.1.output"]})
    right, mended = (calibration(opened, texts).calibrated(one) for one in (alone, alone.scaled(8.0, alone.matrices)))
    assert traces(mended)["layer.1.output"] == pytest.approx(traces(right)["layer.1.output"], rel=0.35)

"""Calibration of a metric on texts held out: a scale that is wrong is mended, one that is right stays."""

from collections.abc import Sequence

import pytest
import torch
from einops import rearrange

from lamofc_tools.consumer import ModelMetric, Split, cut_passages, find_rotary, measure_metric
from lamofc_tools.consumer.calibration import Calibration, Signal
from lamofc_tools.models import LoadedModel, ModelInput

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def calibration(opened: LoadedModel, texts: Sequence[ModelInput]) -> Calibration:
    passages, split, signal = cut_passages(opened, texts, 12, 8), Split(opened, 1), Signal()
    rotary = {name: turn for name, turn in find_rotary(opened).items() if name in split.patterns}
    held_out = []
    for name, ids in passages.ids.items():
        (features,) = split.features(ids[None, :12])
        held_out.append((features, ids[None]))
        rows = {key: rearrange(value, split.patterns[key]).double() for key, value in features.items()}
        signal.add({key: rotary[key].turned(row, back=True) if key in rotary else row for key, row in rows.items()})
        assert name in passages.ids
    return Calibration(split, rotary, signal, held_out)


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
    batched = measure_metric(opened, passages, 1, draws=2, batch=5)
    for name, matrix in metric.matrices.items():
        torch.testing.assert_close(matrix, batched.matrices[name], rtol=1e-2, atol=1e-3 * float(matrix.abs().max()))

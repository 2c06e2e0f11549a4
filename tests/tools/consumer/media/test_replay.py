"""Replay of encoders with a head, and of Whisper: the divergence of their answers to decoded features."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import Consumer, measure_consumer
from lamofc_tools.consumer.media import EncoderReplay, EncoderSplit
from lamofc_tools.models import LoadedModel, find_inputs, open_model
from tests.tools.consumer.noise import errors
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

KINDS = {"vit": "images", "whisper": "sounds"}


@pytest.fixture(scope="module", params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    name = tiny_models.answering(tmp_path_factory.mktemp("models") / request.param, request.param)
    return open_model(name, dtype="float32", head=True)


def test_answers_diverge_as_the_metric_foretells(opened: LoadedModel, tmp_path: Path) -> None:
    inputs = opened.kind.inputs
    items = find_inputs(str(getattr(tiny_models, inputs)(tmp_path / "data", 6)), inputs)
    split, metric = EncoderSplit(opened, 1), measure_consumer(opened, items, 1, draws=32)
    replay, foretold, found = EncoderReplay(split, {item.id: item for item in items}), 0.0, 0.0
    assert replay.length == 24 and metric.nats is not None
    for item in items:
        with torch.no_grad():
            original = split.features(opened.inputs([item]))
        measure = replay(item.id, {split.feature: original})
        assert measure is not None and measure({}) < 1e-6 and measure({split.feature: original}) < 1e-6
        rows = original.flatten(0, 1)
        for seed in range(4):
            error, _ = errors(rows, metric.matrices[split.feature], 0.02, seed)
            found += measure({split.feature: original + error.float().view_as(original)})
            foretold += metric.divergence({split.feature: error})
        again = replay(item.id, {split.feature: original})
        assert again is not None and again({split.feature: 1.1 * original}) == measure({split.feature: 1.1 * original})
    assert found == pytest.approx(foretold, rel=0.5)
    features = {split.feature: original}
    assert replay("another", features) is None and replay(item.id, {}) is None
    for unlike in (original[:, 1:], original * torch.nan):
        assert replay(item.id, {split.feature: unlike}) is None


def test_a_gradient_is_that_of_the_divergence(opened: LoadedModel, tmp_path: Path) -> None:
    inputs = opened.kind.inputs
    (item,) = find_inputs(str(getattr(tiny_models, inputs)(tmp_path / "data", 1)), inputs)
    split, generator = EncoderSplit(opened, 1), torch.Generator().manual_seed(1)
    with torch.no_grad():
        original = split.features(opened.inputs([item]))
    replay = EncoderReplay(split, {item.id: item})
    measure, gradient = replay(item.id, {split.feature: original}), replay.gradient(item.id, {split.feature: original})
    assert measure is not None and gradient is not None and gradient({}) == {}
    moved = original + 0.2 * original.std() * torch.randn(original.shape, generator=generator)
    slope = gradient({split.feature: moved})[split.feature]
    step = 0.02 * moved.std() * slope / slope.abs().max()
    rise = measure({split.feature: moved + step}) - measure({split.feature: moved - step})
    if opened.config.is_encoder_decoder:  # its transcript is another one
        assert rise > 0
    else:
        assert rise == pytest.approx(float(2 * (slope * step).sum()), rel=0.05)
    assert replay.gradient("another", {split.feature: original}) is None


def test_draws_foretell_the_divergence_of_small_errors(opened: LoadedModel, tmp_path: Path) -> None:
    inputs = opened.kind.inputs
    (item,) = find_inputs(str(getattr(tiny_models, inputs)(tmp_path / "data", 1)), inputs)
    split, generator = EncoderSplit(opened, 1), torch.Generator().manual_seed(1)
    with torch.no_grad():
        original = split.features(opened.inputs([item]))
    replay, name = EncoderReplay(split, {item.id: item}), split.feature
    measure, draw = replay(item.id, {name: original}), replay.draws(item.id, {name: original})
    assert measure is not None and draw is not None and replay.draws("another", {name: original}) is None
    error = 0.01 * original.std() * torch.randn(original.shape, generator=generator)
    along = [float((draw()[name] * error).sum()) for _ in range(200)]
    foretold = sum(one**2 for one in along) / len(along) / 2
    assert foretold == pytest.approx(measure({name: original + error}), rel=1.0 if inputs == "sounds" else 0.4)


def test_a_consumer_is_made_of_inputs(opened: LoadedModel, tmp_path: Path) -> None:
    inputs = opened.kind.inputs
    items = find_inputs(str(getattr(tiny_models, inputs)(tmp_path / "data", 3)), inputs)
    consumer = Consumer.of_inputs(opened, 1, items, 2)
    assert consumer.channels == {"layer.1": 32} and consumer.learned_from == f"2 {inputs}" and consumer.has_likelihood
    metric = consumer.measure()
    assert metric.consumer_digest == consumer.digest == opened.digest
    assert isinstance(consumer.replayed(), EncoderReplay)
    body = replace(opened, model=opened.body)
    silent = Consumer.of_inputs(body, 1, items, 2)
    assert not silent.has_likelihood
    with pytest.raises(BadArgument, match="cannot be replayed: they have no likelihood"):
        silent.replayed()

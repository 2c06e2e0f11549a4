"""The metric of Whisper's encoder, as its decoder reads it."""

from pathlib import Path

import pytest
import torch

from lamofc_tools.consumer import ModelMetric, measure_consumer
from lamofc_tools.consumer.gradients import generators_for
from lamofc_tools.consumer.media import EncoderSplit, draw_transcripts, measure_speech
from lamofc_tools.models import LoadedModel, ModelInput, find_inputs, open_model
from tests.tools.consumer.noise import errors, stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    transformers = pytest.importorskip("transformers")
    name = tiny_models.speech(tmp_path_factory.mktemp("models") / "whisper", "whisper")
    transformers.WhisperForConditionalGeneration(open_model(name).config).save_pretrained(name)
    loaded = open_model(name, dtype="float32", head=True)
    stir(loaded.model, 0.3)
    return loaded


@pytest.fixture
def sounds(tmp_path: Path) -> list[ModelInput]:
    return find_inputs(str(tiny_models.sounds(tmp_path / "data", 6)), "sounds")


def test_transcripts_diverge_as_foretold_and_less_by_shaped_noise(
    whisper: LoadedModel, sounds: list[ModelInput]
) -> None:
    split = EncoderSplit(whisper, 1)
    metric = ModelMetric(**vars(measure_speech(whisper, sounds, 1, length=8, draws=32)))
    inputs = whisper.inputs(sounds)
    features = split.features(inputs)
    assert metric.tokens == 6 * 50 and 0 < metric.positions <= 6 * 8
    tokens = draw_transcripts(whisper, inputs, generators_for([item.id for item in sounds], 0), 8)

    @torch.no_grad()
    def logs(given: torch.Tensor) -> torch.Tensor:
        with split.substituted(given):
            found: torch.Tensor = whisper.model(**inputs, decoder_input_ids=tokens).logits.log_softmax(-1)
        return found

    wanted, diverged = logs(features), []
    for error in errors(features.flatten(0, 1), metric.matrices["layer.1"], 0.02):
        found = logs(features + error.float().view_as(features))
        diverged.append(float((wanted.exp() * (wanted - found)).sum(-1).mean()))
        assert diverged[-1] == pytest.approx(metric.divergence({"layer.1": error}), rel=0.5)
    assert diverged[1] < 0.8 * diverged[0]


def test_the_batch_changes_nothing_and_transcripts_end(
    whisper: LoadedModel, sounds: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (measure_speech(whisper, sounds, 2, length=6, batch=batch) for batch in (1, 4))
    torch.testing.assert_close(one.matrices["layer.2"], other.matrices["layer.2"], rtol=1e-3, atol=1e-6)
    tokens = draw_transcripts(whisper, whisper.inputs(sounds), generators_for([item.id for item in sounds], 0), 6)
    monkeypatch.setattr(whisper.config, "eos_token_id", int(tokens[0, 3]))
    ended = (tokens == tokens[0, 3]).cumsum(1) > 0
    assert measure_speech(whisper, sounds, 2, length=6).positions == int((~ended).sum()) < one.positions


def test_a_recogniser_is_measured_by_its_decoder_and_an_encoder_alone_by_its_states(
    whisper: LoadedModel, sounds: list[ModelInput]
) -> None:
    whole = measure_consumer(whisper, sounds[:2], 1)
    assert whole.nats is not None and whole.consumer == "whisper@1"
    assert torch.equal(whole.matrices["layer.1"], measure_speech(whisper, sounds[:2], 1).matrices["layer.1"])
    alone = measure_consumer(open_model(whisper.name), sounds[:2], 1)
    assert alone.nats is None and set(alone.matrices) == {"layer.1"}

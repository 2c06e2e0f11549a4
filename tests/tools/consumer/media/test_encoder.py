"""The metric of encoders: with a head it foretells divergences, without one how far final states move."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import measure_consumer
from lamofc_tools.consumer.media import EncoderSplit, measure_encoder
from lamofc_tools.models import LoadedModel, ModelInput, find_inputs, open_model
from tests.tools.consumer.noise import errors, stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

SIZES: dict[str, Any] = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "num_hidden_layers": 4}
SIZES |= {"patch_size": 8, "image_size": 32, "num_labels": 7}


def opened(folder: Path, kind: str, *, classes: bool = False) -> LoadedModel:
    name = tiny_models.vision(folder / kind, "dinov2" if kind == "ViT" else kind)
    if classes or kind == "ViT":
        transformers = pytest.importorskip("transformers")
        known = {"dinov2": "Dinov2"}.get(kind, kind)
        config = getattr(transformers, f"{known}Config")(**SIZES)
        ending = "ForImageClassification" if classes else "Model"
        getattr(transformers, f"{known}{ending}")(config).save_pretrained(name)
    loaded = open_model(name, dtype="float32", head=True)
    assert loaded.has_head == classes
    stir(loaded.model)
    return loaded


@pytest.fixture
def images(tmp_path: Path) -> list[ModelInput]:
    return find_inputs(str(tiny_models.images(tmp_path / "data", 8)), "images")


@torch.no_grad()
def answers(split: EncoderSplit, items: list[ModelInput], error: torch.Tensor | None = None) -> torch.Tensor:
    """Answers as items x ..., after an error of tokens x channels."""
    inputs = split.loaded.inputs(items)
    features = split.features(inputs)
    return split.answer(inputs, features if error is None else features + error.float().view_as(features))


@pytest.mark.parametrize("kind", ["dinov3", "dinov2", "ViT"])
def test_final_states_move_as_foretold_and_less_by_shaped_noise(
    tmp_path: Path, images: list[ModelInput], kind: str
) -> None:
    split = EncoderSplit(opened(tmp_path, kind), 1)
    metric = measure_consumer(split.loaded, images, 1, draws=16)
    unbroken, rows = answers(split, images), split.features(split.loaded.inputs(images)).flatten(0, 1)
    assert metric.tokens == len(rows) and metric.nats is None
    moved = []
    for error in errors(rows, metric.matrices["layer.1"], 0.02):
        change = (answers(split, images, error) - unbroken).flatten(0, 1) / unbroken.flatten(0, 1).std(0)
        moved.append(float(change.square().mean()))
        assert moved[-1] == pytest.approx(metric.relative_change({"layer.1": error}), rel=0.15)
    assert moved[1] < 0.7 * moved[0]


@pytest.mark.parametrize("kind", ["dinov2", "ViT"])
def test_classes_diverge_as_foretold_and_less_by_shaped_noise(
    tmp_path: Path, images: list[ModelInput], kind: str
) -> None:
    split = EncoderSplit(opened(tmp_path, kind, classes=True), 1)
    metric = measure_consumer(split.loaded, images, 1, draws=64)
    wanted, rows = answers(split, images).log_softmax(-1), split.features(split.loaded.inputs(images)).flatten(0, 1)
    assert metric.positions == 8 and metric.nats == len(rows) / 16
    diverged, foretold = torch.zeros(2), torch.zeros(2)
    for seed in range(8):
        for number, error in enumerate(errors(rows, metric.matrices["layer.1"], 0.02, seed)):
            found = answers(split, images, error).log_softmax(-1)
            diverged[number] += (wanted.exp() * (wanted - found)).sum(-1).mean()
            foretold[number] += metric.divergence({"layer.1": error})
    torch.testing.assert_close(diverged, foretold, rtol=0.4, atol=0)
    assert diverged[1] < 0.5 * diverged[0]


def test_a_fit_by_the_metric_keeps_classes_at_the_same_rate(tmp_path: Path, images: list[ModelInput]) -> None:
    split = EncoderSplit(opened(tmp_path, "dinov2", classes=True), 1)
    metric, wanted = measure_consumer(split.loaded, images, 1, draws=64), answers(split, images).log_softmax(-1)
    features = split.features(split.loaded.inputs(images))
    samples, diverged = list(features), []
    for weight in (None, metric.weights()["layer.1"]):
        options = {} if weight is None else {"weight": weight, "weight_nats": metric.nats}
        profile = fit("klt", samples, Quality(bpfp=2), waves=False, **options)
        decoded = decode([record.data for record in encode(samples, profile)], profile)
        found = answers(split, images, torch.stack(list(decoded)) - features).log_softmax(-1)
        diverged.append(float((wanted.exp() * (wanted - found)).sum(-1).mean()))
    assert diverged[1] < 0.7 * diverged[0]


@pytest.mark.parametrize("classes", [True, False])
def test_the_batch_changes_nothing(tmp_path: Path, images: list[ModelInput], classes: bool) -> None:
    loaded = opened(tmp_path, "dinov2", classes=classes)
    one, other = (measure_encoder(loaded, images, 2, seed=4, batch=batch).matrices["layer.2"] for batch in (1, 3))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))
    assert not torch.equal(one, measure_encoder(loaded, images, 2, seed=5, batch=1).matrices["layer.2"])


def test_feature_maps_are_rows_of_positions(tmp_path: Path, images: list[ModelInput]) -> None:
    loaded = open_model(tiny_models.vision(tmp_path / "resnet", "resnet"))
    metric = measure_encoder(loaded, images[:2], 1)
    assert metric.matrices["layer.1"].shape == (16, 16) and metric.tokens == 2 * 4 * 4
    with pytest.raises(BadArgument, match="block 4 of a model that has 4"):
        measure_encoder(loaded, images, 4)


def test_letters_of_sounds_are_answers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    name = tiny_models.speech(tmp_path / "wav2vec2", "wav2vec2")
    transformers.Wav2Vec2ForCTC(open_model(name).config).save_pretrained(name)
    loaded, items = open_model(name, head=True), find_inputs(str(tiny_models.sounds(tmp_path / "data", 2)), "sounds")
    metric = measure_encoder(loaded, items, 1, draws=1)
    assert metric.tokens == metric.positions == 199 + 299 and metric.matrices["layer.1"].trace() > 0

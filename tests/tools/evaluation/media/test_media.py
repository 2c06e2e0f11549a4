"""`lamofc eval model` of images, sounds and prompts: raw features lose nothing, coded ones lose something."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import lamofc_store
from lamofc_store.errors import BadArgument
from lamofc_tools.consumer.media import EncoderSplit
from lamofc_tools.evaluation import DiffusionModel, EncoderModel, RestOptions, open_rest
from lamofc_tools.models import (
    DiffusionSource,
    LoadedModel,
    ModelInput,
    find_inputs,
    open_model,
    open_pipeline,
    replay,
)
from tests.tools.consumer.noise import stir
from tests.tools.models import tiny_models

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]  # of tested libraries
Lamofc: TypeAlias = Callable[..., Any]
CODINGS = (("--codec", "raw"), ("--codec", "klt", "--snr", "3"))


@dataclass(frozen=True)
class Evaluated:
    """The figures of stores of both codecs, and the command that gave them."""

    raw: dict[str, float]
    coded: dict[str, float]
    stores: list[Path]
    command: list[object]


def evaluate(
    lamofc: Lamofc, model: str, data: Path, extracting: tuple[object, ...], evaluating: tuple[object, ...]
) -> Evaluated:
    """Extract to a store of each codec, and evaluate both."""
    stores = [data.parent / f"store-{number}" for number in range(len(CODINGS))]
    for store, coding in zip(stores, CODINGS, strict=True):
        ran = lamofc("extract", model, data, store, *extracting, *coding)
        assert ran.code == 0, ran.err
    command = ["eval", "model", *stores, model, *evaluating, "--run-in", stores[0]]
    ran = lamofc(*command, "--json")
    assert ran.code == 0, ran.err
    raw, coded = (point["values"] for point in ran.document["points"])
    named = {figure["name"] for figure in ran.document["figures"]}
    assert {name.removeprefix("unbroken_") for name in raw} - {"positions"} == named
    return Evaluated(raw, coded, stores, command)


def classifier(folder: Path) -> str:
    """A vision transformer with a head that names classes, and weights whose answers differ."""
    transformers = pytest.importorskip("transformers")
    name = tiny_models.vision(folder, "dinov2")
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8, "image_size": 32}
    config = transformers.ViTConfig(num_hidden_layers=4, num_labels=5, **sizes)
    made = transformers.ViTForImageClassification(config)
    stir(made, 0.3)
    made.save_pretrained(name)
    return name


def test_classes_of_images(lamofc: Lamofc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, data = classifier(tmp_path / "vit"), tiny_models.images(tmp_path / "images", 6)
    found = evaluate(lamofc, model, data, ("--block", 1), ("--block", 1))
    assert found.raw["top1"] == 1 and found.raw["positions"] == 6 and abs(found.raw["kl"]) < 1e-6
    loaded, items = open_model(model, head=True), find_inputs(str(data), "images")
    with lamofc_store.open(str(found.stores[1])) as store, torch.no_grad():
        after = replay(loaded, store, items, 1).logits.log_softmax(-1)
        before = loaded.model(**loaded.inputs(items)).logits.log_softmax(-1)
    divergence = float((before.exp() * (before - after)).sum(-1).mean())
    assert found.coded["kl"] == pytest.approx(divergence, rel=1e-3) and 1e-4 < divergence < 1
    assert found.coded["top1"] == float((before.argmax(-1) == after.argmax(-1)).double().mean())
    shown = lamofc(*found.command, "--png", tmp_path / "drawn.png").out
    assert "vit after block 1: 6 images\n" in shown and "KL" in shown and "unbroken" not in shown
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    rest = EncoderModel(EncoderSplit(loaded, 1), items)
    configs = [rest.config()]
    shutil.copy(data / "001.png", data / "000.png")
    configs.append(rest.config())
    assert configs[0]["inputs"] != configs[1].pop("inputs") and configs[1].items() < configs[0].items()
    again = lamofc("extract", model, data, found.stores[0], "--block", 1, *CODINGS[0], "--json")
    assert again.document["already"] == 6  # though transformers draws the weights of its pooler anew


def test_classes_that_are_known_give_an_accuracy(tmp_path: Path) -> None:
    loaded = open_model(classifier(tmp_path / "vit"), head=True)
    items = find_inputs(str(tiny_models.images(tmp_path / "images", 4)), "images")
    split = EncoderSplit(loaded, 1)
    with torch.no_grad():
        answers = split.answer(loaded.inputs(items)).argmax(-1).tolist()
    labels = {item.id: answer for item, answer in zip(items, answers, strict=True)}
    labels[items[0].id] += 1
    rest = EncoderModel(split, items, labels=labels)
    rest.prepare(lambda count: None)
    tally, empty = rest.tally(), torch.zeros(1, *split.features(loaded.inputs(items)).shape[1:])
    for names in rest.batches():
        tally.add(names, [{split.feature: empty}] * len(names))
    with torch.no_grad():
        (same,) = split.answer(loaded.inputs(items[:1]), empty).argmax(-1).tolist()
    values = tally.values()
    assert values["unbroken_accuracy"] == 0.75
    assert values["accuracy"] == sum(label == same for label in labels.values()) / 4
    assert [figure.name for figure in rest.figure_set.figures] == ["kl", "top1", "accuracy"]


@pytest.mark.parametrize("kind", ["dinov3", "resnet"])
def test_final_states_of_images(lamofc: Lamofc, tmp_path: Path, kind: str) -> None:
    model, data = tiny_models.vision(tmp_path / kind, kind), tiny_models.images(tmp_path / "images", 4)
    found = evaluate(lamofc, model, data, ("--block", 1), ("--block", 1, "--batch", 3))
    error, cosine = found.coded["state_error"], found.coded["state_cosine"]
    assert found.raw["state_error"] < 1e-10 and found.raw["state_cosine"] == pytest.approx(1)
    assert 1e-3 < error < 1 and cosine == pytest.approx(1 - error / 2, abs=error / 4)


def whisper(folder: Path) -> str:
    """A recogniser whose transcripts differ, with a tokenizer of its own words."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    name = tiny_models.speech(folder, "whisper")
    transformers.WhisperForConditionalGeneration(open_model(name).config).save_pretrained(name)
    made = open_model(name, dtype="float32", head=True).model
    stir(made, 0.3)
    made.save_pretrained(name)
    words = [f"w{number}" for number in range(64)]
    vocabulary = tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, words[0])
    special = dict(zip(("pad_token", "bos_token", "eos_token"), words, strict=False))
    written = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(vocabulary), **special)
    written.save_pretrained(folder)
    return name


def test_transcripts_of_sounds(lamofc: Lamofc, tmp_path: Path) -> None:
    model, data = whisper(tmp_path / "whisper"), tiny_models.sounds(tmp_path / "sounds", 4)
    loaded, items = open_model(model, head=True), find_inputs(str(data), "sounds")
    transcript = transcribed(loaded, items[0], 8)
    (data / "000.txt").write_text(" ".join([f"W{transcript[0]},", *(f"w{token}" for token in transcript[1:]), "w9."]))
    found = evaluate(lamofc, model, data, ("--block", 1), ("--block", 1, "--continued", 8, "--batch", 3))
    raw, coded = found.raw, found.coded
    assert raw["top1"] == 1 and abs(raw["kl"]) < 1e-6 and raw["wer_transcript"] == 0
    assert raw["wer_reference"] == raw["unbroken_wer_reference"] == 1 / (len(transcript) + 1)
    assert coded["unbroken_wer_reference"] == raw["wer_reference"]
    assert coded["kl"] > 1e-3 and coded["top1"] < 1 and coded["wer_transcript"] > 0
    shown = lamofc(*found.command).out
    assert f"4 sounds, {raw['positions']:.0f} tokens of transcripts" in shown and "WER to reference" in shown


def transcribed(loaded: LoadedModel, sound: ModelInput, length: int) -> list[int]:
    """The likeliest transcript, without a cache."""
    tokens = [loaded.config.decoder_start_token_id]
    while len(tokens) < length and tokens[-1] != loaded.config.eos_token_id:
        with torch.no_grad():
            logits = loaded.model(**loaded.inputs([sound]), decoder_input_ids=torch.tensor([tokens])).logits
        tokens.append(int(logits[0, -1].argmax()))
    return [token for token in tokens if token > loaded.config.eos_token_id]


def test_pictures_of_prompts(lamofc: Lamofc, tmp_path: Path) -> None:
    model, data = tiny_models.painter(tmp_path / "stable"), tmp_path / "captions.jsonl"
    data.write_text("\n".join(json.dumps({"id": f"c{n}", "caption": "a b c"[: 1 + 2 * n]}) for n in range(2)))
    judge = tiny_models.vision(tmp_path / "judge", "dinov2")
    found = evaluate(lamofc, model, data, ("--steps", 2), ("--judge", judge))
    assert found.raw["answer_error"] == found.raw["prompt_error"] == found.raw["latent_error"] == 0
    assert found.raw["prompt_psnr"] is found.raw["latent_psnr"] is None  # infinite
    for name in ("answer_error", "prompt_error", "latent_error"):
        assert 0 < found.coded[name] < 1, name
    for part in ("prompt", "latent"):
        assert found.raw[f"{part}_cosine"] == pytest.approx(1) and abs(found.raw[f"{part}_fid"]) < 1e-6
        assert found.coded[f"{part}_cosine"] < 1 - 1e-6 and found.coded[f"{part}_fid"] > 1e-4
    (item, *_), pipeline = find_inputs(str(data), "texts"), open_pipeline(model)
    rest = DiffusionModel(DiffusionSource([item], model, pipeline, steps=2))
    with lamofc_store.open(str(found.stores[1])) as store:
        rest.prepare(lambda count: None)
        tally, features = rest.tally(), store.tensors(item.id)
        tally.add([item.id], [features])
        picture = torch.as_tensor(rest.source.decode_latents(features))
    error = (picture - torch.as_tensor(rest.source.run(item))).square()
    assert tally.values()["latent_psnr"] == pytest.approx(-10 * float(error.mean().log10()), rel=1e-4)
    assert not pipeline.transformer._forward_hooks


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "without a block"),
        ({"block": 1, "tokens": 4}, "a prefix of 4 tokens of .*, which continues no texts"),
        ({"block": 1, "steps": 4}, "steps 4 for .*, which paints no pictures"),
        ({"block": 9}, "block 9 of a model that has 4"),
    ],
)
def test_options_of_other_kinds_are_refused(dinov3: str, tmp_path: Path, options: dict[str, int], said: str) -> None:
    with lamofc_store.open(str(tmp_path / "store"), "w") as store, pytest.raises(BadArgument, match=said):
        open_rest(dinov3, store, RestOptions(**options))


@pytest.fixture(scope="module")
def dinov3(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.vision(tmp_path_factory.mktemp("models") / "dinov3", "dinov3")

"""Heads that transformers keeps in folders: from a store they answer as their models do, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument, NotFound
from lamofc_tools.heads import PublishedHead, PublishedSource, TrainingConfig, TrainingSet
from lamofc_tools.heads.published.transformers_folder import Mask2FormerDecoder
from lamofc_tools.metrics import Accuracy, Depth, MeanIoU
from tests.tools.heads import dino_models as models

pytestmark = pytest.mark.usefixtures("one_thread")

Lamofc = Any
Answer = Callable[[Any], Tensor]


def _semantic(answer: Any) -> Tensor:
    """Scores of classes as Mask2Former's paper has them: masks in the size of the image, weighed by their classes."""
    masks = torch.nn.functional.interpolate(
        answer.masks_queries_logits, size=models.SIZE, mode="bilinear", align_corners=False
    )
    classes = answer.class_queries_logits.softmax(-1)[..., :-1]
    return torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid())


def _depths(answer: Any) -> Tensor:
    depths = answer.predicted_depth[:, None]
    return torch.nn.functional.interpolate(depths, size=models.SIZE, mode="bilinear", align_corners=False)[:, 0]


CASES: dict[str, tuple[Callable[[], Any], int, str, Answer]] = {
    "linear": (lambda: models.classifier("Dinov2"), 1, "label", lambda answer: answer.logits),
    "linear-registers": (lambda: models.classifier("Dinov2WithRegisters"), 5, "label", lambda answer: answer.logits),
    "dpt-v2": (models.dpt, 1, "depth", _depths),
    "dpt-v3": (models.chmv2, 5, "depth", _depths),
    "mask2former": (models.mask2former, 5, "segments", _semantic),
}
METERS = {"label": Accuracy, "depth": Depth, "segments": lambda: MeanIoU(models.CLASSES)}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_answers_as_its_model_does(lamofc: Lamofc, tmp_path: Path, case: str) -> None:
    make, prefix, target, wanted = CASES[case]
    model = make()
    model.save_pretrained(tmp_path / "model")
    features, answer = models.answer(model)
    store = models.fill(tmp_path / "raw", features, prefix)
    head, predicted, targets = _predictions(PublishedSource(path=tmp_path / "model", target=target), store)
    expected = wanted(answer)
    assert torch.equal(predicted, expected) and float(expected.std()) > 0.01
    meter = METERS[target]()
    meter.add(expected, targets)
    coded = models.fill(tmp_path / "coded", features, prefix, "klt")
    command = ("eval", "head", tmp_path / "model", store, coded, "--target", target, "--json")
    first, other = lamofc(*command).document["points"]
    assert first["values"] == meter.values() and other["bpfp"] < first["bpfp"] / 2
    assert isinstance(head, PublishedHead) and not any(weight.requires_grad for weight in head.parameters())


def _predictions(source: PublishedSource, url: str) -> tuple[PublishedHead, Tensor, Tensor]:
    """All samples of a store in one batch: the head's outputs, and the targets."""
    with lamofc.open(url) as store:
        head, record = source.open(store)
        samples = TrainingSet.of(store, record["inputs"], record["target"], names=record["names"])
        ((features, targets),) = samples.batches(TrainingConfig().loader(samples, shuffle=False))
        return head, head.predict(features, targets), targets


def test_masks_and_classes_of_queries_are_those_of_the_model(tmp_path: Path) -> None:
    model = models.mask2former()
    model.save_pretrained(tmp_path / "model")
    features, answer = models.answer(model)
    with lamofc.open(models.fill(tmp_path / "raw", features, 5)) as store:
        head, record = PublishedSource(path=tmp_path / "model", target="segments").open(store)
        numbers = range(models.IMAGES)
        stored = [torch.stack([store[str(number), name] for number in numbers]) for name in record["inputs"]]
    assert head.norm is not None and isinstance(head.decoder, Mask2FormerDecoder)
    predictions = head.decoder.predictions([head.norm(tokens) for tokens in stored], head.grid)
    assert torch.equal(predictions.classes[-1], answer.class_queries_logits)
    assert torch.equal(predictions.masks[-1], answer.masks_queries_logits)


def test_a_depth_of_an_image_and_its_mirror_image_is_their_mean(tmp_path: Path) -> None:
    model = models.chmv2()
    model.save_pretrained(tmp_path / "model")
    features, answer = models.answer(model)
    pairs = {name: torch.stack([tokens, tokens.roll(1, 0)], 1) for name, tokens in features.items()}
    source = PublishedSource(path=tmp_path / "model", target="depth")
    _, predicted, _ = _predictions(source, models.fill(tmp_path / "pairs", pairs, 5))
    depths = _depths(answer)
    torch.testing.assert_close(predicted, (depths + depths.roll(1, 0).flip(-1)) / 2)
    model = models.mask2former()
    model.save_pretrained(tmp_path / "segments")
    with pytest.raises(BadArgument, match="2 images in a feature for segments"):
        _predictions(PublishedSource(path=tmp_path / "segments", target="segments"), str(tmp_path / "pairs"))


def test_names_of_classes_are_those_of_the_config(tmp_path: Path) -> None:
    model = models.classifier("Dinov2")
    features, _ = models.answer(model)
    url = models.fill(tmp_path / "raw", features, 1)
    model.save_pretrained(tmp_path / "model")
    source = PublishedSource(path=tmp_path / "model", target="word")
    with lamofc.open(url) as store:
        with pytest.raises(BadArgument, match="'LABEL_0' is no class"):
            source.open(store)
        model.config.id2label = {number: f"LABEL_{4 - number}" if number else "zero" for number in range(5)}
        model.save_pretrained(tmp_path / "model")
        _, record = source.open(store)
        assert record["names"] == ["zero", "LABEL_3", "LABEL_2", "LABEL_1", "LABEL_0"]
        samples = TrainingSet.of(store, record["inputs"], "word", names=record["names"])
        ((_, targets),) = samples.batches(TrainingConfig().loader(samples, shuffle=False))
        assert targets.tolist() == [4, 3, 2, 4, 3, 2]


def test_folders_of_which_no_head_can_be_taken_are_refused(lamofc: Lamofc, tmp_path: Path) -> None:
    model = models.classifier("Dinov2")
    features, _ = models.answer(model)
    store = models.fill(tmp_path / "raw", features, 1)
    folder = tmp_path / "model"
    folder.mkdir()

    def refused(says: str, *options: object) -> None:
        ran = lamofc("eval", "head", folder, store, *options)
        assert ran.code in (1, 2, 3) and len(ran.lines()) == 2 and says in ran.err, ran.err

    refused("holds no model")
    models.make("Dinov2Model", **models.SIZES).save_pretrained(folder)
    refused("holds a Dinov2Model")
    model.save_pretrained(folder)
    refused("cannot be trained again", "--trained-on", "decoded")
    refused("reads layers of 32 channels", "--feature", "depth")
    refused("no images of 2 + 4 x 5", "--grid", "2+4x5")
    refused("--bins 3 is no range", "--bins", "3")
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != "classifier.bias"}
    model.save_pretrained(folder, state_dict=weights)
    refused("lacks 1 weights, such as classifier.bias")
    (folder / "model.safetensors").write_bytes(b"no")
    refused("cannot be loaded")


def test_a_store_without_the_block_or_the_layout_is_told_so(tmp_path: Path) -> None:
    model = models.classifier("Dinov2")
    features, _ = models.answer(model)
    model.save_pretrained(tmp_path / "model")
    source = PublishedSource(path=tmp_path / "model", target="label")
    few = {name: features[name] for name in ("layer.0", "layer.2")}
    with lamofc.open(models.fill(tmp_path / "few", few, 1)) as store, pytest.raises(NotFound, match="block 3"):
        source.open(store)
    registers, _ = models.answer(models.classifier("Dinov2WithRegisters"))
    other = models.fill(tmp_path / "other", registers, 5)
    with lamofc.open(other) as store, pytest.raises(BadArgument, match="5 tokens before the patches"):
        source.open(store)

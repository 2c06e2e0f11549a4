"""Mask2Former: trained on stored features of digits, evaluated on compressed ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lamofc_store import Quality
from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument
from lamofc_tools.demo import digits, maps, vit
from lamofc_tools.heads import HEADS, Head, HeadTraining, Task, TrainingConfig, TrainingSet, evaluate, train
from tests.extras import needs

pytestmark = [needs("transformers"), pytest.mark.usefixtures("one_thread")]

Lamofc = Any
SHOWN = 2
"""Digits 0 and 1 are segmented; their maps have three classes with the background."""
TRAINING, TESTING = range(160), range(160, 220)
INPUTS = ("block.2", "block.4")
SMALL = {"prefix": 1, "inner": 32, "queries": 6, "encoder_layers": 1, "decoder_layers": 2, "heads": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of a small vision transformer for digits, as they are and compressed, with maps of their ink."""
    data = digits.load(0)
    chosen = data.labels < SHOWN
    data = digits.Digits(data.images[chosen][:220], data.labels[chosen][:220], len(TRAINING))
    features = vit.features(vit.train(data, 1, 0, lambda done, total: None), data, (2, 4))
    place = tmp_path_factory.mktemp("digits")
    for codec in ("raw", "klt"):
        with open_store(str(place / codec), "w") as store:
            quality = Quality(snr_db=20) if codec == "klt" else None
            for numbers in (TRAINING, TESTING):
                samples = data.samples(features, numbers)
                store.ingest(samples, codec, quality, fit_samples=len(TRAINING))
            store.ingest(data.samples({"segments": maps.segments(data)}, range(220)), "raw")
    return place


@pytest.fixture
def samples(folder: Path) -> Iterator[TrainingSet]:
    """Forty samples to train on."""
    with open_store(str(folder / "raw")) as store:
        few = "(SELECT sample FROM samples WHERE split = 'train' ORDER BY sample LIMIT 40)"
        yield TrainingSet.of(store, INPUTS, "segments", where=f"sample IN {few}")


def _head(samples: TrainingSet, **options: Any) -> Head:
    torch.manual_seed(0)
    return HEADS["mask2former"](samples.widths(), Task("segments", SHOWN + 1), **(SMALL | options))


@pytest.mark.slow
def test_it_learns_digits_and_reads_them_from_compressed_features(lamofc: Lamofc, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "head.safetensors"
    options = [f"--head-option={name}={value}" for name, value in SMALL.items() if name not in ("prefix", "inner")]
    inputs = [word for name in INPUTS for word in ("--feature", name)]
    trained = lamofc(
        *("train", "mask2former", folder / "raw", *inputs, "--target", "segments", "--classes", SHOWN + 1),
        *("--where", "split = 'train'", "--grid", "1+4x4", "--inner", 32, *options),
        *("--epochs", 4, "--batch", 16, "--lr", 0.003, "-o", file, "--json"),
    )
    assert trained.code == 0, trained.err
    losses = [epoch["loss"] for epoch in trained.document["history"]]
    assert losses[-1] < losses[0] * 0.9
    command = ("eval", "head", file, folder / "raw", folder / "klt", "--where", "split = 'test'")
    first, coded = lamofc(*command, "--json").document["points"]
    background = _miou_of_background(folder)
    assert background < 0.3 and first["values"]["miou"] > 0.75
    assert coded["bpfp"] < first["bpfp"] / 10 and coded["values"]["miou"] > first["values"]["miou"] - 0.03


def _miou_of_background(folder: Path) -> float:
    """The mean IoU of maps that are all background, the best guess without any feature."""
    with open_store(str(folder / "raw")) as store:
        held_out = TrainingSet.of(store, (), "segments", where="split = 'test'")
        ((_, targets),) = held_out.batches(TrainingConfig(batch=1000).loader(held_out, shuffle=False))
    return float((targets == 0).float().mean()) / (SHOWN + 1)


def test_a_training_that_was_stopped_draws_the_same_points(samples: TrainingSet, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=2, batch=16, checkpoint=tmp_path / "kept.pt", every=1)
    whole = _head(samples)
    history = train(whole, samples, replace(config, checkpoint=None))
    stopped = HeadTraining(_head(samples), samples, config)
    next(iter(stopped.rounds()))
    torch.rand(100)
    resumed = _head(samples)
    assert train(resumed, samples, config) == history
    assert all(torch.equal(weights, resumed.state_dict()[name]) for name, weights in whole.state_dict().items())


def test_pixels_without_a_label_are_no_segment(samples: TrainingSet) -> None:
    head = _head(samples, queries=3)
    features = [torch.randn(2, 17, 64) for _ in INPUTS]
    targets = torch.full((2, 8, 8), 255)
    loss = head.loss(features, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    targets[1, :4] = 2
    torch.manual_seed(0)
    both = head.loss(features, targets)
    torch.manual_seed(0)
    assert torch.equal(both, head.loss([tokens[1:] for tokens in features], targets[1:])) and float(both.detach()) > 0


def test_one_layer_is_enough_and_half_precision_too(samples: TrainingSet) -> None:
    one = replace(samples, inputs=INPUTS[1:])
    config = TrainingConfig(epochs=1, batch=20, half=True)
    head = _head(one)
    (epoch,) = train(head, one, config)
    assert 0 < epoch.loss < 100 and set(evaluate(head, one, config)) == {"miou", "pixel_accuracy"}


def test_queries_answer_at_any_rate_with_a_gradient(folder: Path) -> None:
    with open_store(str(folder / "klt")) as store:
        held_out = TrainingSet.of(store, INPUTS, "segments", where="split = 'test'", quality=Quality(snr_db=10))
        head = _head(held_out)
        features, _ = next(iter(held_out.batches(TrainingConfig(batch=2).loader(held_out, shuffle=False))))
    scores = head([tokens.requires_grad_(True) for tokens in features])
    assert scores.shape == (2, SHOWN + 1, 16, 16)
    scores.square().sum().backward()
    assert all(tokens.grad is not None and bool(tokens.grad.any()) for tokens in features)


def test_what_no_head_can_be_made_of_is_refused(samples: TrainingSet) -> None:
    with pytest.raises(BadArgument, match="5 features for a Mask2Former head"):
        HEADS["mask2former"]([64] * 5, Task("segments", 2))
    with pytest.raises(BadArgument, match="40 channels in 4 attention heads"):
        _head(samples, inner=40)

"""Training learned codecs from stores: the result codes features, and a stopped training can be resumed."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import numpy as np
import pytest
import torch

from lamofc_codecs import Profile, Sizes, fit
from lamofc_codecs.testing.samples import picture
from lamofc_store import Sample
from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument
from lamofc_tools.codec_training import CodecTraining, CodecTrainingConfig, Evaluation, Plane, PlaneChoice, Planes
from tests.extras import needs

pytestmark = [needs("compressai"), pytest.mark.usefixtures("one_thread")]

Lamofc: TypeAlias = Callable[..., Any]
SIZES = Sizes("hyperprior", 8, 16)
SMALL = ("--inner", "8", "--latent", "16", "--crop", "64x64", "--lr", "0.002", "--batch", "2", "--every", "5")


def config(**changes: Any) -> CodecTrainingConfig:
    usual = {"sizes": SIZES, "lmbda": 0.01, "crop": (64, 64), "batch": 2, "steps": 20, "every": 5, "lr": 2e-3}
    return CodecTrainingConfig(**{**usual, **changes})


@pytest.fixture(scope="module")
def planes() -> Planes:
    made = Planes(seed=1)
    made.add([picture(10, 10, 64, seed) for seed in range(10)])
    return made


@dataclass
class Trained:
    """A training to the end, its checkpoint after ten steps, and what its progress reported."""

    training: CodecTraining
    checkpoint: Path
    progress: list[Evaluation]


@pytest.fixture(scope="module")
def trained(planes: Planes, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder, progress = tmp_path_factory.mktemp("trained"), []

    def report(summary: Evaluation) -> None:
        progress.append(summary)
        if summary.step == 10:
            shutil.copy(folder / "newest", folder / "after_ten")

    training = CodecTraining(config(), planes, checkpoint=folder / "newest")
    training.run(report)
    return Trained(training, folder / "after_ten", progress)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("training") / "raw.lamofc")
    with open_store(url, "a") as opened:
        samples = [
            Sample(f"s{seed:02}", {"tokens": picture(10, 10, 64, seed)}, {"fold": seed % 2}) for seed in range(40)
        ]
        opened.ingest(samples, "raw")
    return url


def test_it_learns(trained: Trained) -> None:
    losses = [past.loss for past in trained.training.history]
    assert losses[-1] < 0.6 * losses[0]
    weights = trained.training.weights()
    assert (weights.codec, weights.config["lmbda"]) == ("hyperprior", 0.01)


def test_progress_is_reported_after_each_evaluation(trained: Trained) -> None:
    assert [summary.step for summary in trained.progress] == [5, 10, 15, 20]
    assert trained.progress == trained.training.history


def test_a_resumed_training_ends_where_an_unbroken_one_does(planes: Planes, trained: Trained) -> None:
    resumed = CodecTraining(config(), planes)
    resumed.resume(trained.checkpoint)
    resumed.run()
    assert [past.loss for past in resumed.history] == [past.loss for past in trained.training.history]
    assert resumed.weights().id == trained.training.weights().id


def test_it_ends_where_nothing_improves(planes: Planes) -> None:
    training = CodecTraining(config(steps=10_000, lr=1e-7, least_lr=4e-8, patience=0, every=2), planes)
    training.run()
    assert training.step < 100


def test_weights_are_those_of_the_best_evaluation(planes: Planes, trained: Trained) -> None:
    training = CodecTraining(config(steps=15), planes)  # the number of steps may differ from the checkpoint's
    training.resume(trained.checkpoint)
    best = training.weights().id
    with patch.object(training, "evaluate", lambda: (1e9, 1.0, 1e9)):
        training.run()
    assert training.step == 15
    assert training.weights().id == best


def test_a_checkpoint_of_another_configuration_is_refused(planes: Planes, trained: Trained) -> None:
    with pytest.raises(BadArgument, match="is a checkpoint of"):
        CodecTraining(config(lmbda=0.02), planes).resume(trained.checkpoint)


def test_the_configuration_names_the_channel_context_of_elic_alone() -> None:
    elic = config(sizes=Sizes("elic", 8, 20, (1, 1, 2, 4, 12)))
    assert elic.to_json()["sizes"]["context"] == ((8, 8), (8, 8), (8, 8), (13, 18))
    assert set(config().to_json()["sizes"]) == {"arch", "inner", "latent", "groups"}


def test_a_training_starts_with_the_best_weights_of_another(planes: Planes, trained: Trained) -> None:
    started = CodecTraining(config(lmbda=0.02), planes, start=trained.checkpoint)
    resumed = CodecTraining(config(), planes)
    resumed.resume(trained.checkpoint)
    initial, best = started.weights().tensors, resumed.weights().tensors
    assert initial.keys() == best.keys()
    assert all(tensor.equal(best[name]) for name, tensor in initial.items())


def test_a_loss_that_is_not_finite_is_an_error(planes: Planes) -> None:
    training = CodecTraining(config(steps=1), planes)
    nan = float("nan")
    with patch.object(training, "evaluate", lambda: (nan, nan, nan)), pytest.raises(BadArgument, match="at step 1"):
        training.run()
    assert not training.history


def test_crops_follow_from_seed_and_step_and_small_planes_are_padded(planes: Planes) -> None:
    first, again, other = (planes.batch(step, 4, (128, 64)) for step in (3, 3, 4))
    assert first.equal(again)
    assert not first.equal(other)
    assert first.shape == (4, 1, 128, 64)
    assert 0 <= float(first.min()) < float(first.max()) < 1
    assert first[:, :, 99:].equal(first[:, :, 99:100].expand(4, 1, 29, 64))


def test_no_such_feature() -> None:
    with pytest.raises(BadArgument, match="no feature is named by nope"):
        Planes.from_stores([], PlaneChoice(features=["nope"]))


def test_too_little_to_train_on(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "few"), "a") as few:
        few.ingest([Sample(f"s{seed}", {"tokens": picture(4, 4, 64, seed)}) for seed in range(5)], "raw")
        with pytest.raises(BadArgument, match="5 samples to train on, none held out"):
            Planes.from_stores([few], PlaneChoice())


def test_blocks_of_columns_are_stacked_to_a_crop() -> None:
    """DT-UFC's crops of text features: 64 x 1024 as four blocks of 256 columns, one below the other."""
    pixels = torch.arange(70 * 1100, dtype=torch.float32).view(70, 1100) / (70 * 1100)
    crop = Plane(pixels, (64, 1024)).crop((256, 256), torch.Generator().manual_seed(1))
    assert crop.shape == (1, 256, 256)
    first = int((crop[0, 0, 0] * 70 * 1100).round())
    row, column = divmod(first, 1100)
    cut = pixels[row : row + 64, column : column + 1024]
    assert torch.equal(crop[0], torch.cat([cut[:, 256 * block : 256 * (block + 1)] for block in range(4)]))
    with pytest.raises(BadArgument, match="64 x 1000 pixels are no blocks"):
        Plane(pixels, (64, 1000)).crop((256, 256), torch.Generator())


def test_planes_are_those_that_a_paper_trains_on(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    layers = {f"dpt.{layer}": 4 * torch.randn(10, 2, 9, 24, generator=draw) for layer in range(4)}
    images = torch.randn(10, 3, 9, 24, generator=draw)
    with open_store(str(tmp_path / "features"), "a") as store:
        features = [{name: tensor[k] for name, tensor in {**layers, "layer.9": images}.items()} for k in range(10)]
        store.ingest([Sample(f"s{k}", sample) for k, sample in enumerate(features)], "raw")
        depth = PlaneChoice(features=["dpt.*"], as_published="lamofc")
        made = Planes.from_stores([store], depth)
        assert (len(made.train), len(made.held_out), made.train[0].pixels.shape) == (9, 1, (18, 96))
        bounds = np.repeat([1, 2, 10, 10], 24).astype(np.float32)
        packed = np.concatenate([layers[name][0].reshape(18, 24).numpy() for name in sorted(layers)], 1)
        expected = (np.clip(packed, -bounds, bounds) + bounds) / (2 * bounds)
        assert np.abs(made.train[0].pixels.numpy() - expected).max() < 1e-6
        assert depth.printed("hyperprior", store.features).lambdas == (0.001, 0.005, 0.02, 0.05, 0.12)  # type: ignore[union-attr]
        made = Planes.from_stores([store], PlaneChoice(features=["layer.9"], as_published="lamofcbench"))
        assert (len(made.train), len(made.held_out), made.train[0].pixels.shape) == (27, 3, (9, 24))
        both = PlaneChoice(as_published="dt-ufc").printed("elic", ["csr", "seg"])
        assert both is not None and both.restack == {"csr": (64, 1024)} and both.crop == (256, 256)


def test_a_network_for_each_lambda_that_a_paper_prints(lamofc: Lamofc, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "cls"), "a") as opened:
        samples = [Sample(f"s{seed:02}", {"cls": picture(10, 10, 64, seed)[None, None]}) for seed in range(10)]
        opened.ingest(samples, "raw")
    small = ("--inner", "8", "--latent", "16", "--crop", "64x64", "--batch", "1", "--every", "1", "--steps", "1")
    command = ("codec", "train", tmp_path / "cls", "--as-published", "lamofc", *small, "--json")
    document = lamofc(*command, "-o", tmp_path / "w-{lambda}.safetensors").document
    lambdas = [0.001, 0.0017, 0.003, 0.0035, 0.01]
    assert [one["lambda"] for one in document["trainings"]] == lambdas
    for one in document["trainings"]:
        assert Profile.load(tmp_path / f"w-{one['lambda']:g}.safetensors").id == one["weights"]
    refused = lamofc(*command, "-o", tmp_path / "w.safetensors")
    assert refused.code and "{lambda}" in refused.err
    one = lamofc(*command, "-o", tmp_path / "one.safetensors", "--lambda", "0.5").document
    assert one["lambda"] == 0.5


def test_from_a_store_to_records(lamofc: Lamofc, store: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    command = ("codec", "train", store, "-o", weights, *SMALL, "--steps", "10", "--where", "fold = 0")
    document = lamofc(*command, "--run-in", store, "--json").document
    assert document["planes"] == 18
    assert document["weights"] == Profile.load(weights).id
    with open_store(store) as opened:
        query = "SELECT name, step, value FROM metrics WHERE run = ? ORDER BY step"
        rows = opened.sql(query, [document["run"]]).fetchall()
        assert [(name, step) for name, step, _ in rows if name == "bpp"] == [("bpp", 5), ("bpp", 10)]
        samples = [Sample(name, {"tokens": opened[name, "tokens"]}) for name in list(opened)[:12]]
    with open_store(str(tmp_path / "coded.lamofc"), "a") as coded:
        coded.ingest(samples, "hyperprior", codec_options={"weights": str(weights)})
        assert {row[0] for row in coded.sql("SELECT codec FROM records").fetchall()} == {"hyperprior"}
        assert len(coded.dataset(["tokens"])[3]["tokens"]) == 100
        again = coded.ingest(samples, "hyperprior", codec_options={"weights": str(weights)})
        assert (again.records, again.already) == (0, 12)


def test_trained_weights_go_out_as_a_checkpoint_and_come_back(lamofc: Lamofc, store: str, tmp_path: Path) -> None:
    weights, checkpoint, again = (tmp_path / name for name in ("w.safetensors", "lambda0.01.pth.tar", "a.safetensors"))
    options = (*SMALL, "--latent", "20", "--arch", "elic", "--lambda", "0.01", "--steps", "1")
    assert lamofc("codec", "train", store, "-o", weights, *options).code == 0
    (row,) = lamofc("codec", "export", weights, "-o", checkpoint, "--json").document["profiles"]
    trained = Profile.load(weights)
    assert (row["codec"], row["id"], row["bytes"]) == ("elic", trained.id, checkpoint.stat().st_size)
    assert trained.config["context"] == [[8, 8], [8, 8], [8, 8], [13, 18]]
    assert lamofc("codec", "import", checkpoint, "-o", again).code == 0
    assert Profile.load(again).id == trained.id


def test_only_a_learned_codec_is_exported(lamofc: Lamofc, tmp_path: Path) -> None:
    fit("klt", [picture(10, 10, 64, 1)]).save(tmp_path / "klt.safetensors")
    ran = lamofc("codec", "export", tmp_path / "klt.safetensors", "-o", tmp_path / "x.pth.tar")
    assert ran.err == "error: a profile of klt has no networks\ntry: give a profile of hyperprior or elic\n"
    assert not (tmp_path / "x.pth.tar").exists()


def test_the_command_resumes_a_checkpoint(lamofc: Lamofc, store: str, tmp_path: Path) -> None:
    command = ("codec", "train", store, "-o", tmp_path / "w", *SMALL, "--checkpoint", tmp_path / "kept", "--json")
    first = lamofc(*command, "--steps", "5").document
    again = lamofc(*command, "--steps", "10").document
    assert (first["steps"], again["steps"]) == (5, 10)
    assert again["history"][0] == first["history"][0]


@pytest.mark.slow
def test_a_killed_training_is_resumed(store: str, tmp_path: Path) -> None:
    kept, weights = tmp_path / "kept", tmp_path / "w.safetensors"
    words = ["codec", "train", store, "-o", str(weights), *SMALL, "--steps", "100000", "--checkpoint", str(kept)]
    command = [sys.executable, "-c", "import sys, lamofc_tools.cli as c; sys.exit(c.main())", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 120
    while not kept.exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.1)
    running.kill()
    running.wait()
    assert kept.exists()
    assert not weights.exists()
    again = [*command, "--steps", "120", "--json"]
    printed = subprocess.run(again, env=environment, capture_output=True, text=True, check=True).stdout
    assert '"steps": 120' in printed
    assert weights.exists()


@pytest.mark.slow
def test_a_longer_training_learns_more(planes: Planes, trained: Trained) -> None:
    training = CodecTraining(config(steps=120, every=20, batch=4), planes)
    training.run()
    losses = [past.loss for past in training.history]
    assert losses[-1] < 0.6 * losses[0]
    assert min(losses) < min(past.loss for past in trained.training.history)

"""Training learned codecs from stores: what comes of it codes, and a stopped training goes on as if it had not been."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import Profile, Sizes
from lamofc_codecs.testing.samples import picture
from lamofc_store import Sample
from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument
from lamofc_tools.codec_training import Plan, Planes, Progress, Trainer

pytest.importorskip("compressai")

Lamofc: TypeAlias = Callable[..., Any]
SIZES = Sizes("hyperprior", 8, 16)
SMALL = ("--inner", "8", "--latent", "16", "--crop", "64x64", "--lr", "0.002", "--batch", "4", "--every", "20")


def plan(**changes: Any) -> Plan:
    usual = {"sizes": SIZES, "lmbda": 0.01, "crop": (64, 64), "batch": 4, "steps": 60, "every": 20, "lr": 2e-3}
    return Plan(**{**usual, **changes})


@pytest.fixture(scope="module")
def planes() -> Planes:
    made = Planes(seed=1)
    made.add([picture(10, 10, 64, seed) for seed in range(20)])
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("training") / "raw.lamofc")
    with open_store(url, "a") as opened:
        samples = [
            Sample(f"s{seed:02}", {"tokens": picture(10, 10, 64, seed)}, {"fold": seed % 2}) for seed in range(40)
        ]
        opened.ingest(samples, "raw")
    return url


def test_it_learns(planes: Planes) -> None:
    trainer = Trainer(plan(steps=120), planes)
    trainer.run()
    losses = [past.loss for past in trainer.history]
    assert losses[-1] < 0.6 * losses[0]
    assert (trainer.weights().codec, trainer.weights().config["lmbda"]) == ("hyperprior", 0.01)


def test_a_training_that_goes_on_ends_where_one_without_a_stop_does(planes: Planes, tmp_path: Path) -> None:
    whole = Trainer(plan(), planes)
    whole.run()
    first = Trainer(plan(steps=40), planes)
    first.run(checkpoint=tmp_path / "kept")
    second = Trainer(plan(), planes)
    second.resume(tmp_path / "kept")
    second.run()
    assert [past.loss for past in second.history] == [past.loss for past in whole.history]
    assert second.weights().id == whole.weights().id


def test_it_ends_where_nothing_improves(planes: Planes) -> None:
    trainer = Trainer(plan(steps=10_000, lr=1e-7, least_lr=4e-8, patience=0, every=2), planes)
    trainer.run()
    assert trainer.step < 100


def test_weights_are_those_that_did_best(planes: Planes) -> None:
    trainer = Trainer(plan(steps=40), planes)
    trainer.run()
    best = trainer.weights().id
    trainer.plan = plan(steps=80)
    with patch.object(trainer, "_look", lambda: (1e9, 1.0, 1e9)):
        trainer.run()
    assert trainer.step == 80
    assert trainer.weights().id == best


def test_a_checkpoint_of_another_plan_or_of_code_is_refused(planes: Planes, tmp_path: Path) -> None:
    trainer = Trainer(plan(), planes)
    trainer.save(tmp_path / "kept")
    with pytest.raises(BadArgument, match="is a checkpoint of"):
        Trainer(plan(lmbda=0.02), planes).resume(tmp_path / "kept")
    (tmp_path / "kept").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(BadArgument, match="is no checkpoint"):
        trainer.resume(tmp_path / "kept")


def test_crops_follow_from_seed_and_step_and_small_planes_are_filled_up(planes: Planes) -> None:
    one, again, other = (planes.batch(step, 4, (128, 64)) for step in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.shape == (4, 1, 128, 64)
    assert 0 <= float(one.min()) < float(one.max()) < 1
    assert torch.equal(one[:, :, 99:], one[:, :, 99:100].expand(4, 1, 29, 64))


def test_no_such_feature() -> None:
    with pytest.raises(BadArgument, match="no feature is named by nope"):
        Planes.of_stores([], ["nope"])


def test_too_little_to_train_on(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "few"), "a") as few:
        few.ingest([Sample(f"s{seed}", {"tokens": picture(4, 4, 64, seed)}) for seed in range(5)], "raw")
        with pytest.raises(BadArgument, match="5 samples to train on, none to watch by"):
            Planes.of_stores([few], [])


def test_from_a_store_to_records(lamofc: Lamofc, store: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    command = (
        "codec",
        "train",
        store,
        "-o",
        weights,
        *SMALL,
        "--steps",
        "40",
        "--where",
        "fold = 0",
        "--run-in",
        store,
    )
    told = lamofc(*command, "--json").document
    assert told["planes"] == 18
    assert told["weights"] == Profile.load(weights).id
    with open_store(store) as opened:
        rows = opened.sql("SELECT name, step, value FROM metrics WHERE run = ? ORDER BY step", [told["run"]]).fetchall()
        assert [(name, step) for name, step, _ in rows if name == "bpp"] == [("bpp", 20), ("bpp", 40)]
        samples = [Sample(name, {"tokens": opened[name, "tokens"]}) for name in list(opened)[:12]]
    with open_store(str(tmp_path / "coded.lamofc"), "a") as coded:
        coded.ingest(samples, "hyperprior", codec_options={"weights": str(weights)})
        assert {row[0] for row in coded.sql("SELECT codec FROM records").fetchall()} == {"hyperprior"}
        assert len(coded.dataset(["tokens"])[3]["tokens"]) == 100
        again = coded.ingest(samples, "hyperprior", codec_options={"weights": str(weights)})
        assert (again.records, again.already) == (0, 12)


def test_a_killed_training_goes_on(store: str, tmp_path: Path) -> None:
    kept, weights = tmp_path / "kept", tmp_path / "w.safetensors"
    words = ["codec", "train", store, "-o", str(weights), *SMALL, "--steps", "100000", "--checkpoint", str(kept)]
    command = [sys.executable, "-c", "import sys, lamofc_tools.cli as c; sys.exit(c.main())", *words]
    running = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not kept.exists() and time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.1)
    running.kill()
    running.wait()
    assert kept.exists()
    assert not weights.exists()
    told = subprocess.run([*command, "--steps", "120", "--json"], capture_output=True, text=True, check=True).stdout
    assert '"steps": 120' in told
    assert weights.exists()


def test_progress_is_told(planes: Planes) -> None:
    seen: list[Progress] = []
    Trainer(plan(steps=30), planes).run(seen.append)
    assert [at.step for at in seen] == [20, 30]

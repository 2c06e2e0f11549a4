"""`lamofc train`, `lamofc eval head` and `lamofc fit --for-head`, from features to a curve."""

import contextlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import lamofc_store
from lamofc_codecs import Profile
from lamofc_tools.cli import main
from lamofc_tools.heads import HEADS, Head, Task
from lamofc_tools.heads.contract import BatchFeature

pytestmark = pytest.mark.usefixtures("one_thread")

Lamofc = Any
CHANNELS, TOKENS, COUNT = 32, 12, 120


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features whose classes lie in two directions of low variance, and a table of labels as text."""
    folder = tmp_path_factory.mktemp("learning")
    noise = torch.Generator().manual_seed(0)
    strong = torch.randn(8, CHANNELS, generator=noise) * 8
    weak = torch.linalg.qr(torch.randn(CHANNELS, 2, generator=noise))[0].T
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    (folder / "features").mkdir()
    for number in range(COUNT):
        tokens = torch.randn(TOKENS, 8, generator=noise) @ strong + 0.5 * torch.randn(TOKENS, CHANNELS, generator=noise)
        tokens += 1.5 * corners[number % 4] @ weak
        save_file(
            {"h": tokens, "other": torch.randn(3, 4, generator=noise)}, folder / f"features/{number:03d}.safetensors"
        )
    ids = [f"{number:03d}" for number in range(COUNT)]
    words = [("north", "east", "south", "west")[number % 4] for number in range(COUNT)]
    table = pa.table({"sample": ids, "label": words, "fold": [number // 4 % 3 for number in range(COUNT)]})
    pq.write_table(table, folder / "labels.parquet")
    return folder


def run(*arguments: object) -> Any:
    """Type a command outside of any test, and return its document."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*map(str, arguments), "--json"]) == 0, out.getvalue()
    return json.loads(out.getvalue())


@pytest.fixture(scope="module")
def raw(place: Path) -> str:
    store = str(place / "raw")
    run("ingest", place / "features", store, "--codec", "raw")
    run("annotate", store, place / "labels.parquet")
    return store


@pytest.fixture(scope="module")
def trained(place: Path, raw: str) -> Any:
    """What the training of a linear head on two thirds of the samples printed; the rest is for tests."""
    options = (
        "--feature",
        "h",
        "--where",
        "fold > 0",
        "--test",
        "fold = 0",
        "--decay",
        1e-4,
        "-o",
        place / "head.safetensors",
    )
    return run("train", "linear", raw, *options, "--run-in", raw)


@pytest.fixture(scope="module")
def head(trained: Any) -> str:
    return str(trained["file"])


def test_a_training_reports_metrics_of_the_test_samples(trained: Any) -> None:
    assert trained["values"]["accuracy"] > 0.95
    assert trained["names"] == ["east", "north", "south", "west"]
    assert trained["samples"] == 80


def test_a_training_without_test_samples_says_that_nothing_was_measured(
    lamofc: Lamofc, raw: str, tmp_path: Path
) -> None:
    command = ("train", "knn", raw, "--feature", "h", "-o", tmp_path / "head")
    shown = lamofc(*command).out
    assert "not measured: --test names samples for that" in shown
    assert "not measured" not in lamofc(*command, "--test", "fold = 0").out
    assert lamofc(*command, "--json").document["values"] == {}


def test_a_head_is_judged_at_every_rate_and_the_cheapest_is_named(
    lamofc: Lamofc, place: Path, raw: str, head: str, tmp_path: Path
) -> None:
    coded = str(tmp_path / "klt")
    assert (
        lamofc("ingest", place / "features", coded, "--snr", "40", "--feature", "h", "--option", "layer_bytes=32").code
        == 0
    )
    assert lamofc("annotate", coded, place / "labels.parquet").code == 0
    pytest.importorskip("matplotlib")
    rates = ("--snr", "1", "--snr", "30", "--bpfp", "0.001")
    asked = (
        "eval",
        "head",
        head,
        raw,
        coded,
        "--where",
        "fold = 0",
        *rates,
        "--trained-on",
        "both",
        "--png",
        tmp_path / "c.png",
    )
    ran = lamofc(*asked, "--run-in", raw, "--json")
    assert ran.code == 0, ran.err
    points = ran.document["points"]
    assert {point["store"] for point in points} == {raw, coded}
    assert len([point for point in points if point["store"] == raw]) == 2  # one rate, two protocols
    rates_read = sorted({point["bpfp"] for point in points if point["store"] == coded})
    assert len(rates_read) == 3 and rates_read[0] < rates_read[1] < rates_read[2]
    assert [found["trained_on"] for found in ran.document["cheapest"]] == ["original", "decoded"]
    for found in ran.document["cheapest"]:
        assert found["values"]["accuracy"] >= found["of_first"] - 0.01
        cheaper = [
            point for point in points if point["trained_on"] == found["trained_on"] and point["bpfp"] < found["bpfp"]
        ]
        assert all(point["values"]["accuracy"] < found["of_first"] - 0.01 for point in cheaper)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    with lamofc_store.open(raw) as store:
        kinds = store.sql("SELECT kind, count(*) FROM runs GROUP BY 1 ORDER BY 1").fetchall()
        assert ("eval", len(points)) in kinds
        rows = store.sql("SELECT value FROM metrics WHERE name = 'accuracy'").fetchall()
        assert len(rows) >= len(points)
    shown = lamofc(*asked[:5], "--where", "fold = 0").out
    assert "cheapest, trained on original" in shown and "bits/element" in shown
    former = lamofc("eval", *asked[2:5], "--where", "fold = 0")
    assert former.out == shown and former.err.startswith("lamofc eval HEAD is removed in version 0.2")


def test_a_fit_that_knows_the_head_keeps_what_it_looks_at(
    lamofc: Lamofc, place: Path, raw: str, head: str, tmp_path: Path
) -> None:
    accuracies = {}
    for name, options in (("plain", ()), ("aware", ("--for-head", head))):
        profile, store = tmp_path / f"{name}.safetensors", str(tmp_path / name)
        rate = ("--feature", "h", "--bpfp", "0.6")
        assert lamofc("fit", place / "features", "-o", profile, *rate, *options).code == 0
        assert lamofc("ingest", place / "features", store, *rate, "--profile", profile).code == 0
        assert lamofc("annotate", store, place / "labels.parquet").code == 0
        found = lamofc("eval", "head", head, store, "--where", "fold = 0", "--json").document["points"][0]
        assert found["bpfp"] < 1.4
        accuracies[name] = found["values"]["accuracy"]
    assert accuracies["aware"] > 0.95 > 0.6 > accuracies["plain"]
    assert Profile.load(tmp_path / "aware.safetensors").config["weight"]
    assert "weight" not in Profile.load(tmp_path / "plain.safetensors").config


def test_several_heads_share_a_profile_and_features_that_none_sees_are_fitted_as_ever(
    lamofc: Lamofc, place: Path, raw: str, head: str, tmp_path: Path
) -> None:
    other = str(tmp_path / "knn.safetensors")
    ran = lamofc("train", "knn", raw, "--feature", "h", "--where", "fold > 0", "-o", other, "--pool", "cls")
    assert ran.code == 0, ran.err
    both = ("--for-head", head, "--for-head", other)
    fit = ("fit", place / "features", "--snr", "10", "--fit-samples", "24", "-o")
    assert lamofc(*fit, tmp_path / "p", *both).code == 0
    one, plain = (Profile.load(tmp_path / "p" / f"{name}.safetensors") for name in ("h", "other"))
    assert lamofc(*fit, tmp_path / "q", "--for-head", head).code == 0
    alone = Profile.load(tmp_path / "q" / "h.safetensors")
    assert one.config["weight"] != alone.config["weight"] and "weight" not in plain.config


def test_maps_are_learned_by_a_dpt_and_a_stopped_training_goes_on(lamofc: Lamofc, tmp_path: Path) -> None:
    noise = torch.Generator().manual_seed(0)
    samples = []
    for number in range(20):
        side = (torch.arange(4) < number % 4).float().expand(4, 4)
        layers = {f"layer.{at}": side.reshape(16, 1) + 0.1 * torch.randn(16, 8, generator=noise) for at in range(4)}
        samples.append(lamofc_store.Sample(f"{number:02d}", layers | {"map": side.long()}))
    with lamofc_store.open(str(tmp_path / "maps"), "w") as store:
        store.ingest(samples, "raw")
    layers_in = [word for at in range(4) for word in ("--feature", f"layer.{at}")]
    command = ["train", "dpt", tmp_path / "maps", *layers_in, "--target", "map", "--task", "segments", "--classes", "2"]
    course = ["--inner", "8", "--batch", "4", "--lr", "0.01", "--grid", "4x4", "--checkpoint", tmp_path / "kept"]
    first = lamofc(*command, *course, "-o", tmp_path / "a", "--test", "true", "--epochs", "4", "--json").document
    again = lamofc(*command, *course, "-o", tmp_path / "b", "--test", "true", "--epochs", "4", "--json").document
    assert first["values"]["miou"] > 0.9 and again["values"] == first["values"]
    assert [past["epoch"] for past in again["history"]] == [0, 1, 2, 3]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@dataclass(frozen=True)
class BiasOptions:
    scale: int = 3


class BiasHead(Head):
    """An architecture of a test: it knows nothing of the features."""

    kind = "bias"
    tasks = ("classes",)
    options_type = BiasOptions

    def __init__(self, widths: Sequence[int], task: Task, **options: Any) -> None:
        super().__init__(widths, task, **options)
        self.bias = torch.nn.Parameter(torch.zeros(task.outputs))

    def forward(self, features: Sequence[BatchFeature]) -> torch.Tensor:
        return self.options["scale"] * self.bias.expand(len(features[0]), -1)


def test_a_head_that_is_registered_is_trained_and_evaluated_with_its_options(
    lamofc: Lamofc, raw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HEADS, "bias", BiasHead)
    command = ("train", "bias", raw, "--feature", "h", "--epochs", 1, "-o", tmp_path / "head")
    assert lamofc(*command, "--json").document["options"] == {"scale": 3}
    assert lamofc(*command, "--head-option", "scale=2", "--json").document["options"] == {"scale": 2}
    ran = lamofc("eval", "head", tmp_path / "head", raw, "--json")
    assert ran.document["points"][0]["values"]["accuracy"] == pytest.approx(0.25)


def test_the_help_names_every_head(lamofc: Lamofc) -> None:
    text = lamofc("train", "--help").out
    assert all(re.search(rf"\b{kind}\b", text) for kind in HEADS)


WRONG = [
    (("train", "svm", "{raw}", "-o", "x"), "'svm' is no head", 2),
    (("train", "linear", "{raw}", "-o", "x", "--target", "colour"), "there is no column and no feature 'colour'", 3),
    (("train", "linear", "{raw}", "-o", "x", "--feature", "nothing"), "there is no feature 'nothing'", 3),
    (("train", "linear", "{raw}", "-o", "x", "--feature", "h", "--where", "false"), "no sample to train on", 2),
    (("train", "linear", "{raw}", "-o", "x", "--feature", "h", "--pool", "max"), "pool='max'", 2),
    (("train", "linear", "{raw}", "-o", "x", "--feature", "h", "--task", "depth"), "a linear head for depth", 2),
    (("train", "attentive", "{raw}", "-o", "x", "--head-option", "arms=2"), "has no option 'arms'", 2),
    (("train", "attentive", "{raw}", "-o", "x", "--head-option", "heads=two"), "heads='two' for the head attentive", 2),
    (("train", "dpt", "{raw}", "-o", "x", "--feature", "h"), "1 features for a DPT head", 2),
    (("eval", "head", "{raw}/lamofc.json", "{raw}"), "is no head", 2),
    (("eval", "head", "nowhere", "{raw}"), "there is no head nowhere", 3),
    (("eval", "head", "nowhere", "{raw}", "--feature", "h"), "there is no head nowhere", 3),
    (("eval", "head", "{head}", "{raw}", "--trained-on", "both", "--where", "fold = 9"), "no sample to evaluate on", 2),
    (("eval", "head", "{head}", "{raw}", "--trained-on", "luck"), "--trained-on luck", 2),
    (("fit", "{features}", "-o", "x", "--for-head", "nowhere"), "there is no head nowhere", 3),
    (("fit", "{features}", "-o", "x", "--for-head", "{head}", "--codec", "lloydmax"), "weight", 2),
    (("fit", "{features}", "-o", "x", "--for-head", "{head}", "--feature", "other"), "reads h: no sample", 2),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[1])
def test_what_is_wrong_is_said_in_two_lines(
    lamofc: Lamofc, place: Path, raw: str, head: str, wrong: tuple[tuple[str, ...], str, int]
) -> None:
    command, says, code = wrong
    known = {"raw": raw, "head": head, "features": place / "features"}
    ran = lamofc(*(word.format(**known) for word in command), "--json")
    assert ran.code == code, ran.err
    assert says in ran.err and len(ran.lines()) == 2, ran.err
    assert says in ran.document["error"]["message"] + ran.document["error"]["try"]

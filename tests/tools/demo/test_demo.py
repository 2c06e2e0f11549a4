"""The tour: a short one by default, the whole one where there is time."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from rich.console import Console

import lamofc_store
from lamofc_tools.demo import Picture, Settings, Step, maps, next_commands, show, tour
from lamofc_tools.demo.digits import Digits
from lamofc_tools.heads import fit_linear

Lamofc: TypeAlias = Callable[..., Any]
SHORT = Settings(epochs=2, count=240, head_epochs=1, codings=(("raw", None), ("klt", 10.0)))


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Step]]:
    """A short tour and where its stores are."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("demo")
    return folder, list(tour(folder, SHORT, lambda done, total: None))


def test_stores_hold_what_the_tour_says(steps: tuple[Path, list[Step]]) -> None:
    folder, (_, rates, accuracy, _) = steps
    for row in rates.document["rows"]:
        with lamofc_store.open(str(folder / row["store"])) as store:
            held = {feature["feature"]: feature for feature in store.info()["features"]}
            assert held[row["feature"]]["bpfp"] == row["bpfp"]
            assert len(store) == 240
    for row in accuracy.document["rows"][1:]:
        files = (path for path in (folder / row["store"]).rglob("*") if path.is_file())
        assert row["bytes"] == sum(path.stat().st_size for path in files)


def test_raw_scores_as_the_original_and_lossy_costs_less(steps: tuple[Path, list[Step]]) -> None:
    original, raw, lossy = steps[1][2].document["rows"]
    assert {name: raw[name] for name in ("block.2", "block.4")} == {n: original[n] for n in ("block.2", "block.4")}
    assert original["bytes"] == 240 * 2 * 17 * 64 * 4
    assert lossy["bytes"] < raw["bytes"] < original["bytes"]


def test_profiles_never_saw_held_out_digits(steps: tuple[Path, list[Step]]) -> None:
    with lamofc_store.open(str(steps[0] / "klt-10dB")) as store:
        assert store.sql("SELECT count(DISTINCT profile) FROM records").fetchall() == [(2,)]
        verbs = [commit["verb"] for commit in reversed(store.log())]
        assert verbs == ["fit", "ingest", "ingest"]
        assert store.sql("SELECT count(*) FROM samples WHERE split = 'train'").fetchall() == [(180,)]


def test_maps_of_ink_and_of_distances() -> None:
    image = torch.zeros(8, 8)
    image[2, 3] = 1.0
    data = Digits(image[None], torch.tensor([7]), 1)
    assert maps.segments(data)[0].nonzero().tolist() == [[2, 3]] and maps.segments(data)[0, 2, 3] == 8
    far = maps.distances(data)[0]
    assert far[2, 3] == 0.5 and far[2, 7] == 4.5 and far[5, 7] == 5.5


def test_three_tasks_are_judged_at_every_rate(steps: tuple[Path, list[Step]]) -> None:
    folder, rows = steps[0], steps[1][3].document["rows"]
    assert [row["read"] for row in rows] == ["original", "klt, 20 dB", "read at 10 dB", "read at 5 dB"]
    rates = [row["bpfp"] for row in rows]
    assert rates[0] > 20 > 5 > rates[1] >= rates[2] >= rates[3]
    for row in rows:
        assert 0 <= row["ink_miou"] <= 1 and row["distance_rmse"] > 0 and row["linear"] > 0.3 and row["nearest"] > 0.15
    with lamofc_store.open(str(folder / "four-blocks-klt-20dB")) as store:
        assert len(store.features) == 6
        assert store["digit_0003", "distance"].shape == (8, 8)


def test_pages_fit_eighty_columns(steps: tuple[Path, list[Step]]) -> None:
    console = Console(file=StringIO(), width=80, highlight=False, soft_wrap=True)
    for step in steps[1]:
        show(console, step)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    assert any("klt-10dB" in line for line in lines)
    assert all(len(line) <= 80 for line in next_commands("digits", ["raw"]).splitlines())


def test_command_prints_one_document(lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(
        "lamofc_tools.demo.Settings", lambda epochs, picture: replace(SHORT, count=120, head_epochs=0, picture=picture)
    )
    document = lamofc("demo", "--json", "--keep", tmp_path / "kept").document
    assert set(document) == {"model", "rates", "accuracy", "tasks"}
    assert document["tasks"]["rows"] == []
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["klt-10dB", "raw"]


@pytest.mark.slow
def test_a_picture_of_codecs_is_drawn_where_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("compressai")
    settings = replace(
        SHORT, count=120, codings=(("raw", None),), head_epochs=0, picture=Picture(tmp_path / "a.png", steps=2)
    )
    *_, step = tour(tmp_path, settings, lambda done, total: None)
    found = [(row["curve"], row["setting"]) for row in step.document["rows"]]
    assert {curve for curve, _ in found} == {"raw", "klt", "uniform", "hyperprior"} and len(set(found)) == len(found)
    assert all(0 <= row["accuracy"] <= 1 and 0 <= row["miou"] <= 1 for row in step.document["rows"])
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    console = Console(file=StringIO(), width=80, highlight=False, soft_wrap=True)
    show(console, step)
    assert "Accuracy against bits" in console.file.getvalue()  # type: ignore[attr-defined]


def test_missing_digits_are_answered_with_the_install_line(lamofc: Lamofc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    ran = lamofc("demo")
    assert (ran.code, ran.lines()[1]) == (1, "try: pip install 'lamofc-store[demo]'")


def test_linear_head_finds_a_line() -> None:
    inputs = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 30 + 7
    targets = (inputs[:, 2] > 7).long()
    head = fit_linear(inputs, targets, classes=2)
    assert head.accuracy(inputs, targets) > 0.97
    assert head.weight.shape == (5, 2)


@pytest.mark.slow
def test_whole_tour(lamofc: Lamofc, tmp_path: Path) -> None:
    ran = lamofc("demo", "--json", "--keep", tmp_path)
    assert ran.document["model"]["accuracy"] > 0.95
    original, *stores = ran.document["accuracy"]["rows"]
    for row in stores:
        assert row["block.4"] > original["block.4"] - 0.02
    first, fine, *_ = ran.document["tasks"]["rows"]
    assert first["ink_miou"] > 0.7 and abs(fine["ink_miou"] - first["ink_miou"]) < 0.03
    assert first["distance_rmse"] < 0.4 and abs(fine["distance_rmse"] - first["distance_rmse"]) < 0.04
    assert lamofc("verify", tmp_path / "klt-10dB").code == 0

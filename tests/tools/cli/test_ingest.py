"""`lamofc ingest` and `lamofc fit`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lamofc_store
from lamofc_codecs import Sizes
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_store.codecs import Profile

Lamofc: TypeAlias = Callable[..., Any]
FeaturesOf: TypeAlias = Callable[[int], dict[str, torch.Tensor]]
SAMPLES = 6


def test_report_counts_what_came_in(lamofc: Lamofc, features_of: FeaturesOf, source: Path, tmp_path: Path) -> None:
    ran = lamofc("ingest", source, tmp_path / "s", "--json")
    report = ran.document
    raw = sum(tensor.nbytes for number in range(SAMPLES) for tensor in features_of(number).values())
    assert (ran.code, ran.err) == (0, "")
    assert (report["samples"], report["records"], report["skipped"]) == (SAMPLES, 2 * SAMPLES, 0)
    assert report["raw_bytes"] == raw
    assert report["ratio"] == raw / report["stored_bytes"]
    assert set(report["profiles"]) == {"layer.1", "layer.2"}


def test_report_counts_the_whole_store(lamofc: Lamofc, features_of: FeaturesOf, source: Path, tmp_path: Path) -> None:
    """Records are not all that a store takes: profiles and rows are counted from their files."""
    place = tmp_path / "s"
    whole = lamofc("ingest", source, place, "--json").document["store"]
    payload = lamofc("info", place, "--json").document["bytes"]
    profiles = sum(file.stat().st_size for file in (place / "profiles").iterdir())
    rows = sum(file.stat().st_size for file in (place / "rows").iterdir())
    raw = sum(tensor.nbytes for number in range(SAMPLES) for tensor in features_of(number).values())
    assert (whole["record_bytes"], whole["profile_bytes"], whole["row_bytes"]) == (payload, profiles, rows)
    assert whole["bytes"] == payload + profiles + rows
    assert (whole["raw_bytes"], whole["ratio"]) == (raw, raw / whole["bytes"])
    shown = lamofc("ingest", source, place).out
    assert "with profiles and rows" in shown
    assert lamofc("ingest", source, place, "--json").document["store"]["raw_bytes"] == raw


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        ("warp", "--device warp is no device of torch"),
        ("cuda:99", "--device cuda:99 is not there: torch sees 0 CUDA devices"),
    ],
)
def test_a_device_that_is_not_there_is_a_usage_error(
    lamofc: Lamofc, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, fault: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    ran = lamofc("ingest", source, tmp_path / "s", "--device", device)
    assert (ran.code, ran.lines()[0]) == (2, f"error: {fault}")
    assert ran.lines()[1:] == ["try: --device auto or cpu, or cuda where there is a GPU"]
    assert not (tmp_path / "s").exists()


def test_a_name_that_the_source_lacks_is_not_found(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    features = lamofc("ingest", source, tmp_path / "s", "--feature", "layer10")
    (tmp_path / "bad.csv").write_text("id,label\nimg_0,1\n")
    table = lamofc("ingest", source, tmp_path / "s", "--table", tmp_path / "bad.csv")
    assert (features.code, table.code) == (3, 3)
    assert "no feature that matches layer10" in features.lines()[0]
    assert "no column 'sample'" in table.lines()[0]
    assert not (tmp_path / "s").exists()


def test_the_same_again_changes_nothing(lamofc: Lamofc, source: Path, store: Path) -> None:
    ran = lamofc("ingest", source, store, "--json")
    assert ran.document["already"] == 2 * SAMPLES
    assert ran.document["commits"] == []
    assert "already stored  12" in lamofc("ingest", source, store).out


def test_dry_run_tells_and_writes_nothing(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    ran = lamofc("ingest", source, tmp_path / "s", "--dry-run", "--pattern", "layer.2=b t c -> (b t) c", "--snr", "12")
    assert ran.code == 0
    assert "6 .safetensors" in ran.out
    assert "snr_db=12" in ran.out
    assert "b t c -> (b t) c" in ran.out
    assert "7 x 24" in ran.out
    assert not (tmp_path / "s").exists()


def test_dry_run_names_the_quality_that_ingest_then_uses(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    for codec, expected in (("uniform", "snr_db=15"), ("lloydmax", None)):
        place = tmp_path / codec
        assert lamofc("ingest", source, place, "--codec", codec, "--dry-run", "--json").document["quality"] == expected
        lamofc("ingest", source, place, "--codec", codec)
        used = {row["quality"] for row in lamofc("ls", place, "img_0", "--json").document}
        assert used == {expected or ""}


def test_dry_run_as_json(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    document = lamofc("ingest", source, tmp_path / "s", "--dry-run", "--json").document
    first = document["features"][0]
    assert (first["feature"], first["dtype"], first["channels"]) == ("layer.1", "float32", 24)


def test_lossless_gives_every_bit_back(lamofc: Lamofc, features_of: FeaturesOf, source: Path, tmp_path: Path) -> None:
    assert lamofc("ingest", source, tmp_path / "s", "--lossless").code == 0
    with lamofc_store.open(str(tmp_path / "s")) as opened:
        assert torch.equal(opened["img_3", "layer.2"], features_of(3)["layer.2"])


def test_each_quality_is_aimed_at(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    for option, value, column, most in (
        ("--mse", 0.01, "mse", 0.0101),
        ("--max-error", 0.2, "max_error", 0.2 * 129 / 128),
    ):
        place = tmp_path / option.strip("-")
        assert lamofc("ingest", source, place, option, value).code == 0
        for feature in lamofc("info", place, "--json").document["features"]:
            assert 0 < feature[column] <= most  # rows keep max_error in 8 bits, rounded up


def test_features_are_chosen_by_globs(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    assert lamofc("ingest", source, tmp_path / "s", "--feature", "*.1").code == 0
    assert [row["feature"] for row in lamofc("info", tmp_path / "s", "--json").document["features"]] == ["layer.1"]


def test_table_brings_columns(lamofc: Lamofc, source: Path, table: Path, tmp_path: Path) -> None:
    lamofc("ingest", source, tmp_path / "s", "--table", table)
    listed = lamofc("ls", tmp_path / "s", "--where", "label = 1", "--json").document
    assert [row["sample"] for row in listed] == ["img_1", "img_3", "img_5"]


def test_other_quality_is_a_conflict_unless_overwritten(lamofc: Lamofc, source: Path, store: Path) -> None:
    refused = lamofc("ingest", source, store, "--snr", "5")
    assert refused.code == 4
    assert "--overwrite" in refused.err
    assert lamofc("ingest", source, store, "--snr", "5", "--overwrite").code == 0
    assert all(row["quality"] == "snr_db=5" for row in lamofc("ls", store, "img_0", "--json").document)


def test_fit_of_one_feature_is_a_file_that_ingest_takes(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.safetensors"
    fitted = lamofc("fit", source, "-o", file, "--feature", "layer.1", "--json").document["profiles"]
    assert [row["id"] for row in fitted] == [Profile.load(file).id]
    ran = lamofc("ingest", source, tmp_path / "s", "--feature", "layer.1", "--profile", file, "--json")
    assert ran.document["profiles"] in ({}, {"layer.1": fitted[0]["id"]})
    with lamofc_store.open(str(tmp_path / "s")) as opened:
        assert opened.sql("SELECT DISTINCT profile FROM records").fetchall() == [(fitted[0]["id"],)]


def test_fit_of_several_features_is_a_folder(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    ran = lamofc("fit", source, "-o", tmp_path / "profiles", "--codec", "lloydmax")
    assert ran.code == 0
    assert sorted(path.name for path in (tmp_path / "profiles").iterdir()) == [
        "layer.1.safetensors",
        "layer.2.safetensors",
    ]


def test_a_fit_follows_a_paper_as_an_ingest_does(lamofc: Lamofc, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "dinov2" / "dpt" / "feature"
    folder.mkdir(parents=True)
    for number in range(2):
        np.save(folder / f"s{number}.npy", np.random.default_rng(number).normal(0, 3, (2, 4, 33, 40)).astype("float32"))
    drawn_weights(Sizes("hyperprior", 8, 12)).save(tmp_path / "w.safetensors")
    coding = ("--codec", "hyperprior", "--option", f"weights={tmp_path}/w.safetensors", "--as-published", "lamofc")
    file = tmp_path / "p.safetensors"
    (row,) = lamofc("fit", tmp_path / "in", "-o", file, *coding, "--json").document["profiles"]
    assert row["feature"] == "dpt.0+dpt.1+dpt.2+dpt.3"
    config = Profile.load(file).config
    assert (config["tile"], config["fill"], config["range"][0]) == (0, "zero", [-1.0, 1.0])
    assert lamofc("ingest", tmp_path / "in", tmp_path / "s", *coding).code == 0
    with lamofc_store.open(str(tmp_path / "s")) as opened:
        assert opened.sql("SELECT DISTINCT profile FROM records").fetchall() == [(row["id"],)]
    refused = lamofc("fit", tmp_path / "in", "-o", file, "--as-published", "lamofc")
    assert refused.code == 2 and "prints nothing of codec 'klt'" in refused.err


def test_a_plan_shows_what_is_coded_together(lamofc: Lamofc, tmp_path: Path) -> None:
    source = tmp_path / "caches"
    source.mkdir()
    for number in range(3):
        names = ("layer.0.k", "layer.0.v", "layer.1.k", "layer.1.v", "pooled")
        tensors = {name: torch.randn(1 if name == "pooled" else 20, 8) for name in names}
        save_file(tensors, source / f"{number}.safetensors")
    options = ("--group", "layer.0.{k,v}", "--group", "layer.1.*", "--dry-run")
    told = lamofc("ingest", source, tmp_path / "s", *options)
    assert "features of one group are coded together" in told.out
    lines = {
        line.split()[0]: line.split()[-1] for line in told.out.splitlines() if line.startswith(("layer", "pooled"))
    }
    assert lines == {"layer.0.k": "1", "layer.0.v": "1", "layer.1.k": "2", "layer.1.v": "2", "pooled": "-"}
    planned = lamofc("ingest", source, tmp_path / "s", *options, "--json").document["features"]
    assert [row["group"] for row in planned] == ["layer.0.k+layer.0.v"] * 2 + ["layer.1.k+layer.1.v"] * 2 + [""]
    assert "group" not in lamofc("ingest", source, tmp_path / "s", "--dry-run").out.splitlines()[3]


def test_a_fit_sees_all_of_a_source_with_a_table(lamofc: Lamofc, tmp_path: Path) -> None:
    """Columns from a table take nothing away from what a source can do."""
    source = tmp_path / "sorted"
    source.mkdir()
    for number in range(200):
        hidden = torch.randn(8, 4, generator=torch.Generator().manual_seed(number)) + 100 * (number >= 100)
        save_file({"x": hidden}, source / f"{number:03}.safetensors")
    (tmp_path / "t.csv").write_text("sample,label\n000,1\n")
    assert lamofc("ingest", source, tmp_path / "s", "--table", tmp_path / "t.csv", "--codec", "uniform").code == 0
    with lamofc_store.open(str(tmp_path / "s")) as opened:
        identity = opened.sql("SELECT profile FROM records LIMIT 1").fetchall()[0][0]
        assert (opened.profiles[identity].tensors["bulk_mean"] - 50).abs().max() < 5


def test_a_codec_is_told_its_options(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    store, told = tmp_path / "told", ("--option", "waves=false", "--option", "means=0", "--option", "transform=none")
    assert lamofc("ingest", source, store, *told).code == 0
    with lamofc_store.open(str(store)) as opened:
        ids = [row[0] for row in opened.sql("SELECT DISTINCT profile FROM records").fetchall()]
        configs = [opened.profiles[identity].config for identity in ids]
    assert [(one["waves"], one["means"], one["transform"]) for one in configs] == [(False, 0, "none")] * 2
    assert lamofc("ingest", source, store, "--option", "means=0").code == 0
    other = lamofc("ingest", source, store, "--option", "means=16")
    assert (other.code, "was fitted with means=0, not 16" in other.err) == (2, True)
    unknown = lamofc("ingest", source, store, "--option", "meens=16")
    assert (unknown.code, unknown.err) == (2, "error: codec 'klt' has no option 'meens'\ntry: lamofc codec show klt\n")
    assert "means, components, ranges, waves" in lamofc("codec", "show", "klt").out
    file = tmp_path / "p.safetensors"
    assert lamofc("fit", source, "-o", file, "--option", "levels=1", "--feature", "layer.1").code == 0
    assert Profile.load(file).config["levels"] == 1
    both = lamofc("ingest", source, tmp_path / "s", "--profile", file, "--option", "levels=2", "--feature", "layer.1")
    assert (both.code, "fitted already" in both.err) == (2, True)

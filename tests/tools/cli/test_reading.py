"""`lamofc ls log get export sql`."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import lamofc_store

Lamofc: TypeAlias = Callable[..., Any]
FeaturesOf: TypeAlias = Callable[[int], dict[str, torch.Tensor]]
SAMPLES = 6


def test_ls_of_samples_and_of_features(lamofc: Lamofc, made: Path) -> None:
    assert [row["sample"] for row in lamofc("ls", made, "--json").document] == [f"img_{n}" for n in range(SAMPLES)]
    assert len(lamofc("ls", made, "--limit", 2).out.splitlines()) == 3
    listed = lamofc("ls", made, "img_2", "--json").document
    assert [(row["feature"], row["shape"]) for row in listed] == [("layer.1", [7, 24]), ("layer.2", [1, 7, 24])]


def test_ls_takes_a_glob(lamofc: Lamofc, features_of: FeaturesOf, made: Path, tmp_path: Path) -> None:
    def listed(*arguments: object) -> list[str]:
        return [row["sample"] for row in lamofc("ls", *arguments, "--json").document]

    assert listed(made, "img_[24]") == ["img_2", "img_4"]
    assert listed(made, "img*", "--limit", 3, "--where", "sample <> 'img_0'") == ["img_1", "img_2", "img_3"]
    nothing = lamofc("ls", made, "dog*")
    assert (nothing.code, len(nothing.lines())) == (3, 2)
    assert "'dog*'" in nothing.lines()[0]
    with lamofc_store.open(str(tmp_path / "s"), "w") as store:
        store.ingest({"a*": features_of(0), "ab": features_of(1)}, codec="raw")
    assert [row["feature"] for row in lamofc("ls", tmp_path / "s", "a*", "--json").document] == ["layer.1", "layer.2"]


def test_ls_of_nobody_is_not_found(lamofc: Lamofc, made: Path) -> None:
    assert lamofc("ls", made, "nobody").code == 3


def test_ls_with_a_bad_condition_names_it(lamofc: Lamofc, made: Path) -> None:
    ran = lamofc("ls", made, "--where", "colour = 'red'")
    assert (ran.code, len(ran.lines())) == (2, 2)
    assert "colour = 'red'" in ran.err
    assert "EXCLUDE" not in ran.err


def test_log_is_newest_first(lamofc: Lamofc, store: Path) -> None:
    lamofc("forget", store, "img_0")
    rows = lamofc("log", store, "--json").document
    assert [row["verb"] for row in rows] == ["forget", "ingest", "fit"]
    assert [row["n"] for row in rows] == [2, 1, 0]
    assert lamofc("log", store, "--limit", 1).out.splitlines()[1].split()[0] == "2"


def test_as_of_reads_the_past(lamofc: Lamofc, store: Path) -> None:
    lamofc("forget", store, "img_0")
    assert len(lamofc("ls", store, "--json").document) == SAMPLES - 1
    assert len(lamofc("ls", store, "--json", "--as-of", 1).document) == SAMPLES
    assert lamofc("get", store, "img_0", "--as-of", 1).code == 0
    assert lamofc("info", store, "--as-of", 99).code == 3


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "pt"])
def test_get_of_a_sample(lamofc: Lamofc, made: Path, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    assert lamofc("get", made, "img_1", "-o", file).code == 0
    with lamofc_store.open(str(made)) as opened:
        expected = opened["img_1"]
    if suffix == "npz":
        loaded = {name: torch.from_numpy(array) for name, array in np.load(file).items()}
        assert loaded["layer.2"].dtype == torch.float32
    else:
        loaded = load_file(file) if suffix == "safetensors" else torch.load(file)
        assert loaded["layer.2"].dtype == torch.bfloat16
    assert set(loaded) == set(expected)
    assert all(torch.equal(loaded[name].float(), expected[name].float()) for name in expected)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_get_of_one_feature_as_npy(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    ran = lamofc("get", made, "img_1", "layer.1", "-o", tmp_path / "a.npy", "--json")
    assert ran.document["features"][0]["shape"] == list(np.load(tmp_path / "a.npy").shape) == [6, 24]


def test_get_without_a_file_describes(lamofc: Lamofc, made: Path) -> None:
    ran = lamofc("get", made, "img_1")
    assert "1x7x24" in ran.out
    assert "bfloat16" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("img_1", "-o", "a.npy"), 2),  # two features do not fit into .npy
        (("img_1", "-o", "a.txt"), 2),
        (("img_1", "layer.9"), 3),
        (("nobody",), 3),
    ],
)
def test_get_of_what_cannot_be_had(
    lamofc: Lamofc, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lamofc("get", made, *arguments)
    assert (ran.code, len(ran.lines())) == (code, 2)
    assert not list(tmp_path.iterdir())


def test_export_comes_in_again(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    ran = lamofc("export", made, tmp_path / "out", "--json")
    assert (ran.document["samples"], ran.document["files"]) == (SAMPLES, SAMPLES)
    assert lamofc("export", made, tmp_path / "out", "--json").document["files"] == 0
    assert lamofc("ingest", tmp_path / "out", tmp_path / "again", "--lossless").code == 0
    with lamofc_store.open(str(made)) as first, lamofc_store.open(str(tmp_path / "again")) as second:
        assert torch.equal(first["img_4", "layer.2"], second["img_4", "layer.2"])


def test_export_over_another_is_a_conflict(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    assert lamofc("export", made, tmp_path / "out").code == 0
    assert lamofc("export", made, tmp_path / "out", "--format", "npz").code == 4
    assert lamofc("export", made, tmp_path / "out", "--format", "npz", "--overwrite").code == 0


QUERY = "SELECT feature, count(*) AS n, avg(bpfp) AS rate, sum(elements) AS points FROM records GROUP BY 1 ORDER BY 1"


def test_sql_in_every_format(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    rows = lamofc("sql", made, QUERY, "--format", "json").document
    assert [row["feature"] for row in rows] == ["layer.1", "layer.2"]
    assert rows[1]["points"] == SAMPLES * 7 * 24
    assert lamofc("sql", made, QUERY, "--json").document == rows
    read = list(csv.DictReader(io.StringIO(lamofc("sql", made, QUERY, "--format", "csv").out)))
    assert [float(row["rate"]) for row in read] == [row["rate"] for row in rows]
    assert lamofc("sql", made, QUERY, "--format", "table").out.split()[:4] == ["feature", "n", "rate", "points"]
    lamofc("sql", made, QUERY, "--format", "parquet", "-o", tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet")["n"].to_pylist() == [SAMPLES, SAMPLES]
    lamofc("sql", made, QUERY, "--format", "csv", "-o", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == lamofc("sql", made, QUERY, "--format", "csv").out


def test_sql_of_no_rows_is_still_a_document(lamofc: Lamofc, made: Path) -> None:
    assert lamofc("sql", made, "SELECT * FROM records WHERE false", "--json").document == []


def test_what_json_lacks_becomes_null(lamofc: Lamofc, made: Path) -> None:
    row = lamofc(
        "sql", made, "SELECT 'nan'::DOUBLE AS a, TIMESTAMP '2026-01-02' AS b, 1.5::DECIMAL(9,2) AS c", "--json"
    )
    assert row.document == [{"a": None, "b": "2026-01-02T00:00:00", "c": 1.5}]


@pytest.mark.parametrize(
    "query",
    [
        "SELEC 1",
        "SELECT nothing FROM records",
        "SELECT error('boom') FROM records",
        "SELECT CAST(feature AS INT) FROM records",
    ],
)
def test_bad_sql_is_two_lines(lamofc: Lamofc, made: Path, query: str) -> None:
    ran = lamofc("sql", made, query)
    assert (ran.code, len(ran.lines()), ran.out.count("\n") <= 1) == (2, 2, True)


@pytest.mark.parametrize("words", [("get", "img_1", "-o", "x.npz"), ("sql", "FROM samples", "-o", "x.csv")])
def test_a_file_in_a_folder_that_is_not_there_is_refused(
    lamofc: Lamofc, made: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    verb, *rest, file = words
    folder = tmp_path / "nowhere"
    ran = lamofc(verb, made, *rest, folder / file)
    assert (ran.code, ran.out) == (3, "")
    assert ran.lines() == [
        f"error: there is no folder {folder} for {file}",
        "try: make the folder, or name another file",
    ]
    assert not folder.exists()


def test_locked_sql_reads_views_only(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    query = f"SELECT * FROM '{tmp_path}/secret.csv'"
    assert lamofc("sql", made, query).code == 0
    refused = lamofc("sql", made, query, "--locked")
    assert (refused.code, refused.out) == (2, "")
    assert len(lamofc("sql", made, "FROM commits", "--locked", "--json").document) == 2


@pytest.mark.parametrize(
    "query",
    ["SELECT sum(a.range * b.range) FROM range(1000000000) a, range(1000000000) b", "FROM range(1000000000000)"],
)
def test_sql_ends_with_its_seconds(lamofc: Lamofc, made: Path, tmp_path: Path, query: str) -> None:
    ran = lamofc("sql", made, query, "--locked", "--seconds", 0.2, "--format", "csv", "-o", tmp_path / "rows.csv")
    assert (ran.code, ran.out) == (2, "")
    assert "Interrupted" in ran.lines()[0]
    assert "more seconds" in ran.lines()[1]
    assert not (tmp_path / "rows.csv").exists()


def test_control_characters_stay_out_of_the_terminal(lamofc: Lamofc, made: Path) -> None:
    out = lamofc("sql", made, "SELECT chr(27) || '[31mred' AS a").out
    assert "\x1b" not in out


def test_figures_agree_with_the_tensors(lamofc: Lamofc, features_of: FeaturesOf, made: Path) -> None:
    with lamofc_store.open(str(made)) as opened:
        decoded = [opened[f"img_{number}", "layer.1"] for number in range(SAMPLES)]
    errors = [(features_of(n)["layer.1"] - decoded[n]).double() for n in range(SAMPLES)]
    mse = sum(float(error.square().sum()) for error in errors) / sum(error.numel() for error in errors)
    told = json.loads(lamofc("info", made, "--json").out)["features"][0]
    assert math.isclose(told["mse"], mse, rel_tol=1e-5)
    largest = max(float(error.abs().max()) for error in errors)
    assert largest <= told["max_error"] <= largest * 129 / 128  # kept in 8 bits, rounded up


def test_a_lower_rate_is_read_on_the_command_line(lamofc: Lamofc, made: Path, tmp_path: Path) -> None:
    mixing = torch.randn(48, 48, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 49) ** -0.8
    tensors = [torch.randn(200, 48, generator=torch.Generator().manual_seed(n)) @ mixing.T for n in range(8)]
    place = tmp_path / "s"
    with lamofc_store.create(str(place)) as store:
        samples = [lamofc_store.Sample(f"s{n}", {"x": tensor}) for n, tensor in enumerate(tensors)]
        in_nats = {"weight": torch.ones(48), "weight_nats": 0.5}
        store.ingest(samples, quality=lamofc_store.Quality(snr_db=20), codec_options=in_nats)
    kl = 0.5 * 48 * float(tensors[3].var()) / 10**0.8

    def off(path: Path) -> float:
        found = next(iter(load_file(path).values()))
        return float(10 * torch.log10(tensors[3].var() / (found - tensors[3]).square().mean()))

    for option, low, high in (
        ([], 19.5, 21),
        (["--snr", 8], 8, 14),
        (["--bpfp", 0.001], 1, 8),
        (["--kl", kl], 8.0, 14),
    ):
        assert lamofc("get", place, "s3", "-o", tmp_path / "one.safetensors", *option).code == 0
        assert low < off(tmp_path / "one.safetensors") < high
        folder = tmp_path / f"out{len(option)}{low}"
        assert lamofc("export", place, folder, *option).code == 0
        assert low < off(folder / "s3.safetensors") < high
    assert lamofc("export", place, folder, "--snr", 8).code == 4
    both = lamofc("get", place, "s3", "--snr", 8, "--bpfp", 1)
    assert (both.code, "--snr 8 beside --bpfp 1" in both.err) == (2, True)
    unknown = lamofc("get", made, "img_3", "layer.1", "--kl", 1)
    assert (unknown.code, "not known in nats" in unknown.err) == (2, True)


def test_heads_are_evaluated_at_several_rates() -> None:
    from lamofc_tools.cli.console import RateOptions

    rates = RateOptions(snr=[8.0], bpfp=[0.5], kl=[0.1, 1.0])
    assert list(map(str, rates.qualities())) == ["snr_db=8", "bpfp=0.5", "kl=0.1", "kl=1"]

"""`lamofc fit`, `ingest` and `extract` for a model: from texts or features to profiles that weigh and turn."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from safetensors.torch import load_file, save_file

import lamofc_store
from lamofc_codecs import Profile
from lamofc_tools.consumer import ModelMetric, Split, TextReplay
from lamofc_tools.models import SourceOptions, extract_to_files, open_model, open_source
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]
CACHES = [f"layer.{block}.{kv}_cache" for block in (0, 1) for kv in "kv"]
FEATURES = sorted([*CACHES, "layer.1.output"])


def long_texts(path: Path, count: int, longest: int = 44) -> Path:
    """Lines of texts of 36 tokens or more."""
    draw = torch.Generator().manual_seed(count)
    lines = []
    for number in range(count):
        row = torch.randint(len(tiny_models.WORDS), (36 + number % (longest - 35),), generator=draw)
        lines.append({"id": f"t{number}", "text": " ".join(tiny_models.WORDS[place] for place in row.tolist())})
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.language(tmp_path_factory.mktemp("model") / "llama", "llama")


def fine_tuned(model: str, folder: Path) -> str:
    """Another model in a folder of the same name."""
    tuned = Path(shutil.copytree(model, folder / Path(model).name))
    weights = load_file(tuned / "model.safetensors")
    weights["model.norm.weight"] *= 1.5
    save_file(weights, tuned / "model.safetensors", {"format": "pt"})
    return str(tuned)


@pytest.fixture(scope="module")
def files(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features after block 1 of 16 texts, in files."""
    folder = tmp_path_factory.mktemp("features")
    source = open_source(model, str(long_texts(folder / "texts.jsonl", 16)), SourceOptions(blocks=[1], dtype="float32"))
    extract_to_files(source, folder / "files", "lamofcbench")
    return folder / "files"


def test_an_extraction_codes_for_the_rest_of_the_model(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    texts, place, kept = long_texts(tmp_path / "a.jsonl", 9), tmp_path / "store", tmp_path / "metric"
    command = ("extract", model, texts, place, "--block", 1, "--json")
    ran = lamofc(*command, "--metric", kept)
    assert ran.code == 0, ran.err
    assert "coding for llama@1: features in one group" in ran.err and "kl=0.05; --plain" in ran.err
    assert "measuring what llama@1 feels: 8 texts of 37 tokens" in ran.err
    with lamofc_store.open(str(place)) as store:
        ((profile, quality),) = store.sql("SELECT profile, quality FROM profiles").fetchall()
        config = store.profiles[profile].config
        named = store.sql("SELECT config->>'consumer', config->>'consumer_digest' FROM profiles").fetchall()
        assert store["t3", "layer.0.k_cache"].shape == (1, 2, 39, 8)
    assert [name for name, _ in config["parts"]] == FEATURES and quality == "kl=0.05"
    assert config["consumer"] == "llama@1" and config["weight_nats"] == 0.5
    assert [bool(turned) for turned in config["rotary"]] == [name[-7:] == "k_cache" for name in FEATURES]
    metric = ModelMetric.load(kept)
    assert named == [("llama@1", metric.consumer_digest)]
    assert metric.consumer == "llama@1" and sorted(metric.rotary) == CACHES[::2] and metric.tokens == 8 * 28
    long_texts(tmp_path / "a.jsonl", 14)
    again = lamofc(*command)
    assert (again.document["samples"], again.document["already"]) == (5, 9), again.err
    assert "measuring" not in again.err  # the store has the profile
    last = long_texts(tmp_path / "b.jsonl", 15).read_text().splitlines()[-1]
    (tmp_path / "b.jsonl").write_text(last)
    for words, store in (((), place), (("--kl", 0.02), place), (("--metric", kept), tmp_path / "new")):
        (tmp_path / "b.jsonl").write_text(last.replace("t14", f"one{len(words)}"))
        one = lamofc("extract", model, tmp_path / "b.jsonl", store, "--block", 1, *words)
        assert one.code == 0 and "coding for llama@1" in one.err, one.err
        with lamofc_store.open(str(store)) as opened:
            assert opened.sql("SELECT DISTINCT config->>'consumer' FROM profiles").fetchall() == [("llama@1",)]
    assert lamofc("export", place, tmp_path / "plain").code == 0
    command = ("ingest", tmp_path / "plain", tmp_path / "again", "--for-model", f"{model}@1", "--metric", kept)
    ran = lamofc(*command, "--json")
    assert ran.code == 0 and ran.document["records"] == 16 * 5, ran.err
    tiny_models.language(tmp_path / "qwen3", "qwen3")
    other = lamofc("extract", tmp_path / "qwen3", tmp_path / "b.jsonl", place, "--block", 1)
    assert (
        other.code == 2
        and "1 texts of 32 tokens or more (of 1, the longest of" in other.err
        and "or a known --metric" in other.err
    )


def test_what_the_user_says_of_an_extraction_goes_first(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    texts = long_texts(tmp_path / "a.jsonl", 9)

    def profiles(name: str, *words: object) -> tuple[str, list[tuple[Any, ...]]]:
        ran = lamofc("extract", model, texts, tmp_path / name, *words)
        assert ran.code == 0, ran.err
        with lamofc_store.open(str(tmp_path / name)) as store:
            rows = store.sql("SELECT features, quality, profile FROM profiles ORDER BY features").fetchall()
            return ran.err, [(features, quality, store.profiles[profile].config) for features, quality, profile in rows]

    err, rows = profiles("snr", "--block", 1, "--snr", 9)
    assert "coding" not in err and [row[0] for row in rows] == [[name] for name in FEATURES]
    assert all("consumer" not in config and ("rotary" in config) == ("k_cache" in f[0]) for f, _, config in rows)
    err, rows = profiles("plain", "--block", 1, "--plain")
    assert {row[1] for row in rows} == {"snr_db=15"} and not any("consumer" in row[2] for row in rows)
    found = [f"{f[0]}: rotary positions of theta" for f, _, config in rows if "rotary" in config]
    assert len(err.splitlines()) == len(found) and all(line in err for line in found)
    for name in ("plain", "snr"):
        err, again = profiles(name, "--block", 1, *(("--snr", 9) if name == "snr" else ()))
        assert ("coding without regard to what reads the features, as" in err) == (name == "plain")
        assert len(again) == 5 and len(err.splitlines()) == (name == "plain")
    err, rows = profiles("last", "--no-caches")
    assert err == "" and [row[0] for row in rows] == [["layer.3.output"]]
    err, rows = profiles("alone", "--block", 1, "--no-caches", "--kl", 0.2)
    assert [(row[0], row[1], row[2]["consumer"]) for row in rows] == [(["layer.1.output"], "kl=0.2", "llama@1")]
    texts = tiny_models.texts(tmp_path / "texts", 9)
    err, rows = profiles("short", "--block", 1)
    assert (
        "coding without regard to what reads the features: 0 texts of 32 tokens or more (of 9, the longest of 6)" in err
    )
    assert len(rows) == 5 and "rotary" in rows[0][2]


def test_features_are_fitted_and_stored_for_a_model(lamofc: Lamofc, model: str, files: Path, tmp_path: Path) -> None:
    metric, profile = tmp_path / "metric", tmp_path / "p.safetensors"
    ran = lamofc("fit", files, "-o", profile, "--for-model", f"{model}@1", "--metric", metric)
    assert ran.code == 0, ran.err
    assert "measuring what llama@1 feels: 16 samples" in ran.err
    fitted = Profile.load(profile)
    assert fitted.config["consumer"] == "llama@1" and fitted.config["quality"] == {"kl": 0.05}
    assert [name for name, _ in fitted.config["parts"]] == FEATURES
    assert "llama@1" in lamofc("codec", "show", profile).out
    again = lamofc("fit", files, "-o", tmp_path / "q.safetensors", "--for-model", metric)
    assert "measuring" not in again.err and Profile.load(tmp_path / "q.safetensors").data == fitted.data
    place = tmp_path / "store"
    command = ("ingest", files, place, "--for-model", f"{model}@1", "--metric", metric, "--kl", 0.02)
    assert "kl=0.02" in lamofc(*command, "--dry-run").out
    ran = lamofc(*command, "--json")
    assert ran.document["records"] == 16 * 5 and ran.err == ""
    assert lamofc("ingest", files, place, "--for-model", f"{model}@1", "--kl", 0.02, "--json").document["already"] == 80
    tuned = fine_tuned(model, tmp_path / "tuned")
    for words, said, cure in (
        (("--metric", metric), "metric of llama@1 that was measured on other weights", "another as --metric"),
        ((), "consumer_digest='", "into another store"),
    ):
        ran = lamofc("ingest", files, place, "--for-model", f"{tuned}@1", "--kl", 0.02, *words)
        assert ran.code == 2 and said in ran.err and cure in ran.err, ran.err
    ran = lamofc(
        "fit", files, "-o", tmp_path / "r", "--for-model", metric, "--feature", "*cache", "--group", "*.k*", "--snr", 9
    )
    assert ran.code == 0 and len(list((tmp_path / "r").iterdir())) == 3, ran.err


def test_hidden_states_alone_are_fitted_for_several_models(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    texts = str(long_texts(tmp_path / "texts.jsonl", 12))
    source = open_source(model, texts, SourceOptions(blocks=[1], caches=False, dtype="float32"))
    extract_to_files(source, tmp_path / "hidden", "npz")
    command = ("fit", tmp_path / "hidden", "-o", tmp_path / "p.safetensors", "--metric", tmp_path / "metric")
    ModelMetric("other@1", {"layer.1.output": torch.eye(32)}, 12, 24).save(tmp_path / "other")
    ran = lamofc(*command, "--for-model", f"{model}@1", "--for-model", tmp_path / "other")
    assert ran.code == 0 and "feels: 12 samples" in ran.err
    config = Profile.load(tmp_path / "p.safetensors").config
    assert config["consumer"] == "llama@1 + other@1" and "parts" not in config
    kept = ModelMetric.load(tmp_path / "metric")
    assert list(kept.matrices) == ["layer.1.output"] and kept.consumer == config["consumer"]
    ran = lamofc(*command, "--for-model", tmp_path / "other", "--for-model", f"{model}@1")
    assert "holds the metric of llama@1 + other@1, not of other@1 + llama@1" in ran.err


def test_rotary_positions_are_named_by_hand(lamofc: Lamofc, model: str, files: Path, tmp_path: Path) -> None:
    command = ("fit", files, "-o", tmp_path / "p.safetensors", "--feature", "layer.0.k_cache", "--snr", 9)
    assert lamofc(*command, "--rotary", "*.k_cache=10000,neighbours").code == 0
    (turned,) = Profile.load(tmp_path / "p.safetensors").config["rotary"]
    assert (turned["heads"], turned["pairs"]) == (2, "neighbours")
    assert turned["frequencies"] == pytest.approx([1.0, 0.1, 0.01, 0.001])
    ran = lamofc(*command, "--rotary", "*=none")
    assert ran.err == "" and "rotary" not in Profile.load(tmp_path / "p.safetensors").config
    ran = lamofc("fit", files, "-o", tmp_path / "both", "--feature", "layer.1.*", "--rotary", "*_cache=find")
    assert "layer.1.k_cache: rotary positions of theta 10000 found and undone (4 pairs of halves, 2 heads)" in ran.err
    assert "layer.1.v_cache: no rotary positions found" in ran.err and len(ran.err.splitlines()) == 2
    for words, said in (
        (("--rotary", "*.q_cache=1e4"), "'*.q_cache' matches none of layer.0.k_cache"),
        (("--rotary", "*.k_cache=-3"), "is not of the form GLOB=THETA"),
        (("--rotary", "*.k_cache=1e4,thirds"), "is not of the form GLOB=THETA"),
        (("--rotary", "*.k_cache=1e4", "--pattern", "*=b h t d -> (b h t) d"), "by the pattern"),
        (("--rotary", "*.k_cache=1e4", "--codec", "uniform"), "codec 'uniform', which knows no consumer"),
    ):
        ran = lamofc(*command, *words)
        assert ran.code == 2 and said in ran.err and len(ran.lines()) == 2, ran.err


def test_what_cannot_be_coded_for_a_model_is_said(lamofc: Lamofc, model: str, files: Path, tmp_path: Path) -> None:
    fit, reader = ("fit", files, "-o", tmp_path / "p"), f"{model}@1"
    (tmp_path / "no.metric").write_text("no")
    other = ModelMetric("gpt@1", {"layer.1.output": torch.eye(32)}, 1, 2)
    other.save(tmp_path / "other")
    widths = {f"layer.{block}.{kv}_cache": 16 for block in (0, 1) for kv in "kv"} | {"layer.1.output": 32}
    ModelMetric("moved@1", {name: torch.eye(width) for name, width in widths.items()}, 1, 0).save(tmp_path / "unlikely")
    ModelMetric("wide@1", {"layer.1.output": torch.eye(33)}, 1, 2).save(tmp_path / "wide")
    for words, said, cure in (
        ((*fit, "--kl", 0.1), "--kl 0.1 without a model that reads", "--for-model MODEL@BLOCK"),
        ((*fit, "--metric", tmp_path / "m"), "where nothing is coded for a model", "give --for-model"),
        ((*fit, "--for-model", model), "is no MODEL@BLOCK", "such as gemma-3-270m@4"),
        ((*fit, "--for-model", f"{model}@3"), "whose last one is 3", "a block from 0 to 2"),
        (
            (*fit, "--for-model", f"{model}@0", "--feature", "layer.0.*"),
            "no 'layer.0.output' to put back",
            "lamofc extract",
        ),
        ((*fit, "--for-model", reader, "--codec", "uniform"), "codec 'uniform', which knows no", "or code with klt"),
        ((*fit, "--for-model", reader, "--option", "weight=a"), "beside other weights", "give one of them"),
        ((*fit, "--for-model", tmp_path / "no.metric"), "holds no metric of a model", "--metric wrote"),
        ((*fit, "--for-model", tmp_path / "wide"), "32 channels, and 33 for wide@1", "name the model"),
        ((*fit, "--for-model", tmp_path / "other"), "'layer.0.k_cache', which gpt@1 does not read", "give --snr"),
        (
            (*fit, "--for-model", tmp_path / "unlikely", "--kl", 0.1),
            "moved@1, whose answers have no likelihood",
            "--snr",
        ),
        ((*fit, "--for-model", reader, "--metric", tmp_path / "other"), "of gpt@1, not of llama@1", "--metric"),
        (("extract", model, files, tmp_path / "s", "--for-model", reader, "--plain"), "holds no file", "texts"),
    ):
        ran = lamofc(*words)
        error, hint = ran.lines()[-2:]
        assert ran.code != 0 and said in error and cure in hint, ran.err
    texts = long_texts(tmp_path / "a.jsonl", 3)
    extract = ("extract", model, texts, tmp_path / "s", "--block", 1)
    for words, said in (
        (("--kl", 0.1), "3 texts of 32 tokens or more (of 3, the longest of 38) tell too little"),
        (("--kl", 0.1, "--plain"), "--kl 0.1 without a model"),
        (("--kl", 0.1, "--group", "*"), "--kl 0.1 without a model"),
        (("--for-model", reader, "--plain"), "with --plain"),
        (("--plain", "--metric", tmp_path / "m"), "where nothing is coded for a model"),
        (("--group", "*", "--metric", tmp_path / "m"), "where nothing is coded for a model"),
        (("--metric", tmp_path / "m"), "3 texts of 32 tokens or more (of 3, the longest of 38) tell too little"),
        (("--for-model", reader, "--codec", "lloydmax"), "codec 'lloydmax', which knows no consumer"),
    ):
        ran = lamofc(*extract, *words)
        assert ran.code == 2 and said in ran.err and len(ran.lines()) == 2, ran.err


def test_a_divergence_is_met_by_replay(lamofc: Lamofc, model: str, files: Path, tmp_path: Path) -> None:
    texts = long_texts(tmp_path / "a.jsonl", 9)
    command = ("extract", model, texts, tmp_path / "replayed", "--block", 1, "--kl", 0.002, "--json")
    ran = lamofc(*command, "--replay", "--metric", tmp_path / "metric")
    assert ran.code == 0, ran.err
    split = Split(open_model(model, dtype="float32"), 1)
    originals = {one.id: one for one in open_source(model, str(texts), SourceOptions(blocks=[1], dtype="float32"))}
    with lamofc_store.open(str(tmp_path / "replayed")) as store:
        for sample in ("t1", "t5"):
            original = originals[sample]
            rows = "SELECT sum(expected_kl) FROM records WHERE sample = ?"
            ((expected,),) = store.sql(rows, [original.id]).fetchall()
            measure = TextReplay(split)(original.id, original.features)
            assert measure is not None
            assert measure(store.tensors(original.id)) == pytest.approx(expected, rel=0.05), sample
            listed = lamofc("ls", tmp_path / "replayed", sample, "--json").document
            assert sum(row["measured_kl"] for row in listed) == pytest.approx(expected, rel=0.01)
    command = ("ingest", files, tmp_path / "ingested", "--for-model", f"{model}@1", "--kl", 0.002, "--json")
    ran = lamofc(*command, "--replay", "--metric", tmp_path / "metric")
    assert ran.code == 0, ran.err
    with lamofc_store.open(str(tmp_path / "ingested")) as store:
        ((bits, nats),) = store.sql(
            "SELECT count(DISTINCT stored_bits), count(DISTINCT nats_per_error) FROM records"
        ).fetchall()
        assert nats == 16 and bits > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--replay where nothing is coded for a model"),
        (("--for-model", "METRIC", "--kl", 0.05), "cannot be replayed"),
        (("--for-model", "MODEL@1", "--snr", 15), "--replay beside snr_db=15"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    lamofc: Lamofc, model: str, files: Path, tmp_path: Path, options: tuple[Any, ...], message: str
) -> None:
    metric = tmp_path / "metric"
    assert lamofc("fit", files, "-o", tmp_path / "p", "--for-model", f"{model}@1", "--metric", metric).code == 0
    named = [str(option).replace("METRIC", str(metric)).replace("MODEL", model) for option in options]
    ran = lamofc("ingest", files, tmp_path / "store", "--replay", *named)
    assert ran.code == 2 and message in ran.err

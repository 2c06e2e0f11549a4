"""Rotary positions of keys in coding for a model: found once, supplied where the model does not tell, overruled."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from torch import Tensor

import lamofc_store
from lamofc_codecs import Profile
from lamofc_tools.consumer import ModelMetric, find_rotary
from lamofc_tools.consumer.decoder import rotary
from lamofc_tools.models import LoadedModel, SourceOptions, extract_to_files, open_model, open_source
from tests.tools.models import tiny_models
from tests.tools.models.test_coding_for_models import long_texts

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]
TOLD = "*.k_cache=10000"
KEYS = ["layer.0.k_cache", "layer.1.k_cache"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.language(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose frequencies are nowhere to be found."""
    monkeypatch.setattr(rotary, "_candidates", lambda loaded, block: iter(()))


def test_an_extraction_finds_positions_once(
    lamofc: Lamofc, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[int]] = []
    run = rotary._keys_of_one_token

    def counted(loaded: LoadedModel, blocks: Sequence[int]) -> list[Tensor]:
        asked.append(blocks)
        return run(loaded, blocks)

    monkeypatch.setattr(rotary, "_keys_of_one_token", counted)
    texts = long_texts(tmp_path / "a.jsonl", 9)
    for number, words in enumerate(((), ("--for-model", f"{model}@1"))):
        ran = lamofc("extract", model, texts, tmp_path / f"store{number}", "--block", 1, *words)
        assert ran.code == 0 and "measuring what llama@1 feels" in ran.err, ran.err
        assert [blocks for blocks in asked if blocks] == [[0, 1]]
        asked.clear()


def test_positions_that_a_model_does_not_tell_are_supplied(
    lamofc: Lamofc, model: str, tmp_path: Path, silent: None
) -> None:
    texts, command = long_texts(tmp_path / "a.jsonl", 9), ("extract", model, tmp_path / "a.jsonl", tmp_path / "store")
    ran = lamofc(*command, "--block", 1, "--kl", 0.05)
    assert ran.code == 2 and "keys of block 0" in ran.err and "give theirs as --rotary" in ran.lines()[-1], ran.err
    ran = lamofc(*command, "--block", 1, "--rotary", TOLD, "--metric", tmp_path / "metric")
    assert ran.code == 0 and "coding for llama@1" in ran.err and "regard to the model's rotary" not in ran.err, ran.err
    with lamofc_store.open(str(tmp_path / "store")) as store:
        ((profile,),) = store.sql("SELECT profile FROM profiles").fetchall()
        config = store.profiles[profile].config
    turned = {name: turn for (name, _), turn in zip(config["parts"], config["rotary"], strict=True) if turn}
    assert sorted(turned) == KEYS == sorted(ModelMetric.load(tmp_path / "metric").rotary)
    assert turned[KEYS[0]]["frequencies"] == pytest.approx([1.0, 0.1, 0.01, 0.001])
    source = open_source(model, str(texts), SourceOptions(blocks=[1], dtype="float32"))
    extract_to_files(source, tmp_path / "files", "lamofcbench")
    fit = ("fit", tmp_path / "files", "-o", tmp_path / "p", "--for-model", f"{model}@1")
    ran = lamofc(*fit)
    assert ran.code == 2 and "keys of block 0" in ran.err, ran.err
    assert lamofc(*fit, "--rotary", TOLD).code == 0
    assert sum(turn is not None for turn in Profile.load(tmp_path / "p").config["rotary"]) == 2


def test_positions_that_a_model_tells_are_overruled(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    source = open_source(model, str(long_texts(tmp_path / "a.jsonl", 16)), SourceOptions(blocks=[1], dtype="float32"))
    extract_to_files(source, tmp_path / "files", "lamofcbench")
    fit = ("fit", tmp_path / "files", "-o", tmp_path / "p")
    other = ("--rotary", "layer.1.k_cache=500,neighbours")
    assert lamofc(*fit, "--for-model", f"{model}@1", "--metric", tmp_path / "metric", *other).code == 0
    found, metric = find_rotary(open_model(model)), ModelMetric.load(tmp_path / "metric")
    assert metric.rotary[KEYS[0]] == found[KEYS[0]] and metric.rotary[KEYS[1]].pairs == "neighbours"
    assert Profile.load(tmp_path / "p").config["rotary"][2]["pairs"] == "neighbours"
    assert lamofc(*fit, "--for-model", tmp_path / "metric", *other).code == 0
    ran = lamofc(*fit, "--for-model", tmp_path / "metric", "--rotary", TOLD)
    assert ran.code == 2 and "measured with other rotary positions of 'layer.1.k_cache'" in ran.err, ran.err
    assert lamofc(*fit, "--for-model", tmp_path / "metric", "--rotary", "layer.0.k_cache=10000").code == 0
    ran = lamofc(*fit, "--for-model", f"{model}@1", "--metric", tmp_path / "metric")
    assert ran.code == 2 and "'layer.1.k_cache' with other rotary positions" in ran.err, ran.err
    own = ("--rotary", "layer.0.k_cache=10000")  # as the model has them, which it keeps in float32
    assert lamofc(*fit, "--for-model", f"{model}@1", "--metric", tmp_path / "metric", *other, *own).code == 0
    ran = lamofc(*fit, "--for-model", f"{model}@1", "--rotary", "layer.0.v_cache=10000")
    assert ran.code == 2 and "'layer.0.v_cache', which a model does not rotate" in ran.err, ran.err


def test_keys_are_stated_not_to_be_rotated(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    texts, metric = long_texts(tmp_path / "a.jsonl", 9), tmp_path / "metric"
    extract = ("extract", model, texts, tmp_path / "s", "--block", 1)
    assert lamofc(*extract, "--rotary", "*1.k_cache=none", "--metric", metric).code == 0
    assert list(ModelMetric.load(metric).rotary) == KEYS[:1]
    assert [turns and len(turns) for turns in rotations(tmp_path / "s")] == [5]
    extract = ("extract", model, texts, tmp_path / "t", "--block", 1, "--snr", 9)
    for _ in range(2):
        ran = lamofc(*extract, "--rotary", "*.k_cache=none")
        assert ran.code == 0 and ran.err == "" and rotations(tmp_path / "t") == [None] * 5, ran.err
    long_texts(tmp_path / "a.jsonl", 12)
    ran = lamofc(*extract, "--rotary", TOLD)
    assert ran.code == 2 and "fitted with rotary=None, not" in ran.err, ran.err
    files = tmp_path / "files"
    extract_to_files(open_source(model, str(texts), SourceOptions(blocks=[1], dtype="float32")), files, "lamofcbench")
    fit = ("fit", files, "-o", tmp_path / "p", "--for-model")
    assert lamofc(*fit, f"{model}@1", "--rotary", "*.k_cache=none").code == 0
    assert "rotary" not in Profile.load(tmp_path / "p").config
    ran = lamofc(*fit, metric, "--rotary", "*.k_cache=none")
    assert ran.code == 2 and "measured with other rotary positions of 'layer.0.k_cache'" in ran.err, ran.err
    for command in ((*fit, f"{model}@1"), (*fit, metric), extract, extract[:-2]):
        ran = lamofc(*command, "--rotary", "*.k_cache=find")
        assert ran.code == 2 and "--rotary 'layer.0.k_cache=find' where a model tells the rotary" in ran.err, ran.err


def test_features_without_regard_to_a_model_have_the_positions_that_are_stated_or_found(
    lamofc: Lamofc, model: str, tmp_path: Path
) -> None:
    plain = ("extract", model, long_texts(tmp_path / "a.jsonl", 16), tmp_path / "s", "--block", 1, "--plain")
    assert lamofc(*plain, "--rotary", TOLD).err == ""
    assert sum(turns is not None for turns in rotations(tmp_path / "s")) == 2
    ran = lamofc(*plain[:3], tmp_path / "t", *plain[4:], "--rotary", "*1.v_cache=find")
    assert ran.code == 0 and ran.err.splitlines() == ["layer.1.v_cache: no rotary positions found"], ran.err
    assert rotations(tmp_path / "t") == [None] * 5
    pictures, vision = tiny_models.images(tmp_path / "images", 4), tiny_models.vision(tmp_path / "dinov2", "dinov2")
    ran = lamofc("extract", vision, pictures, tmp_path / "u", "--rotary", "*=find")
    assert ran.code == 0 and "no rotary positions found" in ran.err, ran.err
    ran = lamofc("extract", vision, pictures, tmp_path / "v", "--rotary", "*=find", "--codec", "raw")
    assert ran.code == 2 and "--rotary with codec 'raw'" in ran.err, ran.err


def rotations(place: Path) -> list[Any]:
    """What the profiles of a store say of rotations."""
    with lamofc_store.open(str(place)) as store:
        return [
            store.profiles[name].config.get("rotary")
            for (name,) in store.sql("SELECT profile FROM profiles").fetchall()
        ]

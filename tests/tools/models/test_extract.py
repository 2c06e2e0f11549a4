"""`lamofc extract`: models of the real libraries on data made here, into stores and files, killed and gone on with."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import s3fs
import torch
from safetensors.torch import load_file, save_file

import lamofc_store
from lamofc_store import sources
from lamofc_store.sources.readers import torch_unpickle
from tests.store.sample.test_structure import same
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]
COUNT = 40


def test_layers_are_named_from_one_and_blocks_from_zero(lamofc: Lamofc, tmp_path: Path) -> None:
    model = tiny_models.vision(tmp_path / "dinov3", "dinov3")
    data, place = tiny_models.images(tmp_path / "images", 12), tmp_path / "store"
    ran = lamofc("extract", model, data, place, "--layer", 2, "--block", 3, "--codec", "raw", "--batch", 5, "--json")
    assert ran.document["features"] == ["layer.1", "layer.3"] and ran.document["samples"] == 12
    with lamofc_store.open(str(place)) as store:
        assert list(store) == [f"{number:03d}" for number in range(12)]
        assert store["003", "layer.1"].shape == (1, 21, 32)
        assert json.loads(store.sql("SELECT DISTINCT grid FROM records").fetchall()[0][0])["prefix"] == 5
        ((kind, name, config),) = store.sql("SELECT kind, name, config FROM runs").fetchall()
    assert (kind, name) == ("extract", "dinov3")
    assert json.loads(config)["blocks_from_zero"] == [1, 3] and json.loads(config)["layers_from_one"] == [2, 4]
    tiny_models.images(tmp_path / "images", 15)
    again = lamofc("extract", model, data, place, "--layer", 2, "--block", 3, "--codec", "raw", "--json")
    assert (again.document["samples"], again.document["already"]) == (3, 12)
    with lamofc_store.open(str(place)) as store:
        assert store.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]


def test_features_of_another_model_do_not_pass_for_what_is_there(lamofc: Lamofc, tmp_path: Path) -> None:
    model, other = (tiny_models.vision(tmp_path / name, "dinov2") for name in ("one", "two"))
    weights = load_file(tmp_path / "two" / "model.safetensors")
    weights["encoder.layer.3.norm1.bias"][0] += 1
    save_file(weights, tmp_path / "two" / "model.safetensors", {"format": "pt"})
    data, place = tiny_models.images(tmp_path / "images", 3), tmp_path / "store"
    assert lamofc("extract", model, data, place, "--block", 1, "--codec", "raw").code == 0
    ran = lamofc("extract", other, data, place, "--block", 1, "--codec", "raw")
    assert ran.code != 0 and "'layer.1' in" in ran.err and "its weights is" in ran.err and len(ran.lines()) == 2
    ran = lamofc("extract", model, data, place, "--block", 1, "--dtype", "bfloat16", "--codec", "raw")
    assert ran.code != 0 and "'layer.1' in" in ran.err
    shutil.move(model, tmp_path / "moved")
    ran = lamofc("extract", tmp_path / "moved", data, place, "--block", 1, "--codec", "raw", "--json")
    assert ran.document["already"] == 3
    assert lamofc("extract", other, data, place, "--block", 2, "--codec", "raw", "--json").document["samples"] == 3
    with lamofc_store.open(str(place)) as store:
        assert store.verify().ok and store.features == ["layer.1", "layer.2"]


@pytest.mark.parametrize("family", ["dinov3", "qwen3", "falconmamba"])
def test_files_are_what_the_family_reads(lamofc: Lamofc, tmp_path: Path, family: str) -> None:
    sees = family == "dinov3"
    model = (tiny_models.vision if sees else tiny_models.language)(tmp_path / family, family)
    data = (tiny_models.images if sees else tiny_models.texts)(tmp_path / "data", 8)
    assert lamofc("extract", model, data, tmp_path / "out", "--block", 2, "--files", "lamofcbench").code == 0
    assert lamofc("extract", model, data, tmp_path / "store", "--block", 2, "--codec", "raw").code == 0
    with lamofc_store.open(str(tmp_path / "store")) as store:
        found = list(sources.open(tmp_path / "out", family))
        assert len(found) == 8
        for sample in found:
            assert set(sample.features) == set(store.tensors(sample.id))
            for feature, tensor in sample.features.items():
                assert torch.equal(store[sample.id, feature], tensor)
        lamofc_store.export(store, tmp_path / "again", "lamofcbench")
        keys = list(store.get("005"))
    for file in (tmp_path / "out").glob("*.zst"):
        assert same(torch_unpickle.load(tmp_path / "again" / file.name), torch_unpickle.load(file))
    kept = {"qwen3": ["output", "key", "value"], "falconmamba": ["output", "ssm_state", "conv_state"]}
    assert keys == kept.get(family, ["backbone.blocks.2"])
    one = lamofc("extract", model, data, tmp_path / "out", "--block", 2, "--files", "lamofcbench", "--json")
    assert (one.document["samples"], one.document["already"]) == (0, 8)


def test_what_is_wrong_is_said(lamofc: Lamofc, tmp_path: Path) -> None:
    model = tiny_models.language(tmp_path / "llama", "llama")
    data = tiny_models.texts(tmp_path / "texts", 2)
    for words, said, code in (
        (("--block", 9), "block 9 of a model that has 4", 2),
        (("--block", 1, "--block", 2), "blocks 1, 2 with caches", 2),
        (("--dtype", "int3"), "a model in int3", 2),
        (("--device", "abacus"), "--device abacus", 2),
    ):
        ran = lamofc("extract", model, data, tmp_path / "store", *words)
        assert ran.code == code and said in ran.err
    (data / "empty.txt").write_text("")
    ran = lamofc("extract", model, data, tmp_path / "store")
    assert ran.code != 0 and "empty.txt cannot go through" in ran.err and len(ran.lines()) == 2
    group = ("--group", "layer.*.{k,v}_cache")
    ran = lamofc("extract", model, data, tmp_path / "store", "--on-error", "skip", *group, "--batch", 4, "--json")
    assert (ran.document["samples"], ran.document["skipped"]) == (2, 1)
    with lamofc_store.open(str(tmp_path / "store")) as store:
        assert store.sql("SELECT sample, error FROM skipped").fetchall() == [("empty", "SourceError")]
        together = store.sql("SELECT count(*) FROM records WHERE part > 0").fetchall()[0][0]
        assert together == 2 * 7
    ran = lamofc("extract", model, data, tmp_path / "files", "--files", "npz", "--on-error", "skip", "--json")
    assert (ran.document["samples"], ran.document["skipped"]) == (2, 1)
    assert sorted(path.name for path in (tmp_path / "files").glob("*.npz")) == ["000.npz", "001.npz"]
    assert lamofc("extract", model, data, tmp_path / "more", "--files", "npz").code != 0
    ran = lamofc("extract", tmp_path / "none", data, tmp_path / "store")
    assert ran.code == 3 and "none is no model" in ran.err and len(ran.lines()) == 2


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["dinov3", "qwen3"])
def test_killed_and_gone_on_with_in_an_object_store(tmp_path: Path, s3: dict[str, Any], kind: str) -> None:
    sees = kind == "dinov3"
    model = (tiny_models.vision if sees else tiny_models.language)(tmp_path / kind, kind)
    data = (tiny_models.images if sees else tiny_models.texts)(tmp_path / "data", COUNT)
    url = f"s3://lamofc/extract-{kind}"
    options = [word for name, value in s3.items() for word in ("--storage-option", f"{name}={told(value)}")]
    program = "import sys; from lamofc_tools.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "extract", model, str(data), url, "--block", "1"]
    command += ["--batch", "2", "--segment-mb", "0.008", "--snr", "20", "--fit-samples", "8", *options]
    files = s3fs.S3FileSystem(**s3, skip_instance_cache=True, use_listings_cache=False)
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while running.poll() is None and len(files.glob(f"{url}/commits/*")) < 3:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, running.stderr.read() if running.stderr else ""
    with lamofc_store.open(url, storage_options=s3) as store:
        before = set(store)
    assert 0 < len(before) < COUNT
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["already"] == len(before)
    with lamofc_store.open(url, storage_options=s3) as store:
        assert len(store) == COUNT
        assert store.sql("SELECT count(*) FROM records").fetchall()[0][0] == COUNT * (1 if sees else 5)
        assert store.verify().ok


def told(value: Any) -> str:
    """A storage option as it is typed."""
    return value if isinstance(value, str) else json.dumps(value)


def test_blocks_of_several_runs_come_out_together(lamofc: Lamofc, tmp_path: Path) -> None:
    model = tiny_models.vision(tmp_path / "dinov3", "dinov3")
    data, place = tiny_models.images(tmp_path / "images", 2), tmp_path / "store"
    for block in (1, 3):
        assert lamofc("extract", model, data, place, "--block", block, "--codec", "raw").code == 0
    with lamofc_store.open(str(place)) as store:
        assert list(store.get("000")) == ["backbone.blocks.1", "backbone.blocks.3"]
        lamofc_store.export(store, tmp_path / "out", "lamofcbench", measured=True)
    file = torch_unpickle.load(tmp_path / "out" / "000.zst")
    assert list(file["features"]) == ["backbone.blocks.1", "backbone.blocks.3"]
    assert {"layer.1", "layer.3"} < set(file["metadata"])


def test_what_is_there_already_must_be_the_same(lamofc: Lamofc, tmp_path: Path) -> None:
    model, place = tiny_models.vision(tmp_path / "dinov2", "dinov2"), tmp_path / "store"
    data = tiny_models.images(tmp_path / "images", 3)
    assert lamofc("extract", model, data, place, "--block", 1, "--snr", 5).code == 0
    assert lamofc("extract", model, data, place, "--block", 1, "--snr", 5, "--json").document["already"] == 3
    ran = lamofc("extract", model, data, place, "--block", 1, "--snr", 30)
    assert ran.code != 0 and "snr_db=5" in ran.err
    with lamofc_store.open(str(tmp_path / "other"), "w-") as store:
        store.ingest({"000": {"layer.1": torch.ones(3, 3)}}, "raw")
    ran = lamofc("extract", model, data, tmp_path / "other", "--block", 1)
    assert ran.code != 0 and "of no extraction" in ran.err


def test_files_are_as_an_export_writes_them(lamofc: Lamofc, tmp_path: Path) -> None:
    model, out = tiny_models.language(tmp_path / "llama", "llama"), tmp_path / "files"
    lines = [{"id": "a#b", "text": "a b", "label": 3}, {"id": "A#b", "text": "a\u2028c", "label": 4}]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    (tmp_path / "lines.jsonl").write_text(text, encoding="utf-8-sig")
    command = ("extract", model, tmp_path / "lines.jsonl", out, "--files", "lamofcbench", "--block")
    assert lamofc(*command, 1, "--json").document["samples"] == 2
    assert lamofc(*command, 1, "--json").document["already"] == 2
    assert len({path.name.casefold() for path in out.glob("*.zst")}) == 2
    ran = lamofc(*command, 2)
    assert ran.code != 0 and "holds another export" in ran.err
    again = ("ingest", out, tmp_path / "store", "--table", out / "index.parquet", "--codec", "raw")
    assert lamofc(*again).code == 0
    with lamofc_store.open(str(tmp_path / "store")) as store:
        assert sorted(store.sql("SELECT sample, label FROM samples").fetchall()) == [("A#b", 4), ("a#b", 3)]
    ran = lamofc("extract", model, tmp_path / "lines.jsonl", tmp_path / "store", "--files", "npz", "--block", 1)
    assert ran.code != 0 and "neither empty nor an export" in ran.err


def test_images_that_are_left_as_large_as_they_are(lamofc: Lamofc, tmp_path: Path) -> None:
    model = Path(tiny_models.vision(tmp_path / "dinov3", "dinov3"))
    told = json.loads((model / "preprocessor_config.json").read_text())
    (model / "preprocessor_config.json").write_text(json.dumps({**told, "do_resize": False}))
    pictures = pytest.importorskip("PIL.Image")
    (tmp_path / "images").mkdir()
    for name, size in (("a", (16, 64)), ("b", (64, 16)), ("c", (16, 64))):
        pictures.new("RGB", size).save(tmp_path / "images" / f"{name}.png")
    assert lamofc("extract", model, tmp_path / "images", tmp_path / "store", "--codec", "raw").code == 0
    with lamofc_store.open(str(tmp_path / "store")) as store:
        grids = [json.loads(grid) for (grid,) in store.sql("SELECT grid FROM records ORDER BY sample").fetchall()]
    assert [(grid["height"], grid["width"]) for grid in grids] == [(8, 2), (2, 8), (8, 2)]


def test_sounds_go_into_a_store(lamofc: Lamofc, tmp_path: Path) -> None:
    model, data = tiny_models.speech(tmp_path / "hubert", "hubert"), tiny_models.sounds(tmp_path / "sounds", 9)
    ran = lamofc("extract", model, data, tmp_path / "store", "--layer", 3, "--codec", "raw", "--batch", 2, "--json")
    assert ran.document["samples"] == 9 and ran.document["features"] == ["layer.2"]
    with lamofc_store.open(str(tmp_path / "store")) as store:
        assert store["004", "layer.2"].shape == (1, 199, 32)
    wrong = lamofc("extract", model, tiny_models.texts(tmp_path / "texts", 1), tmp_path / "other")
    assert wrong.code != 0 and "holds no file of .wav, .flac, .ogg, .mp3" in wrong.err

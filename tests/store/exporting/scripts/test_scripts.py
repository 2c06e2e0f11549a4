"""Exports for LaMoFCBench's evaluation scripts: where each looks for its files, and what it takes from them."""

from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample, sources
from lamofc_store.errors import Conflict, SourceError
from lamofc_store.exporting import SCRIPTS, script_files, script_named
from tests.store.exporting.scripts.published_files import (
    FILES,
    drawn,
    files_in,
    folder_of,
    half,
    refused,
    stored,
    taken_by,
)
from tests.store.sample.test_structure import same
from tests.store.sources.families.published import dinov3, falcon, kept, measured, normal, qwen, unpacked

BLOCKS = (9, 19, 29, 39)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_a_script_wrote_comes_back_equal(tmp_path: Path, script: str) -> None:
    torch.manual_seed(0)
    objects = folder_of(script, tmp_path / "in")
    with stored(tmp_path / "store", sources.open(tmp_path / "in")) as store:
        assert lamofc.export(store, tmp_path / "out", script=script).files == 2
    assert files_in(tmp_path / "out") == sorted(objects)
    for name, payload in objects.items():
        assert same(unpacked(tmp_path / "out" / f"{name}.zst"), payload)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("codec", ["raw", "klt"])
def test_tensors_and_figures_are_where_the_script_takes_them(tmp_path: Path, script: str, codec: str) -> None:
    torch.manual_seed(0)
    objects = folder_of(script, tmp_path / "in")
    options = {"quality": lamofc.Quality(snr_db=20), "fit_samples": 2} if codec == "klt" else {}
    with stored(tmp_path / "store", sources.open(tmp_path / "in"), codec, **options) as store:
        lamofc.export(store, tmp_path / "out", script=script, measured=True)
        found = {sample: dict(store.tensors(sample)) for sample in store}
        rates = store.sql("SELECT sample, sum(payload_bits) / sum(elements) FROM records GROUP BY 1").fetchall()
    for name, payload in objects.items():
        saved = unpacked(tmp_path / "out" / f"{name}.zst")
        taken, figures = taken_by(script, saved)
        given, none = taken_by(script, payload)
        assert not none and figures["bpfp"] == pytest.approx(dict(rates)[name])
        assert [(one.shape, one.dtype) for one in taken] == [(one.shape, one.dtype) for one in given]
        assert len(taken) == len(found[name]) == len(SCRIPTS[script].readings)
        if codec == "raw":
            assert all(torch.equal(one, other) for one, other in zip(taken, given, strict=True))
        else:
            assert all(any(torch.equal(one, other) for other in found[name].values()) for one in taken)


@pytest.mark.parametrize("script", SCRIPTS)
def test_features_without_a_nesting_get_that_of_the_script(tmp_path: Path, script: str) -> None:
    """Features of another reader, or chosen by name, are nested anew."""
    torch.manual_seed(0)
    folder_of(script, tmp_path / "in")
    flat = [Sample(one.id, one.features) for one in sources.open(tmp_path / "in")]
    with stored(tmp_path / "store", flat) as store:
        lamofc.export(store, tmp_path / "out", script=script, features=["*"])
    for sample in flat:
        taken, _ = taken_by(script, unpacked(tmp_path / "out" / f"{sample.id}.zst"))
        assert len(taken) == len(sample.features)
        assert {id(held) for one in taken for held in sample.features.values() if torch.equal(held, one)} == {
            id(held) for held in sample.features.values()
        }


@pytest.mark.parametrize("script", SCRIPTS)
def test_files_after_a_codec_keep_their_figures(tmp_path: Path, script: str) -> None:
    """An envelope with the keys that the script reads comes back as it was; without them it gets them."""
    torch.manual_seed(0)
    objects = folder_of(script, tmp_path / "bare")
    with stored(tmp_path / "first", sources.open(tmp_path / "bare")) as store:
        lamofc.export(store, tmp_path / "in", script=script, measured=True)
    for path in [*(tmp_path / "in").glob("*.json"), *(tmp_path / "in").glob("*.parquet")]:
        path.unlink()
    before = {name: unpacked(tmp_path / "in" / f"{name}.zst") for name in objects}
    for path in (tmp_path / "in").rglob("*.plain"):
        path.unlink()
    with stored(tmp_path / "store", sources.open(tmp_path / "in")) as store:
        lamofc.export(store, tmp_path / "out", script=script)
    assert all(same(unpacked(tmp_path / "out" / f"{name}.zst"), before[name]) for name in objects)


@pytest.mark.parametrize(("script", "keys"), [("dinov3cls", "layer.{}"), ("dinov3dep", "layer.{}")])
def test_keys_of_the_coder_become_those_of_the_script(tmp_path: Path, script: str, keys: str) -> None:
    """The benchmark's own coder writes `layer.N` for all three scripts of DINOv3, of which two read that."""
    payload = dinov3(keys, 1 if script == "dinov3cls" else 2)
    kept(tmp_path / "in" / "a-b.zst", measured(payload))
    with stored(tmp_path / "store", sources.open(tmp_path / "in")) as store:
        lamofc.export(store, tmp_path / "out", script=script)
    (name,) = files_in(tmp_path / "out")
    taken, figures = taken_by(script, unpacked(tmp_path / "out" / f"{name}.zst"))
    wanted = [payload[keys.format(block)] for block in SCRIPTS[script].blocks]
    assert all(torch.equal(one, other) for one, other in zip(taken, wanted, strict=True))
    assert figures["arch"] == "elic" and figures["bpfp"] == 1.25


def test_one_store_serves_all_scripts_of_its_model(tmp_path: Path) -> None:
    features = {f"layer.{block}": normal(1, 21, 24) for block in BLOCKS}
    with stored(tmp_path / "store", {"val/n01/a": features}) as store:
        lamofc.export(store, tmp_path / "cls", script="dinov3cls")
        lamofc.export(store, tmp_path / "seg", script="dinov3seg")
        again = {one.id: set(one.features) for one in sources.open(tmp_path / "cls")}
    assert (files_in(tmp_path / "cls"), files_in(tmp_path / "seg")) == (["n01-a"], ["a-stackedpatches"])
    assert list(unpacked(tmp_path / "cls" / "n01-a.zst")) == ["backbone.blocks.9", "backbone.blocks.39"]
    assert again == {"val/n01/a": {"layer.9", "layer.39"}}, "the index knows the ids"


def test_a_run_that_replaces_one_block_needs_no_other(tmp_path: Path) -> None:
    with stored(tmp_path / "store", {"a/b": {"layer.39": normal(2, 21, 24)}}) as store:
        lamofc.export(store, tmp_path / "out", script="dinov3dep")
        assert list(unpacked(tmp_path / "out" / "a-b-wflip.zst")) == ["encoder.backbone.blocks.39"]
        refused(
            lambda: lamofc.export(store, tmp_path / "more", script="dinov3dep", measured=True),
            "dinov3dep reads layer.9, layer.19, layer.29, layer.39 beside measured figures",
            "lacks layer.9, layer.19, layer.29",
            "leave out measured=",
        )


def test_prompts_and_latents_are_runs_of_their_own(tmp_path: Path) -> None:
    kept(tmp_path / "in" / "1.zst", half())
    with stored(tmp_path / "store", sources.open(tmp_path / "in")) as store:
        lamofc.export(store, tmp_path / "latents", script="sd35cond", features=["vae.decoder"])
        lamofc.export(store, tmp_path / "prompts", script="sd35cond", features=["text*", "vae.encoder*"])
        refused(
            lambda: lamofc.export(store, tmp_path / "some", script="sd35cond", features=["text*"]),
            "lacks vae.encoder_f0, vae.encoder_f1",
            "leave out features=",
        )
    assert list(unpacked(tmp_path / "latents/sd35cond/1.zst")) == ["vae.decoder"]
    assert "vae.decoder" not in unpacked(tmp_path / "prompts/sd35cond/1.zst")


def _images(first: int, *blocks: int) -> dict[str, torch.Tensor]:
    return {f"layer.{block}": normal(first, 21, 24) for block in blocks or BLOCKS}


UNREAD: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "features of another family": (
        "qwen3",
        {"a/1": _images(1)},
        ("reads layer.4.output, layer.0.k_cache", "lacks all of these", "dinov3seg"),
    ),
    "blocks that the script does not read": (
        "dinov3seg",
        {"a": _images(2, 1, 2)},
        ("reads layer.9, layer.19, layer.29, layer.39", "extract the model's blocks 9 19 29 39"),
    ),
    "a layer too few": ("dinov3seg", {"a": _images(2, 9, 19, 29)}, ("lacks layer.39", "script= dinov3dep")),
    "one image in place of a pair": ("dinov3dep", {"a/b": _images(1)}, ("1 x 21 x 24", "2 x t x *", "for dinov3dep")),
    "a pair in place of one image": ("dinov3cls", {"a/b": _images(2)}, ("2 x 21 x 24", "script= dinov3dep")),
    "tokens without a batch": ("dinov3cls", {"a": {"layer.9": normal(21, 24)}}, ("21 x 24", "1 x t x *")),
    "blocks of unequal length": (
        "dinov3seg",
        {"a": {**_images(2), "layer.19": normal(2, 20, 24)}},
        ("2 x 20 x 24", "n x t x * with n = 2, t = 21"),
    ),
    "numbers that are not floating": (
        "dinov3cls",
        {"a": {"layer.9": torch.zeros(1, 5, 4, dtype=torch.int32)}},
        ("is of int32, dinov3cls reads floating numbers", "convert"),
    ),
    "another dtype than the pipeline runs in": (
        "sd35cond",
        {"a": {"vae.decoder": normal(16, 8, 8)}},
        ("is of float32, sd35cond reads float16", "run the model in it"),
    ),
    "samples of which no run reads all": (
        "dinov3cls",
        {"a": _images(1, 9), "b": _images(1, 39)},
        ("reads the same features of all samples; sample 'b' has layer.39, others have layer.9", "where="),
    ),
    "a prompt without its task": ("qwen3", {"sample1-layer4-item1": {}}, ("a task and a number", "where=")),
    "a task that no folder is opened for": ("qwen3", {"gsm8k/1": {}}, ("its task must begin with fc_arc_", "where=")),
    "an image without its class": ("dinov3cls", {"ILSVRC2012_val_00000293": {}}, ("a class and an image", "where=")),
    "crops for the script of flipped pairs": ("dinov3dep", {"a-x-stackedpatches": {}}, ("ends with -stackedpatches",)),
    "flipped pairs for the script of crops": ("dinov3seg", {"a-x-wflip": {}}, ("ends with -wflip", "where=")),
    "a sound of no known set": ("kimiaudio", {"CommonVoice-3": {}}, ("must begin with LibriSpeech, AdvBench",)),
    "two samples in one file": ("dinov3cls", {"a/n1/x": {}, "b/n1/x": {}}, ("in one file, n1-x.zst", "where=")),
    "an id that leads out of the folder": ("dinov3seg", {"x/..": {}}, ("'..-stackedpatches' is no plain file name",)),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_no_run_of_the_script_reads_is_refused(tmp_path: Path, case: str) -> None:
    script, samples, words = UNREAD[case]
    with stored(tmp_path / "store", {name: held or drawn(script) for name, held in samples.items()}) as store:
        refused(lambda: lamofc.export(store, tmp_path / "out", script=script), *words)
    assert not (tmp_path / "out").exists(), "nothing is written before all is checked"


def test_a_key_that_scripts_take_for_figures_is_left_out(tmp_path: Path) -> None:
    kept(tmp_path / "in" / "fc_gsm8k" / "1.zst", {**qwen(3), "metadata": "kept"})
    kept(tmp_path / "in" / "fc_gsm8k" / "2.zst", {"features": qwen(3), "version": 2})
    with stored(tmp_path / "store", sources.open(tmp_path / "in")) as store:
        lamofc.export(store, tmp_path / "out", script="qwen3")
    for number in (1, 2):
        assert list(unpacked(tmp_path / f"out/fc_gsm8k/sample{number}-layer4-item1.zst")) == ["output", "key", "value"]


def test_a_script_takes_one_format_and_one_folder(tmp_path: Path) -> None:
    with stored(tmp_path / "store", {"n1/a": _images(1)}) as store:
        refused(lambda: lamofc.export(store, tmp_path / "out", "npz", script="dinov3cls"), "'npz'", "leave out format=")
        refused(lambda: lamofc.export(store, tmp_path / "out", script="dinov2"), "'dinov2'", *SCRIPTS)
        lamofc.export(store, tmp_path / "out", script="dinov3cls")
        refused(
            lambda: lamofc.export(store, tmp_path / "out", script="dinov3seg"), "for 'dinov3cls' -> ", error=Conflict
        )
        lamofc.export(store, tmp_path / "out", script="dinov3seg", overwrite=True)
    assert files_in(tmp_path / "out") == ["a-stackedpatches"]
    (tmp_path / "out/index.parquet").unlink()
    refused(lambda: sources.open(tmp_path / "out"), "complete the export", error=SourceError)


def test_names_are_put_together_as_the_data_sets_have_them() -> None:
    named = {
        "dinov3cls": {"val/n01/x.1": "n01-x.1", "n01-x": "n01-x", "n01/x.v2.JPEG": "n01-x.v2"},
        "dinov3dep": {"test/kitchen/rgb_1": "kitchen-rgb_1-wflip", "k-rgb_1-wflip": "k-rgb_1-wflip"},
        "dinov3seg": {"validation/ADE_1": "ADE_1-stackedpatches", "a-stackedpatches": "a-stackedpatches"},
        "qwen3": {"qwen/qwen3-8b/fc_gsm8k/007": "fc_gsm8k/sample7-layer4-item1"},
        "kimiaudio": {
            "LibriSpeech-test-other-9": "librispeech-test-other/LibriSpeech-test-other-9",
            "x/AdvBench-AdvBench-1": "advbench/AdvBench-AdvBench-1",
        },
        "sd35cond": {"000139": "sd35cond/000139", "sd35cond/7": "sd35cond/7", "a.b.jpg": "sd35cond/a.b"},
    }
    for script, names in named.items():
        found = script_files(script_named(script), names, ".zst")
        assert dict(found) == {sample: f"{name}.zst" for sample, name in names.items()}
    assert set(FILES) == set(SCRIPTS)
    assert falcon().keys() == {"output", "ssm_state", "conv_state"}

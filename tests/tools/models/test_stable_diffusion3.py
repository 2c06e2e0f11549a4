"""Stable Diffusion 3 of diffusers, small: prompts and latents taken out, stored, and put back."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

import lamofc_store
from lamofc_store import sources
from lamofc_store.errors import NotFound
from lamofc_tools.models import DiffusionSource, find_inputs, open_pipeline
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.painter(tmp_path_factory.mktemp("sd3") / "stable")


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.painter(tmp_path_factory.mktemp("sd3") / "controlled", control=True)


def test_what_is_put_back_paints_the_same_picture(model: str, tmp_path: Path) -> None:
    items = find_inputs(str(tiny_models.texts(tmp_path / "texts", 3)), "texts")
    source = DiffusionSource(items, model, open_pipeline(model), steps=3)
    with lamofc_store.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(source, "raw")
        for item in items:
            whole, features = source.run(item), store.tensors(item.id)
            assert features["text_encoder-item0.clip_prompt_embeds"].shape == (77, 16)
            assert np.array_equal(source.decode_latents(features), whole)
            with source.substitute_conditioning(features):
                assert np.array_equal(source.run(item), whole)
            other = {name: torch.zeros_like(value) for name, value in features.items()}
            with source.substitute_conditioning(other):
                assert not np.array_equal(source.run(item), whole)
        assert len([name for name in store.features if "item3" in name or "item4" in name]) == 4
    with pytest.raises(NotFound, match=r"no 'vae\.decoder' to put back"):
        source.decode_latents({})


def test_the_command_takes_captions(lamofc: Lamofc, model: str, tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"c{number}", "caption": "a b c"[: 1 + number]}) for number in range(3)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    command = ("extract", model, tmp_path / "captions.jsonl", tmp_path / "store", "--steps", 2, "--codec", "raw")
    assert lamofc(*command, "--json").document["samples"] == 3
    assert lamofc(*command, "--json").document["already"] == 3
    with lamofc_store.open(str(tmp_path / "store")) as store:
        assert store["c0", "vae.decoder"].shape == (16, 8, 8)
        assert store.sql("SELECT prompt FROM samples ORDER BY sample").fetchall()[0] == ("a",)
        lamofc_store.export(store, tmp_path / "out", "lamofcbench")
        nested = store.get("c1")
    back = {sample.id: sample for sample in sources.open(tmp_path / "out", "sd35")}
    with lamofc_store.open(str(tmp_path / "store")) as store:
        for sample in ("c0", "c1", "c2"):
            for feature, tensor in store.tensors(sample).items():
                assert torch.equal(back[sample].features[feature], tensor)
    assert list(nested)[:3] == ["text_encoder-item0", "text_encoder_2-item1", "text_encoder_3-item2"]
    assert set(nested["text_encoder-item0"]) == {"clip_pooled_prompt_embeds", "clip_prompt_embeds"}


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_all_parts_are_of_one_dtype(model: str, tmp_path: Path, dtype: str | None) -> None:
    open_pipeline(model, dtype="bfloat16").save_pretrained(tmp_path / "half")
    pipeline = open_pipeline(str(tmp_path / "half"), dtype=dtype)
    wanted = torch.bfloat16 if dtype is None else torch.float32
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert {weights.dtype for part in parts for weights in part.parameters()} == {wanted}
    (item,) = find_inputs(str(tiny_models.texts(tmp_path / "texts", 1)), "texts")
    (sample,) = DiffusionSource([item], "half", pipeline, steps=1)
    assert sample.features["vae.decoder"].dtype == wanted


def test_a_control_net_sees_what_was_stored_of_its_picture(lamofc: Lamofc, controlled: str, tmp_path: Path) -> None:
    data = tiny_models.images(tmp_path / "data", 2)
    (data / "000.txt").write_text("a b")
    (data / "lines.jsonl").write_text(json.dumps({"id": "line", "caption": "c d", "image": "001.png"}))
    command = ("extract", controlled, data, tmp_path / "store", "--steps", 2, "--codec", "raw", "--json")
    ran = lamofc(*command)
    assert ran.document.get("samples") == 2, ran.document
    assert lamofc(*command).document["already"] == 2
    source = DiffusionSource(find_inputs(str(data), "texts"), controlled, open_pipeline(controlled), steps=2)
    with lamofc_store.open(str(tmp_path / "store")) as store:
        for item in source.items:
            whole, features = source.run(item), store.tensors(item.id)
            assert features["vae.encoder_f0"].shape == (32, 8, 8)
            assert torch.equal(features["vae.encoder_f0"], features["vae.encoder_f1"])  # guidance: the same twice
            other = replace(item, image_path=source.items[0].image_path)
            spoilt = {name: value + ("encoder_f" in name) for name, value in features.items()}
            for given in (features, spoilt):
                with source.substitute_conditioning(given):
                    assert np.allclose(source.run(other), whole, atol=1e-5) == (given is features)
        nested = store.get("line")
    assert list(nested)[-2:] == ["vae.encoder", "vae.decoder"]
    assert list(nested["vae.encoder"]) == ["vae.encoder_f0", "vae.encoder_f1"]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (None, "'line' has no image beside its text"),
        ("../out.png", "outside of its folder"),
        ("no.png", "no readable image"),
    ],
)
def test_pictures_that_are_not_there(
    lamofc: Lamofc, controlled: str, tmp_path: Path, image: str | None, said: str
) -> None:
    (tmp_path / "data").mkdir()
    line = {"id": "line", "caption": "c d"} | ({} if image is None else {"image": image})
    (tmp_path / "data" / "lines.jsonl").write_text(json.dumps(line))
    ran = lamofc("extract", controlled, tmp_path / "data", tmp_path / "store", "--steps", 1)
    assert ran.code != 0 and said in ran.err

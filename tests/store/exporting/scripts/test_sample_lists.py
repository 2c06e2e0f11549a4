"""Lists of samples: those that the scripts read, and plain ones."""

import json
from pathlib import Path
from typing import Any

import pytest

import lamofc_store as lamofc
from lamofc_store.errors import Conflict, SourceError, StoreError
from tests.store.exporting.scripts.published_files import drawn, files_in, refused, stored
from tests.store.sources.families.published import normal

PAIR = {f"layer.{block}": normal(2, 21, 24) for block in (9, 19, 29, 39)}

LISTS: dict[str, tuple[Any, list[str]]] = {
    "dinov3cls": (
        {"n01": [{"file_name": "a.JPEG", "class_score": 0.5}, {"file_name": "n01/b.x.JPEG"}], "n02": []},
        ["n01-a", "n01-b.x"],
    ),
    "qwen3": (
        {"fc_gsm8k": [12, 3], "fc_winogrande": ["7"]},
        ["fc_gsm8k/sample12-layer4-item1", "fc_gsm8k/sample3-layer4-item1", "fc_winogrande/sample7-layer4-item1"],
    ),
    "falconmamba": ({"fc_arc_challenge": [0]}, ["fc_arc_challenge/sample0-layer4-item1"]),
    "kimiaudio": (
        {"SD-QA": [{"index": 7, "subset": "aus"}], "OpenBookQA": [{"index": 1, "new_audio_path": "x.wav"}]},
        ["sd-qa/SD-QA-aus-7", "openbookqa/OpenBookQA-OpenBookQA-1"],
    ),
    "sd35cond": ([{"image_name": "000000000139.jpg", "caption": "a room"}], ["sd35cond/000000000139"]),
}


@pytest.mark.parametrize("script", LISTS)
def test_lists_of_a_script_choose_its_samples(tmp_path: Path, script: str) -> None:
    document, names = LISTS[script]
    features = drawn(script)
    (tmp_path / "list.json").write_text(json.dumps(document))
    with stored(tmp_path / "store", dict.fromkeys([*names, names[0].replace("1", "9")], features)) as store:
        lamofc.export(store, tmp_path / "out", script=script, samples_from=tmp_path / "list.json")
        assert files_in(tmp_path / "out") == sorted(names)
        (tmp_path / "list.json").write_text('{"a": {"b": 1}}')
        refused(
            lambda: lamofc.export(store, tmp_path / "no", script=script, samples_from=tmp_path / "list.json"),
            f"no list of samples for {script}",
            "its form is",
            error=SourceError,
        )


def test_plain_lists_name_ids_or_files(tmp_path: Path) -> None:
    ids = [f"scene/rgb_{number}" for number in range(4)]
    with stored(tmp_path / "store", dict.fromkeys(ids, PAIR)) as store:
        (tmp_path / "ids.txt").write_text("scene/rgb_1\n\nscene-rgb_3-wflip\n")
        lamofc.export(store, tmp_path / "out", script="dinov3dep", samples_from=tmp_path / "ids.txt")
        assert files_in(tmp_path / "out") == ["scene-rgb_1-wflip", "scene-rgb_3-wflip"]
        (tmp_path / "ids.json").write_text(json.dumps(["scene/rgb_2"]))
        assert lamofc.export(store, tmp_path / "plain", samples_from=tmp_path / "ids.json").samples == 1
        (tmp_path / "same.txt").write_text("scene/rgb_2\n")
        assert lamofc.export(store, tmp_path / "plain", samples_from=tmp_path / "same.txt").files == 0
        (tmp_path / "same.txt").write_text("scene/rgb_1\n")
        with pytest.raises(Conflict, match=r"holds another export: samples_from 'sha256:"):
            lamofc.export(store, tmp_path / "plain", samples_from=tmp_path / "same.txt")
        (tmp_path / "ids.json").write_text(json.dumps(["scene/rgb_2", "scene/rgb_8"]))
        with pytest.raises(StoreError, match=r"1 of 2 listed samples are not in .*: scene/rgb_8"):
            lamofc.export(store, tmp_path / "more", samples_from=tmp_path / "ids.json")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "no JSON"),
        ("a.json", b"{}", "no list of texts"),
        ("a.json", b"[]", "lists no sample"),
        ("a.txt", b"\n", "lists no sample"),
        ("a.txt", b"\xff", "no text in UTF-8"),
        ("none.txt", None, "cannot be read"),
    ],
)
def test_lists_that_are_none_are_refused(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with stored(tmp_path / "store", {"a": PAIR}) as store, pytest.raises(StoreError, match=words):
        lamofc.export(store, tmp_path / "out", samples_from=tmp_path / name)

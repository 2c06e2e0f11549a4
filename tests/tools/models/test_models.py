"""Features of real model code, extracted and put back: the rest of a model gives what the whole of it gave."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument, NotFound, SourceError
from lamofc_tools.models import (
    BlockSource,
    LoadedModel,
    ModelInput,
    extract_features,
    find_inputs,
    open_model,
    replay,
    substitute_features,
)
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

MAKERS = {
    **dict.fromkeys(("dinov3", "dinov2", "resnet"), (tiny_models.vision, tiny_models.images)),
    **dict.fromkeys(("whisper", "wav2vec2", "hubert"), (tiny_models.speech, tiny_models.sounds)),
    **dict.fromkeys(("qwen3", "llama", "falconmamba", "gemma3"), (tiny_models.language, tiny_models.texts)),
}


def made(folder: Path, kind: str) -> str:
    return MAKERS[kind][0](folder / kind, kind)


def inputs_in(folder: Path, kind: str, count: int = 6) -> Path:
    return MAKERS[kind][1](folder / "data", count)


@torch.no_grad()
def answer(opened: Any, items: list[Any]) -> torch.Tensor:
    out = opened.model(**opened.inputs(items))
    found: torch.Tensor = out.logits if opened.kind.cache is not None else out.last_hidden_state
    return found


@contextmanager
def spoilt(blocks: torch.nn.ModuleList) -> Iterator[None]:
    """Whoever runs these blocks gets nothing but NaN."""
    kept = {parameter: parameter.data for parameter in blocks.parameters()}
    for parameter in kept:
        parameter.data = torch.full_like(parameter.data, torch.nan)
    yield
    for parameter, data in kept.items():
        parameter.data = data


@pytest.mark.parametrize("kind", ["dinov3", "dinov2", "whisper", "wav2vec2", "hubert", "qwen3", "llama", "falconmamba"])
def test_what_is_put_back_from_a_store_gives_the_answer_of_the_whole(tmp_path: Path, kind: str) -> None:
    opened = open_model(made(tmp_path, kind))
    items = find_inputs(str(inputs_in(tmp_path, kind)), opened.kind.inputs)
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        for item in items:
            store.ingest(extract_features(opened, [item], [2]), "raw")
        for item in items:
            features = store.tensors(item.id)
            whole = answer(opened, [item])
            with substitute_features(opened, 2, [features]), spoilt(opened.blocks[:3]):
                split = answer(opened, [item])
            assert torch.equal(whole, split)
            assert torch.equal(answer(opened, [item]), whole)
            broken = {name: torch.zeros_like(value) for name, value in features.items()}
            with substitute_features(opened, 2, [broken]):
                assert not torch.equal(answer(opened, [item]), whole)


@pytest.mark.parametrize("kind", ["dinov3", "qwen3"])
def test_samples_of_a_store_are_replayed_by_name_and_at_any_rate(tmp_path: Path, kind: str) -> None:
    opened = open_model(made(tmp_path, kind), dtype="float32")
    items = find_inputs(str(inputs_in(tmp_path, kind)), opened.kind.inputs)[5:]
    whole = answer(opened, items)
    with lamofc.open(str(tmp_path / "raw"), "w-") as store, lamofc.open(str(tmp_path / "klt"), "w-") as lossy:
        taken = extract_features(opened, items, [1])
        store.ingest(taken, "raw")
        lossy.ingest(taken, "klt", lamofc.Quality(snr_db=20))
        assert torch.equal(_first(replay(opened, store, items, 1)), whole)
        fine = (_first(replay(opened, lossy, items, 1)) - whole).square().mean()
        coarse = (_first(replay(opened, lossy, items, 1, lamofc.Quality(bpfp=0.5))) - whole).square().mean()
    assert 0 < fine <= coarse


def _first(output: Any) -> torch.Tensor:
    found: torch.Tensor = output[0]
    return found


@pytest.mark.parametrize("kind", ["qwen3", "llama", "falconmamba"])
def test_tokens_generated_after_a_replay_are_those_of_the_whole(tmp_path: Path, kind: str) -> None:
    opened = open_model(made(tmp_path, kind))
    (item,) = find_inputs(str(inputs_in(tmp_path, kind) / "005.txt"), "texts")
    inputs = opened.inputs([item])
    wanted = opened.model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0)
    (sample,) = extract_features(opened, [item], [1])
    with substitute_features(opened, 1, [sample.features]):
        found = opened.model.generate(**inputs, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(found, wanted)
    bare = [{"layer.1.output": sample.features["layer.1.output"]}]
    with substitute_features(opened, 1, bare), pytest.raises(NotFound, match=r"no 'layer\.0\."):
        opened.model.generate(**inputs, max_new_tokens=1, do_sample=False, pad_token_id=0)


@pytest.mark.parametrize("kind", ["dinov3", "qwen3", "falconmamba"])
def test_features_are_what_the_model_says_they_are(tmp_path: Path, kind: str) -> None:
    opened = open_model(made(tmp_path, kind))
    items = find_inputs(str(inputs_in(tmp_path, kind)), opened.kind.inputs)[:1]
    (sample,) = extract_features(opened, items, [2])
    with torch.no_grad():
        out = opened.model(**opened.inputs(items), output_hidden_states=True)
    name = "layer.2.output" if opened.kind.cache is not None else "layer.2"
    states = out.hidden_states[0 if kind == "falconmamba" else 1 :]  # some tell what the blocks are given, too
    assert torch.equal(sample.features[name], states[2])
    if kind == "qwen3":
        assert sample.features["layer.1.v_cache"].shape == (1, 2, opened.length(items[0]), 16)
        assert set(sample.features) == {name, *(f"layer.{n}.{kv}_cache" for n in range(3) for kv in "kv")}
    if kind == "falconmamba":
        assert sample.features["layer.2.ssm_state"].shape == (1, 64, 8)
        assert sample.features["layer.0.conv_state"].shape == (1, 64, 4)


def test_caches_of_a_window_say_where_they_begin(tmp_path: Path) -> None:
    opened = open_model(made(tmp_path, "gemma3"))
    text = tmp_path / "long.txt"
    text.write_text(" ".join("abcd"[number % 4] for number in range(80)), encoding="utf-8")
    (item,) = find_inputs(str(text), "texts")
    (sample,) = extract_features(opened, [item], [3])
    length = opened.length(item)
    assert length > 64 and sample.features["layer.3.k_cache"].shape[2] == length
    assert sample.features["layer.0.k_cache"].shape[2] == 63
    assert sample.first_positions == {f"layer.{n}.{kv}_cache": length - 63 for n in (0, 2) for kv in "kv"}


def test_a_batch_gives_what_each_item_gives(tmp_path: Path) -> None:
    opened = open_model(made(tmp_path, "dinov3"))
    items = find_inputs(str(inputs_in(tmp_path, "dinov3")), "images")
    together = extract_features(opened, items, [1, 3])
    for item, sample in zip(items, together, strict=True):
        assert sample.grids == {"layer.1": "5+4x4", "layer.3": "5+4x4"}
        assert set(sample.features) == {"layer.1", "layer.3"} and sample.features["layer.1"].shape == (1, 21, 32)
        (alone,) = extract_features(opened, [item], [1, 3])
        torch.testing.assert_close(sample.features["layer.3"], alone.features["layer.3"], rtol=1e-4, atol=1e-5)
    maps = open_model(made(tmp_path, "resnet"))
    (sample,) = extract_features(maps, items[:1], [3])
    assert sample.features["layer.3"].shape == (1, 32, 1, 1) and sample.patterns["layer.3"] == "b c h w -> (b h w) c"


def test_inputs_are_found_and_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text(" the cat \n")
    lines = ['{"id": 7, "caption": "a dog", "label": 3, "more": [1]}', "", '{"text": "it ran"}']
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    found = find_inputs(str(tmp_path), "texts")
    assert [(one.id, one.text) for one in found] == [("7", "a dog"), ("a/x", "the cat"), ("b/000002", "it ran")]
    assert found[0].attributes == {"label": 3}
    with pytest.raises(SourceError, match=r"holds no file of \.jpg"):
        find_inputs(str(tmp_path), "images")
    (tmp_path / "b.jsonl").write_text("[1]")
    with pytest.raises(SourceError, match=r"line 1 of .* is no JSON object with text or caption or prompt"):
        find_inputs(str(tmp_path), "texts")
    (tmp_path / "p.png").write_bytes(b"no picture")
    (item,) = find_inputs(str(tmp_path / "p.png"), "images")
    with pytest.raises(SourceError, match=r"p\.png is no readable image"):
        item.image()


def test_what_is_no_text_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("not yours")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(SourceError, match="a link out of the folder"):
        find_inputs(str(tmp_path / "in"), "texts")
    (tmp_path / "in" / "a.txt").unlink()
    os.mkfifo(tmp_path / "in" / "a.txt")
    with pytest.raises(SourceError, match="no regular file"):
        find_inputs(str(tmp_path / "in"), "texts")
    (tmp_path / "in" / "a.txt").unlink()
    (tmp_path / "in" / "a.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(SourceError, match=r"a\.txt is no text in UTF-8"):
        find_inputs(str(tmp_path / "in"), "texts")


def test_blocks_that_are_not_there_are_said(tmp_path: Path) -> None:
    opened = open_model(made(tmp_path, "dinov3"))
    with pytest.raises(BadArgument, match="block 4 of a model that has 4"):
        opened.require_block(4)
    with pytest.raises(NotFound, match=r"no 'layer\.1' to put back"), substitute_features(opened, 1, [{}]):
        pass
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadArgument, match="models of type 'bert' are not known"):
        open_model(str(tmp_path / "odd"))


def test_sounds_become_one_channel_at_the_rate_of_the_model(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    tone = np.sin(2 * np.pi * 440 * np.arange(11_025) / 44_100).astype(np.float32)
    soundfile.write(tmp_path / "tone.wav", np.stack([tone, 0 * tone], 1), 44_100, subtype="FLOAT")
    (item,) = find_inputs(str(tmp_path), "sounds")
    heard = item.waveform(16_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / 16_000)
    assert heard.dtype == np.float32 and abs(len(heard) - 4000) <= 1
    assert np.abs(heard[200:3800] - expected[200:3800]).max() < 1e-3
    (tmp_path / "bad.flac").write_bytes(b"no sound")
    with pytest.raises(SourceError, match=r"bad\.flac is no readable sound"):
        find_inputs(str(tmp_path / "bad.flac"), "sounds")[0].waveform(16_000)


def test_sounds_of_one_length_share_a_batch_and_none_is_cut_off(tmp_path: Path) -> None:
    data = inputs_in(tmp_path, "wav2vec2", 12)
    opened = open_model(made(tmp_path, "wav2vec2"))
    extraction = BlockSource(find_inputs(str(data), "sounds"), opened, (1, 3), batch=3)
    found = {sample.id: sample.features for sample in extraction}
    assert len(found) == 12 and extraction.features == ["layer.1", "layer.3"]
    assert {value["layer.3"].shape[1] for value in found.values()} == {199, 299, 399, 499}
    (alone,) = extract_features(opened, [extraction.items[5]], [3])
    torch.testing.assert_close(found[alone.id]["layer.3"], alone.features["layer.3"], rtol=1e-4, atol=1e-5)
    whisper = open_model(made(tmp_path, "whisper"))
    (short,) = extract_features(whisper, extraction.items[:1], [1])
    assert short.features["layer.1"].shape == (1, 50, 32)
    pytest.importorskip("soundfile").write(data / "long.wav", np.zeros(20_000, np.float32), 16_000)
    (long,) = find_inputs(str(data / "long.wav"), "sounds")
    with pytest.raises(SourceError, match=r"long\.wav lasts 1\.2 s, and .*whisper takes at most 1 s"):
        extract_features(whisper, [long], [1])


class _Counting:
    """Stands for a model of texts: tells their length, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def length(self, item: ModelInput) -> int:
        self.asked += 1
        return len(item.text)


def test_batches_are_of_one_length_and_a_fit_sees_all_lengths() -> None:
    texts = [ModelInput(f"{number:03d}", Path(), "x" * (number % 7)) for number in range(400)]
    counting = _Counting()
    extraction = BlockSource(texts, cast(LoadedModel, counting), (0,), batch=4)
    batches = list(extraction.batches())
    assert counting.asked == len(texts)
    assert all(len({len(one.text) for one in batch}) == 1 and len(batch) <= 4 for batch in batches)
    assert sorted(one.id for batch in batches for one in batch) == [one.id for one in texts]
    first = [one for batch in extraction.spread().batches() for one in batch][:40]
    assert len({len(one.text) for one in first}) == 7
    assert len({int(one.id) // 100 for one in first}) == 4
    assert len(extraction.without({"003", "399"})) == 398

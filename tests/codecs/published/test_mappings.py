"""Which levels a feature has, by a mapping.json."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lamofc_codecs import UnsupportedInput, decode, encode, fit
from lamofc_codecs.published.mappings import levels_for, route, routed

PUBLISHED = os.environ.get("LAMOFC_MAPPINGS", "")
"""A folder with LaMoFCBench's mapping.json, which may not be copied here."""


def rising(start: float, count: int = 256) -> list[float]:
    return [start + number / 8 for number in range(count)]


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    document = {
        "vision": {"layer.9": "lists/a.json", "layer.19": "lists/b.json", "layer": "lists/c.json"},
        "text": {"output": "lists/a.json", "layer.1.k_cache": "lists/b.json", "clip_pooled": "lists/c.json"},
    }
    for number, name in enumerate("abc"):
        (tmp_path / "lists" / f"{name}.json").write_text(json.dumps(rising(100.0 * number)))
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("feature", "family", "first"),
    [
        ("layer.9.0", "vision", 0.0),
        ("layer.19.1", "vision", 100.0),
        ("layer.91", "vision", 200.0),
        ("layer.1.9", "vision", 200.0),
        ("layer.4.output", "text", 0.0),
        ("layer.1.k_cache", "text", 100.0),
        ("item1.clip_pooled_prompt_embeds", "text", 200.0),
    ],
)
def test_the_longest_pattern_of_whole_segments_wins(mapping: Path, feature: str, family: str, first: float) -> None:
    assert levels_for(feature, mapping, family) == rising(first)


@pytest.mark.parametrize(
    ("feature", "family", "cause"),
    [
        ("layer.11.k_cache", "text", "no pattern stands for"),
        ("outputs", "text", "no pattern stands for"),
        ("layer.9", None, "has no family None"),
        ("layer.9", "audio", "has no family 'audio'"),
    ],
)
def test_what_has_no_levels(mapping: Path, feature: str, family: str | None, cause: str) -> None:
    with pytest.raises(UnsupportedInput, match=cause):
        levels_for(feature, mapping, family)


def test_two_patterns_of_one_length_must_agree() -> None:
    assert route("a.b.c", {"a.b": "x", "b.c": "x"}) == "a.b"
    with pytest.raises(UnsupportedInput, match=r"may go by a\.b or by b\.c"):
        route("a.b.c", {"a.b": "x", "b.c": "y"})


def test_a_mapping_reads_nothing_outside_of_its_folder(mapping: Path) -> None:
    (mapping.parent.parent / "outside.json").write_text(json.dumps(rising(0)))
    mapping.write_text(json.dumps({"layer.9": "../outside.json"}))
    with pytest.raises(UnsupportedInput, match="outside of its own folder"):
        levels_for("layer.9", mapping)


@pytest.mark.parametrize("text", ["", "{", "3", '"x"', "[" * 100_000, '{"a": {"layer": 3}}'])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mapping.json"
    file.write_text(text)
    with pytest.raises(UnsupportedInput):
        levels_for("layer", file)


def test_options_take_levels_from_a_mapping(mapping: Path) -> None:
    told = routed("layer.9", {"mapping": str(mapping), "family": "vision", "assign": "floor"})
    assert told == {"levels": rising(0.0), "assign": "floor"}
    for bad in ({"family": "vision"}, {"mapping": str(mapping), "levels": []}):
        with pytest.raises(UnsupportedInput):
            routed("layer.9", bad)


@pytest.mark.parametrize("codec", ["lloydmax", "hyperprior"])
def test_a_mapping_without_a_features_name_is_refused(mapping: Path, codec: str) -> None:
    with pytest.raises(UnsupportedInput, match="for a feature without a name"):
        fit(codec, [], mapping=str(mapping), family="vision")


@pytest.mark.skipif(not PUBLISHED, reason="LAMOFC_MAPPINGS names no folder with a published mapping.json")
def test_all_published_mappings_import_and_code_under_both_assignments() -> None:
    file = Path(PUBLISHED) / "mapping.json"
    seen = set()
    draw = np.random.default_rng(1)
    for family, patterns in json.loads(file.read_text()).items():
        for pattern, name in patterns.items():
            for feature in (pattern, f"{pattern}.0"):
                assert route(feature, patterns) == pattern
            levels = np.array(levels_for(pattern, file, family), np.float32)
            middles = (levels[1:] + levels[:-1]) / 2
            values = np.concatenate([levels, middles, draw.choice(levels, 1489) + draw.standard_normal(1489)])
            source = torch.from_numpy(values.astype(np.float32)).reshape(50, 40)
            errors = {}
            for assign in ("nearest", "floor"):
                profile = fit("lloydmax", [], levels=levels.tolist(), assign=assign)
                found = decode([encode([source], profile)[0].data], profile)[0].numpy()
                at = np.searchsorted(levels, source.numpy(), "right") - 1
                if assign == "nearest":
                    expected = np.abs(source.numpy()[..., None].astype(np.float64) - levels).min(-1)
                    apart = np.abs(found - source.numpy().astype(np.float64))
                    assert (apart <= expected + 1e-6 * np.abs(source.numpy())).all()
                else:
                    assert np.array_equal(found, levels[at.clip(0, 255)])
                errors[assign] = float(np.square(found - source.numpy(), dtype=np.float64).sum())
            assert errors["nearest"] < errors["floor"]
            seen.add(name)
    assert len(seen) == 50

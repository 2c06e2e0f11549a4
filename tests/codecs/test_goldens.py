"""Old bytes decode to the old values, and old sources code to the old bytes."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from lamofc_codecs import CODECS, Profile, decode, encode, inspect
from lamofc_codecs.abilities import Grouped
from lamofc_codecs.registry import open_codec
from lamofc_tools.generate.golden_case import Case
from lamofc_tools.generate.make_goldens import cases, digest

GOLDENS = Path(__file__).parent / "goldens"
CASES = {case.name: case for case in cases()}
NAMES = list(CASES)


def test_every_mode_of_every_codec_has_its_golden() -> None:
    folders = sorted(path.name for path in GOLDENS.iterdir() if path.is_dir())
    assert folders == sorted(NAMES)
    written = {json.loads((GOLDENS / name / "expected.json").read_text())["codec"] for name in NAMES}
    assert written == set(CODECS)


def profile_of(name: str) -> Profile:
    file = GOLDENS / name / "profile.safetensors"
    return CASES[name].profile() if CASES[name].promise == "numbers" else Profile.load(file)


@pytest.mark.parametrize("name", NAMES)
def test_old_bytes_decode_to_the_old_values(name: str) -> None:
    expected = json.loads((GOLDENS / name / "expected.json").read_text())
    profile = profile_of(name)
    record = (GOLDENS / name / "record.bin").read_bytes()
    assert profile.id == expected["profile"]
    assert inspect(record).number == CODECS[expected["codec"]].number
    decoded = decode([record], profile)
    if CASES[name].promise == "numbers":
        before = [one.numpy() for one in load_file(GOLDENS / name / "decoded.safetensors").values()]
        if "levels" not in profile.tensors:
            for one, other in zip(decoded, before, strict=True):
                assert np.abs(one.numpy() - other).max() <= 1e-3 * np.abs(other).max()
            return
        levels = profile.tensors["levels"].numpy()
        apart = np.abs(np.searchsorted(levels, decoded[0].numpy()) - np.searchsorted(levels, before[0]))
        assert apart.max() <= 1
        assert apart.mean() < 0.01
    else:
        assert digest(decoded) == expected["decoded"]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.promise == "bytes"])
def test_old_sources_code_to_the_old_bytes(name: str) -> None:
    source = load_file(GOLDENS / name / "source.safetensors")
    items = [source[f"item{number}"] for number in range(len(source))]
    profile = profile_of(name)
    codec = open_codec(profile)
    parts = codec.part_names() if isinstance(codec, Grouped) else ()
    element = dict(zip(parts, items, strict=True)) if parts else items
    (record,) = encode([element], profile, first_positions=[CASES[name].first_position])
    assert record.data == (GOLDENS / name / "record.bin").read_bytes()


def alike(left: object, right: object) -> bool:
    """Whether two configs are equal, floats but for rounding."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return set(left) == set(right) and all(alike(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return bool(left == pytest.approx(right, rel=1e-5) if isinstance(left, float) else left == right)


@pytest.mark.parametrize("case", list(cases()), ids=NAMES)
def test_a_fit_today_gives_a_profile_of_the_same_kind(case: Case) -> None:
    # Not the same bytes: the samples come from a generator that torch may change, and processors round otherwise.
    fitted, old = case.profile(), profile_of(case.name)
    assert alike(fitted.config, old.config)
    assert set(fitted.tensors) == set(old.tensors)


def test_their_origin_is_written_down() -> None:
    text = (GOLDENS / "PROVENANCE.md").read_text()
    assert sorted(re.findall(r"^- `([\w-]+)`", text, re.MULTILINE)) == sorted(NAMES)

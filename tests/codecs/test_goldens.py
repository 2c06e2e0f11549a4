"""Old bytes decode to the old values, and old sources code to the old bytes."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lamofc_codecs import CODECS, Profile, decode, encode, inspect
from lamofc_codecs.registry import open_codec
from lamofc_tools.make_goldens import Case, cases, digest

GOLDENS = Path(__file__).parent / "goldens"
NAMES = [case.name for case in cases()]


def test_every_mode_of_every_codec_has_its_golden() -> None:
    folders = sorted(path.name for path in GOLDENS.iterdir() if path.is_dir())
    assert folders == sorted(NAMES)
    written = {json.loads((GOLDENS / name / "expected.json").read_text())["codec"] for name in NAMES}
    assert written == set(CODECS)


@pytest.mark.parametrize("name", NAMES)
def test_old_bytes_decode_to_the_old_values(name: str) -> None:
    expected = json.loads((GOLDENS / name / "expected.json").read_text())
    profile = Profile.load(GOLDENS / name / "profile.safetensors")
    record = (GOLDENS / name / "record.bin").read_bytes()
    assert profile.id == expected["profile"]
    assert inspect(record).number == CODECS[expected["codec"]].number
    assert digest(decode([record], profile)) == expected["decoded"]


@pytest.mark.parametrize("name", NAMES)
def test_old_sources_code_to_the_old_bytes(name: str) -> None:
    source = load_file(GOLDENS / name / "source.safetensors")
    items = [source[f"item{number}"] for number in range(len(source))]
    profile = Profile.load(GOLDENS / name / "profile.safetensors")
    parts = open_codec(profile).parts
    element = dict(zip(parts, items, strict=True)) if parts else items
    assert encode([element], profile)[0].data == (GOLDENS / name / "record.bin").read_bytes()


@pytest.mark.parametrize("case", list(cases()), ids=NAMES)
def test_a_fit_today_gives_a_profile_of_the_same_kind(case: Case) -> None:
    # Not the same bytes: the samples come from a generator that torch may change.
    fitted, old = case.profile(), Profile.load(GOLDENS / case.name / "profile.safetensors")
    assert fitted.config == old.config
    assert set(fitted.tensors) == set(old.tensors)


def test_their_origin_is_written_down() -> None:
    text = (GOLDENS / "PROVENANCE.md").read_text()
    assert sorted(re.findall(r"^- `([\w-]+)`", text, re.MULTILINE)) == sorted(NAMES)

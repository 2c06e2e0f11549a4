"""Every codec is registered once, and written down."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import lamofc_codecs
from lamofc_codecs import CODECS, Codec, UnknownCodec, codec_ids, describe, fit
from lamofc_codecs.registry import codec_of_number

README = Path(lamofc_codecs.__file__).parents[1] / "README.md"


def test_all_codecs_of_the_package_are_registered() -> None:
    found = set()
    for module in pkgutil.iter_modules(lamofc_codecs.__path__):
        for _, kind in inspect.getmembers(importlib.import_module(f"lamofc_codecs.{module.name}"), inspect.isclass):
            if issubclass(kind, Codec) and hasattr(kind, "id"):
                found.add(kind)
    assert found == set(CODECS.values())
    assert found


def test_ids_and_numbers_are_unique_and_stand_in_the_readme() -> None:
    assert all(codec == kind.id for codec, kind in CODECS.items())
    numbers = [kind.number for kind in CODECS.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 256 for number in numbers)
    listed = re.findall(r"^\| (\d+) \| `(\w+)` \|", README.read_text(), re.MULTILINE)
    assert {(int(number), codec) for number, codec in listed} == {
        (kind.number, codec) for codec, kind in CODECS.items()
    }


def test_describe_says_what_people_ask() -> None:
    for codec in codec_ids():
        described = describe(codec)
        assert described["id"] == codec
        assert described["summary"] and described["text"]
        assert set(described) == {"id", "number", "summary", "qualities", "options", "text"}


def test_unknown_codecs_name_the_known_ones() -> None:
    with pytest.raises(UnknownCodec, match="'zip'"):
        fit("zip", [])
    with pytest.raises(UnknownCodec, match="number 250"):
        codec_of_number(250)

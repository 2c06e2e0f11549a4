"""Every codec is registered once and written down; codecs of other packages are found when they are needed."""

import contextlib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import torch
from torch import Tensor

import lamofc_codecs
from lamofc_codecs import (
    CODECS,
    Codec,
    CodecError,
    Encoding,
    Profile,
    Quality,
    Source,
    UnknownCodec,
    codec_ids,
    describe,
    fit,
    open_codec,
)
from lamofc_codecs.raw.codec import Raw
from lamofc_codecs.registry import ENTRY_POINTS, Registry
from lamofc_codecs.uniform.codec import Uniform

README = Path(lamofc_codecs.__file__).parents[1] / "README.md"


class Mine(Codec):
    """The bytes."""

    id = "mine"
    number = 200
    summary = "the bytes"

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        return Encoding((source.tensor.contiguous().view(torch.uint8).numpy().tobytes(),))

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        raise NotImplementedError


class SameNumber(Mine):
    id = "same-number"


class Named(Mine):
    number = 201


class Unfinished(Codec):
    id = "unfinished"
    number = 202
    summary = "no methods"


def offer(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINTS)


def mine(name: str, kind: str) -> EntryPoint:
    return offer(name, f"{__name__}:{kind}")


def test_all_codecs_of_the_package_are_registered() -> None:
    found = set()
    for module in pkgutil.iter_modules(lamofc_codecs.__path__):
        for _, kind in inspect.getmembers(importlib.import_module(f"lamofc_codecs.{module.name}"), inspect.isclass):
            if issubclass(kind, Codec) and hasattr(kind, "id"):
                found.add(kind)
    assert found == {CODECS[codec] for codec in codec_ids() if CODECS[codec].__module__.startswith("lamofc_codecs.")}
    assert found


def test_ids_and_numbers_are_unique_and_stand_in_the_readme() -> None:
    own = {codec: kind for codec, kind in CODECS.items() if kind.__module__.startswith("lamofc_codecs.")}
    assert all(codec == kind.id for codec, kind in own.items())
    numbers = [kind.number for kind in own.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 128 for number in numbers)
    listed = re.findall(r"^\| (\d+) \| `(\w+)` \|", README.read_text(), re.MULTILINE)
    assert {(int(number), codec) for number, codec in listed} == {(kind.number, codec) for codec, kind in own.items()}


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
        CODECS.by_number(250)


def test_other_packages_are_searched_when_an_id_or_a_number_is_unknown_and_not_before() -> None:
    searched = []

    def find() -> list[EntryPoint]:
        searched.append(True)
        return [mine("mine", "Mine")]

    registry = Registry([Raw, Uniform], find)
    assert registry["raw"] is registry.by_number(1) is Raw
    assert "uniform" in registry and not searched
    assert "mine" in registry and "other" not in registry
    assert registry["mine"] is registry.by_number(200) is Mine
    assert list(registry) == ["raw", "uniform", "mine"] and len(registry) == 3
    assert len(searched) == 1
    assert Registry([Raw], find).by_number(200) is Mine
    assert list(Registry([Raw], find)) == ["raw", "mine"]


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        ([mine("raw", "Mine")], "offers a codec 'raw', but its class has the id 'mine'"),
        ([mine("mine", "Mine"), mine("mine", "Named")], "both offer a codec 'mine'"),
        ([mine("mine", "Mine"), mine("same-number", "SameNumber")], "'same-number', number 200.* clashes with.*'mine'"),
    ],
)
def test_clashes_are_errors_that_name_both(offers: list[EntryPoint], words: str) -> None:
    registry = Registry([Raw], lambda: offers)
    assert registry["raw"] is Raw
    if "clashes" in words or "both" in words:
        with pytest.raises(CodecError, match=words) as clash:
            list(registry)
        assert clash.value.cure
    else:
        with pytest.warns(RuntimeWarning, match=words):
            assert list(registry) == ["raw"]


def test_a_codec_with_the_id_of_another_is_refused() -> None:
    class Other(Mine):
        number = 210

    registry = Registry([Raw, Mine], list)
    registry.register(Mine)
    with pytest.raises(CodecError, match=r"of .*Other clashes with codec 'mine', number 200, of .*\.Mine\b") as clash:
        registry.register(Other)
    assert "an id and a number of its own" in clash.value.cure


def again(**attributes: object) -> type[Codec]:
    """Define the class `Mine` again, as a cell of a notebook that is run twice does."""
    place = {"__module__": Mine.__module__, "__qualname__": Mine.__qualname__}
    return type("Mine", (Mine,), place | attributes)


def test_a_class_that_is_defined_again_replaces_the_former() -> None:
    registry, anew, renumbered = Registry([Raw, Mine], list), again(), again(number=210)
    registry.register(anew)
    assert registry["mine"] is registry.by_number(200) is anew
    registry.register(renumbered)
    assert registry["mine"] is registry.by_number(210) is renumbered
    with pytest.raises(UnknownCodec, match="number 200"):
        registry.by_number(200)
    with pytest.raises(CodecError, match=r"'other', number 210.* clashes with codec 'mine', number 210") as clash:
        registry.register(again(id="other", number=210))
    assert "keep the id of a class that is defined again" in clash.value.cure


def test_an_open_profile_gets_the_codec_that_is_defined_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_codecs", "_numbered"):
        monkeypatch.setattr(CODECS, name, getattr(CODECS, name))
    CODECS.register(Mine)
    profile, anew = fit("mine", []), again()
    assert type(open_codec(profile)) is Mine
    CODECS.register(anew)
    assert type(open_codec(profile)) is anew and open_codec(profile) is open_codec(profile)


def test_threads_may_register_at_once() -> None:
    barrier = Barrier(2)

    class Meeting(dict[str, type[Codec]]):
        """Codecs that two threads would read at once, were there no lock."""

        def values(self) -> Any:
            with contextlib.suppress(BrokenBarrierError):
                barrier.wait(0.1)
            return super().values()

    registry = Registry([Raw], list)
    registry._codecs = Meeting(registry._codecs)
    with ThreadPoolExecutor(2) as threads:
        registered = [threads.submit(registry.register, codec) for codec in (Mine, SameNumber)]
    (clash,) = filter(None, (future.exception() for future in registered))
    assert "clashes" in str(clash)


def test_a_codec_that_cannot_be_loaded_spoils_no_other() -> None:
    offers = [offer("broken", "no_such_module:Codec"), mine("mine", "Mine"), mine("unfinished", "Unfinished")]
    registry = Registry([Raw], lambda: offers)
    with pytest.raises(CodecError, match=r"'broken' of no_such_module:Codec cannot be loaded: ModuleNotFoundError"):
        registry["broken"]
    with pytest.raises(CodecError, match="no method `decode`"):
        registry["unfinished"]
    with pytest.warns(RuntimeWarning, match="left out"):
        assert list(registry) == ["raw", "mine"]
    assert list(registry) == ["raw", "mine"]


def test_a_codec_lives_as_long_as_its_profile() -> None:
    import gc
    import weakref

    profile = fit("uniform", [torch.randn(30, 4)], Quality(snr_db=10))
    codec = weakref.ref(open_codec(profile))
    assert open_codec(profile) is codec()
    assert open_codec(Profile.load(profile.data)) is codec()
    del profile
    gc.collect()
    assert codec() is None

"""The check of a codec's class names what is missing, and what it is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from lamofc_codecs import CODECS, Codec, CodecError, Encoding, Options, Profile, Quality, Source
from lamofc_codecs.contract import check_class
from lamofc_codecs.testing.conformance import CodecConformance


class Sound(Codec):
    """Every value in float64."""

    id = "sound"
    number = 222
    summary = "every value in float64"

    def encode(self, source: Source, quality: Quality | None) -> Encoding:
        return Encoding((source.tensor.view(torch.uint8).numpy().tobytes(),))

    def decode(self, layers: Sequence[memoryview], out: Tensor) -> None:
        out.copy_(torch.frombuffer(bytearray(layers[0]), dtype=out.dtype).view(out.shape))


def variant(**attributes: Any) -> type[Codec]:
    """The sound codec with other attributes; those given as None are taken away."""
    kept = {name: value for name, value in vars(Sound).items() if not name.startswith("_")}
    return type("Variant", (Codec,), {name: value for name, value in (kept | attributes).items() if value is not None})


class Anything:
    def __init__(self, profile: Profile) -> None:
        pass


def test_the_codecs_here_fulfil_the_contract() -> None:
    for codec in CODECS.values():
        check_class(codec, foreign=not codec.__module__.startswith("lamofc_codecs."))
    check_class(Sound, foreign=True)


@pytest.mark.parametrize(
    ("codec", "words"),
    [
        (Anything, "no subclass of lamofc_codecs.Codec"),
        (object(), "no subclass of lamofc_codecs.Codec"),
        (variant(decode=None), r"no method `decode`, whose purpose is: Fill `out`"),
        (variant(encode=None), r"no method `encode`, whose purpose is: Code one tensor"),
        (
            variant(encode=lambda self, source: None),
            r"`encode` cannot be called as encode\(source, quality\).*Code one",
        ),
        (variant(fit=classmethod(lambda cls, samples: None)), r"`fit` cannot be called as fit\(samples, quality, opt"),
        (variant(id="Sound!"), r"`id` is 'Sound!'"),
        (variant(id=None), r"`id` is None"),
        (variant(number=7), "`number` is 7, not a whole number from 128 to 255"),
        (variant(number=256), "`number` is 256"),
        (variant(number="200"), "`number` is '200'"),
        (variant(summary=None), "`summary` is None"),
        (variant(qualities=("loudness",)), r"`qualities` is \('loudness',\)"),
        (variant(options=("level",)), r"`options` is \('level',\), not a subclass of lamofc_codecs.Options"),
        (variant(part_names=lambda self: ()), r"`part_names` makes it Grouped, but it has no method `decode_parts`"),
        (variant(gains_from_blocks=lambda self, tokens: True), "makes it Blockable, but it has no method `keep`"),
        (variant(pool=lambda self, layers: []), r"`pool` cannot be called as pool\(layers, shapes, parts, weights\)"),
    ],
)
def test_what_is_wrong_is_named_with_its_purpose(codec: object, words: str) -> None:
    with pytest.raises(CodecError, match=words) as refused:
        check_class(codec, foreign=True)
    assert "README" in refused.value.cure


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(CodecError, match=r"`id`.*`number`.*`decode`"):
        check_class(variant(id=None, number=None, decode=None), foreign=True)


def conformance(kind: type[Codec]) -> CodecConformance:
    return type("Tests", (CodecConformance,), {"codec": kind})()


@pytest.fixture
def codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for name in ("_codecs", "_numbered"):
        monkeypatch.setattr(CODECS, name, dict(getattr(CODECS, name)))


@pytest.mark.usefixtures("codecs")
def test_every_conformance_test_names_a_missing_method() -> None:
    unfinished = conformance(variant(decode=None))
    for name in ("test_the_class_fulfils_the_contract", "test_shapes_come_back", "test_out_and_dtype"):
        with pytest.raises(CodecError, match="no method `decode`, whose purpose is: Fill `out`"):
            getattr(unfinished, name)()


@pytest.mark.usefixtures("codecs")
@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"encode": lambda self, source, quality: b"bytes"}, "encode returns the layers.*it returned b'bytes'"),
        ({"encode": lambda self, source, quality: Encoding(())}, "`layers` is a tuple of bytes, one at least"),
        ({"encode": lambda self, source, quality: Encoding((b"", b""))}, "`errors` has the error of each prefix"),
        ({"decode": lambda self, layers, out: out}, "decode fills `out` and returns nothing"),
    ],
)
def test_wrong_results_are_named(method: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        conformance(variant(id="variant", **method)).test_encode_and_decode_return_what_they_promise()


@pytest.mark.usefixtures("codecs")
def test_a_sound_codec_of_two_methods_passes() -> None:
    tests = conformance(variant(id="whole"))
    tests.test_the_class_fulfils_the_contract()
    tests.test_encode_and_decode_return_what_they_promise()
    tests.test_dtypes_come_back()


@dataclass(frozen=True)
class Depth(Options):
    depth: int = 3


@pytest.mark.usefixtures("codecs")
def test_without_a_fit_of_its_own_the_profile_holds_options_and_quality() -> None:
    from lamofc_codecs import fit

    CODECS.register(variant(id="deep", options=Depth, qualities=("step",)))
    assert dict(fit("deep", []).config) == {"depth": 3}
    assert dict(fit("deep", [], Quality(step=0.5), depth=9).config) == {"depth": 9, "quality": {"step": 0.5}}

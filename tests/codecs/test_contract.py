"""The check of a codec's class names what is missing, and what it is for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from lamofc_codecs import (
    CODECS,
    Codec,
    CodecError,
    Encoding,
    Options,
    Profile,
    Quality,
    Source,
    encode,
    fit,
    open_codec,
)
from lamofc_codecs.contract import check_class
from lamofc_codecs.stats import NO_DISTORTION
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
        (variant(__init__=lambda self: None), r"`__init__` cannot be called as __init__\(profile\).*Check the profile"),
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
    ("encoding", "words"),
    [
        (b"bytes", "codec variant: `encode` returned bytes b'bytes', not a lamofc_codecs.Encoding.*: Code one tensor"),
        (Encoding(()), r"`layers` is tuple \(\), not a tuple of bytes, one at least"),
        (Encoding(b"bytes"), "`layers` is bytes b'bytes', not a tuple of bytes"),  # type: ignore[arg-type]
        (Encoding((b"", b"")), "returned 2 layers and 1 `errors`, not one for each prefix"),
        (Encoding((b"", b""), (NO_DISTORTION,) * 2), "returned 2 layers, but the codec has no method `lay"),
    ],
)
def test_what_encode_returns_is_checked(encoding: object, words: str) -> None:
    kind = variant(id="variant", encode=lambda self, source, quality: encoding)
    with pytest.raises(CodecError, match=words):
        conformance(kind).test_encode_and_decode_return_what_they_promise()
    with pytest.raises(CodecError, match=words) as refused:
        encode([torch.zeros(2, 3)], fit("variant", []))
    assert "README" in refused.value.cure


@pytest.mark.usefixtures("codecs")
def test_decode_returns_nothing() -> None:
    kind = variant(id="variant", decode=lambda self, layers, out: out)
    with pytest.raises(AssertionError, match="decode fills `out` and returns nothing"):
        conformance(kind).test_encode_and_decode_return_what_they_promise()


@pytest.mark.usefixtures("codecs")
def test_a_codec_that_is_not_initialised_is_named() -> None:
    CODECS.register(variant(id="variant", __init__=lambda self, profile: None))
    with pytest.raises(CodecError, match="codec variant: `__init__` of Variant does not set `bulk`") as refused:
        open_codec(fit("variant", []))
    assert "super().__init__(profile)" in refused.value.cure


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
    CODECS.register(variant(id="deep", options=Depth, qualities=("step",)))
    assert dict(fit("deep", []).config) == {"depth": 3}
    assert dict(fit("deep", [], Quality(step=0.5), depth=9).config) == {"depth": 9, "quality": {"step": 0.5}}

"""Check a codec's class and its encodings against the contract, and name each wrong member with its purpose."""

from __future__ import annotations

import inspect
import re
import reprlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from lamofc_codecs.abilities import ABILITIES, Layered
from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import CodecError
from lamofc_codecs.options import Options
from lamofc_codecs.quality import Quality
from lamofc_codecs.source import Encoding

LAST_OWN_NUMBER = 127
"""The highest number of a codec of this package; those of other packages follow."""
_LAST_NUMBER = 255
_README = "see `How to add a codec` in tools/README.md"
_ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def check_class(codec: object, *, foreign: bool) -> None:
    """Refuse a class that does not fulfil the contract of `Codec`; `foreign` classes are those of other packages."""
    problems = list(_problems(codec, foreign))
    if problems:
        name = getattr(codec, "__qualname__", repr(codec))
        raise CodecError(f"codec class {name}: {'; '.join(problems)}", _README)


def check_instance(codec: Codec) -> None:
    """Refuse a codec whose `__init__` left out that of `Codec`."""
    if not hasattr(codec, "bulk"):
        raise CodecError(
            f"codec {codec.id}: `__init__` of {type(codec).__qualname__} does not set `bulk`",
            "begin it with super().__init__(profile)",
        )


def check_encoding(codec: Codec, encoding: object) -> None:
    """Refuse a result of `encode` that is no encoding, or one whose layers and errors do not match."""
    problem = _wrong_encoding(codec, encoding)
    if problem:
        raise CodecError(f"codec {codec.id}: `encode` {problem}; its purpose is: {_purpose(Codec, 'encode')}", _README)


def _wrong_encoding(codec: Codec, encoding: object) -> str:
    if not isinstance(encoding, Encoding):
        return f"returned {_short(encoding)}, not a lamofc_codecs.Encoding of layers and errors"
    layers, errors = encoding.layers, encoding.errors
    if not (isinstance(layers, tuple) and layers and all(isinstance(layer, bytes) for layer in layers)):
        return f"returned an Encoding whose `layers` is {_short(layers)}, not a tuple of bytes, one at least"
    if len(errors) != len(layers):
        return f"returned {len(layers)} layers and {len(errors)} `errors`, not one for each prefix of the layers"
    if len(layers) > 1 and not isinstance(codec, Layered):
        return f"returned {len(layers)} layers, but the codec has no method `layers_per_level`"
    return ""


def _short(value: object) -> str:
    """Show a value in a few words."""
    return f"{type(value).__name__} {reprlib.repr(value)}"


def _problems(codec: object, foreign: bool) -> Iterator[str]:
    if not (isinstance(codec, type) and issubclass(codec, Codec)):
        yield "it is no subclass of lamofc_codecs.Codec"
        return
    yield from _wrong_attributes(codec, foreign)
    for name in sorted(codec.__abstractmethods__ & {"decode", "encode"}):
        yield f"it has no method `{name}`, whose purpose is: {_purpose(Codec, name)}"
    for name in ("__init__", "fit", "encode", "decode", "check_length"):
        yield from _wrong_signature(codec, Codec, name)
    for ability in ABILITIES:
        yield from _half_an_ability(codec, ability)


def _wrong_attributes(codec: type[Codec], foreign: bool) -> Iterator[str]:
    """Find class attributes that are absent, of another type or out of range."""
    values: dict[str, Any] = {name: getattr(codec, name, None) for name in ("id", "number", "summary")}
    first = LAST_OWN_NUMBER + 1 if foreign else 1
    if not (isinstance(values["id"], str) and _ID.fullmatch(values["id"])):
        yield f"`id` is {values['id']!r}, not up to 64 lower-case letters, digits, _ and -: the name that people write"
    if type(values["number"]) is not int or not first <= values["number"] <= _LAST_NUMBER:
        yield (
            f"`number` is {values['number']!r}, not a whole number from {first} to {_LAST_NUMBER}: "
            "the name that records bear"
        )
    if not (isinstance(values["summary"], str) and values["summary"].strip() and "\n" not in values["summary"]):
        yield f"`summary` is {values['summary']!r}, not a line of text: what `lamofc codec list` shows"
    targets = {field.name for field in fields(Quality)}
    if not (isinstance(codec.qualities, tuple) and set(codec.qualities) <= targets):
        yield f"`qualities` is {codec.qualities!r}, not a tuple of {sorted(targets)}: the targets that it can aim at"
    options: object = codec.options
    if not (isinstance(options, type) and issubclass(options, Options) and is_dataclass(options)):
        yield f"`options` is {options!r}, not a subclass of lamofc_codecs.Options: what `fit` may be told"


def _half_an_ability(codec: type[Codec], ability: type) -> Iterator[str]:
    """Find methods of an ability that lack others, or that cannot be called as the ability calls them."""
    methods = [name for name in dir(ability) if not name.startswith("_") and callable(getattr(ability, name))]
    missing = [name for name in methods if not callable(getattr(codec, name, None))]
    present = [name for name in methods if name in vars(ability) and name not in missing]
    if present and missing:
        yield (
            f"`{present[0]}` makes it {ability.__name__}, but it has no method `{missing[0]}`, whose purpose is: "
            f"{_purpose(ability, missing[0])}"
        )
    for name in methods if not missing else ():
        yield from _wrong_signature(codec, ability, name)


def _wrong_signature(codec: type, base: type, name: str) -> Iterator[str]:
    """Find a method that does not take the arguments that the base's method takes, by position."""
    theirs, ours = getattr(codec, name), getattr(base, name)
    parameters = list(inspect.signature(ours).parameters)
    try:
        inspect.signature(theirs).bind(*parameters)
    except TypeError as error:
        called = ", ".join(parameter for parameter in parameters if parameter != "self")
        yield f"`{name}` cannot be called as {name}({called}): {error}; its purpose is: {_purpose(base, name)}"
    except ValueError:  # a method without a signature, written in C
        return


def _purpose(base: type, name: str) -> str:
    """Return the first line of a method's text."""
    return (inspect.getdoc(getattr(base, name)) or "").partition("\n")[0]

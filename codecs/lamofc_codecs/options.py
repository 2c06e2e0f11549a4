"""Options of a codec's fit: one frozen dataclass for each codec, parsed and checked here for all of them.

A field's annotation gives the type of the option, and `Annotated[int, Between(1, 7)]` its bounds too. Names, types and
bounds are checked before the dataclass is made; its own `__post_init__` checks how options fit together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.quality import is_finite_number


@dataclass(frozen=True)
class Between:
    """Bounds of a number, both included."""

    least: float
    most: float

    def holds(self, value: object) -> bool:
        """Say whether a number lies within."""
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least} to {self.most}"


@dataclass(frozen=True)
class Options:
    """Base of a codec's options; the base itself is for codecs that have none."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Keys of a profile's config that an option determines, for options that are not stored under their own name."""
    later_keys: ClassVar[tuple[str, ...]] = ()
    """Keys of options that earlier versions did not know: a profile without one may have been fitted with any value."""

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options for these features, where an option differs from feature to feature."""
        return self

    @classmethod
    def compared(cls, options: Mapping[str, Any], features: Sequence[str]) -> Mapping[str, Any]:
        """Return the options that a profile of these features must have been fitted with, to be taken for them."""
        return options

    def targets(self, qualities: tuple[str, ...]) -> tuple[str, ...]:
        """Return the targets of the codec that these options allow."""
        return qualities


Parsed = TypeVar("Parsed", bound=Options)


def names_of(options_class: type[Options]) -> tuple[str, ...]:
    """Return the names of the options, in the order in which they are declared."""
    return tuple(field.name for field in fields(options_class))


def parse_options(options_class: type[Parsed], arguments: Mapping[str, Any], owner: str) -> Parsed:
    """Make a codec's options from keyword arguments; errors name the `owner` of the options, such as `codec klt`."""
    unknown = sorted(set(arguments) - set(names_of(options_class)))
    if unknown:
        raise UnsupportedInput(
            f"{owner} has no option {unknown}", f"options: {', '.join(names_of(options_class)) or 'none'}"
        )
    hints = get_type_hints(options_class, include_extras=True)
    for name, value in arguments.items():
        if not _fits(value, hints[name]):
            raise UnsupportedInput(f"{owner}: {name}={value!r}", f"give {_words(hints[name])}")
    return options_class(**{name: _as_tuple(value, hints[name]) for name, value in arguments.items()})


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the types that a union allows; of any other type, the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: object, hint: Any) -> bool:
    """Say whether a value is of a type, and within its bounds."""
    return any(_fits_one(value, member) for member in _members(hint))


def _fits_one(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *notes = get_args(hint)
        bounds = [note for note in notes if isinstance(note, Between)]
        return _fits(value, inner) and all(bound.holds(value) for bound in bounds)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in get_args(hint))
    if origin is tuple:
        ends = get_args(hint)
        return isinstance(value, list | tuple) and len(value) == len(ends) and all(map(_fits, value, ends))
    if hint is float:
        return is_finite_number(value)
    if hint is int:
        return type(value) is int
    return hint is Any or isinstance(value, origin or hint)


def _as_tuple(value: object, hint: Any) -> object:
    """Return a list as the tuple that the hint asks for: JSON knows no tuples."""
    pair = any(get_origin(member) is tuple for member in _members(hint))
    return tuple(value) if pair and isinstance(value, list) else value


def _words(hint: Any) -> str:
    """Describe what a hint allows."""
    members = _members(hint)
    text = " or ".join(_words_of_one(member) for member in members if member is not NoneType)
    return f"{text}, or leave it out" if NoneType in members else text


def _words_of_one(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        notes = arguments[1:]
        described = [note for note in notes if isinstance(note, str)]
        return described[0] if described else " ".join([_words(arguments[0]), *map(str, notes)])
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in arguments)
    if origin is tuple:
        return f"({', '.join(['number'] * len(arguments))})"
    plain = {int: "a whole number", float: "a finite number", bool: "True or False", str: "text", Path: "a path"}
    return plain.get(hint) or f"a {(origin or hint).__name__}"

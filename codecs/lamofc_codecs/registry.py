"""All codecs, by id and by the number in records.

A codec of another package is found by an entry point of the group `lamofc_codecs.codecs`, named by the codec's id:

    [project.entry-points."lamofc_codecs.codecs"]
    mine = "my_package.my_codec:Mine"

The installed packages are searched only for an id or a number that no codec here has, or to list all codecs.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from lamofc_codecs.codebook import LloydMax
from lamofc_codecs.codec import Codec
from lamofc_codecs.contract import LAST_OWN_NUMBER, check_class, check_instance
from lamofc_codecs.errors import CodecError, CorruptRecord, UnknownCodec, UnknownProfile, UnsupportedInput
from lamofc_codecs.klt import Klt
from lamofc_codecs.learned import Elic, Hyperprior
from lamofc_codecs.options import Options, names_of, parse_options
from lamofc_codecs.profile import Profile
from lamofc_codecs.raw import Raw
from lamofc_codecs.record import Header
from lamofc_codecs.uniform import Uniform
from lamofc_codecs.video import Hevc, Vvc

ENTRY_POINTS = "lamofc_codecs.codecs"
"""The group of entry points by which other packages offer codecs."""


class Registry(Mapping[str, type[Codec]]):
    """Codecs by id: those of this package, those registered by hand, and those that other packages offer."""

    def __init__(self, codecs: Iterable[type[Codec]], find_offers: Callable[[], Iterable[EntryPoint]]) -> None:
        self._codecs = {codec.id: codec for codec in codecs}
        self._numbered = _by_number(self._codecs)
        self._lock = Lock()
        self._find_offers = find_offers
        self._offers: dict[str, EntryPoint] | None = None
        """Entry points that are not loaded yet; None until they are needed."""

    def register(self, codec: type[Codec]) -> None:
        """Add a codec for as long as this process runs; a class that is defined again replaces its former definition.

        An installed package offers its codec by an entry point instead.
        """
        check_class(codec, foreign=True)
        with self._lock:
            for other in self._codecs.values():
                same = other is codec or (_place(other) == _place(codec) and other.id == codec.id)
                if not same and (other.id == codec.id or other.number == codec.number):
                    raise _clash(codec, other)
            self._codecs = {**self._codecs, codec.id: codec}
            self._numbered = _by_number(self._codecs)

    def by_number(self, number: int) -> type[Codec]:
        """Return the codec of a number, which records contain."""
        codec = self._numbered.get(number)
        if codec is None:
            self._load_offers()
            codec = self._numbered.get(number)
        if codec is None:
            raise UnknownCodec(
                f"the record was written by codec number {number}",
                "upgrade lamofc-store" if number <= LAST_OWN_NUMBER else "install the package that brings this codec",
            )
        return codec

    def __getitem__(self, codec: str) -> type[Codec]:
        if codec not in self._codecs:
            offers = self._read_offers()
            if point := offers.get(codec):  # unless another thread has just loaded it
                self.register(_load(point))
                offers.pop(codec, None)
        return self._codecs[codec]

    def __contains__(self, codec: object) -> bool:
        return codec in self._codecs or codec in self._read_offers()

    def __iter__(self) -> Iterator[str]:
        self._load_offers()
        return iter(self._codecs)

    def __len__(self) -> int:
        self._load_offers()
        return len(self._codecs)

    def _read_offers(self) -> dict[str, EntryPoint]:
        """Return the entry points that are not loaded yet, by name."""
        if self._offers is None:
            offers: dict[str, EntryPoint] = {}
            for point in self._find_offers():
                other = offers.setdefault(point.name, point)
                if other.value != point.value:
                    raise CodecError(
                        f"{_package(point)} and {_package(other)} both offer a codec {point.name!r}",
                        "uninstall one of the packages",
                    )
            self._offers = offers
        return self._offers

    def _load_offers(self) -> None:
        """Load all codecs that other packages offer; a codec that cannot be loaded is left out with a warning."""
        offers = self._read_offers()
        for name, point in list(offers.items()):
            try:
                codec = _load(point)
            except CodecError as error:
                warnings.warn(f"{error.message}; it is left out", RuntimeWarning, stacklevel=3)
            else:
                self.register(codec)
            offers.pop(name, None)


def _load(point: EntryPoint) -> type[Codec]:
    """Import the class that an entry point names, and check it."""
    try:
        codec = point.load()
    except Exception as error:
        raise CodecError(
            f"codec {point.name!r} of {_package(point)} cannot be loaded: {type(error).__name__}: {error}",
            "repair the package or uninstall it",
        ) from error
    check_class(codec, foreign=True)
    if codec.id != point.name:
        raise CodecError(
            f"{_package(point)} offers a codec {point.name!r}, but its class has the id {codec.id!r}",
            "name the entry point by the id of the class",
        )
    checked: type[Codec] = codec
    return checked


def _package(point: EntryPoint) -> str:
    """Describe the origin of an entry point."""
    return f"{point.value} in {point.dist.name} {point.dist.version}" if point.dist else point.value


def _by_number(codecs: Mapping[str, type[Codec]]) -> dict[int, type[Codec]]:
    return {codec.number: codec for codec in codecs.values()}


def _clash(codec: type[Codec], other: type[Codec]) -> CodecError:
    """Describe two codecs of one id or number."""
    again = _place(codec) == _place(other)
    return CodecError(
        f"codec {codec.id!r}, number {codec.number}, of {_place(codec)} clashes with "
        f"codec {other.id!r}, number {other.number}, of {_place(other)}",
        "keep the id of a class that is defined again, or start Python anew"
        if again
        else "give each an id and a number of its own, or uninstall one of the packages",
    )


def _place(codec: type[Codec]) -> str:
    return f"{codec.__module__}.{codec.__qualname__}"


CODECS = Registry((Raw, Uniform, LloydMax, Klt, Hyperprior, Elic, Vvc, Hevc), lambda: entry_points(group=ENTRY_POINTS))
"""All codecs by id, in the order in which lists show them."""

LOSSLESS = Raw.id
"""Id of the lossless codec, which replaces another codec that gains nothing."""

LOSSLESS_PROFILE = Profile(LOSSLESS, {}, {})
"""The profile of the lossless codec, which needs none."""


def codec_ids() -> list[str]:
    """Return the ids of all codecs, in the order in which lists show them."""
    return list(CODECS)


def codec_class(codec: str) -> type[Codec]:
    """Return the class of the codec with an id."""
    if codec not in CODECS:
        raise UnknownCodec(f"no codec has the id {codec!r}", f"known codecs: {', '.join(CODECS)}")
    return CODECS[codec]


def describe(codec: str) -> dict[str, Any]:
    """Describe a codec: its id, number, summary, targets, options and docstring."""
    described = codec_class(codec)
    return {
        "id": described.id,
        "number": described.number,
        "summary": described.summary,
        "qualities": list(described.qualities),
        "options": list(names_of(described.options)),
        "text": inspect.cleandoc(described.__doc__ or ""),
    }


def options_of(codec: str, arguments: Mapping[str, Any], features: Sequence[str] = ()) -> Options:
    """Parse and check the options of a codec's fit, for these features."""
    return parse_options(codec_class(codec).options, arguments, f"codec {codec}").for_features(features)


_OPEN: WeakValueDictionary[str, Codec] = WeakValueDictionary()
"""Codecs by the id of their profile, as long as an opened profile of that id is in use."""


def open_codec(profile: Profile) -> Codec:
    """Return the codec of a profile, prepared once for all threads. It lives as long as the profile."""
    return _require_profile(profile).prepared(codec_class(profile.codec), _prepare)


def _prepare(profile: Profile) -> Codec:
    expected, codec = codec_class(profile.codec), _OPEN.get(profile.id)
    if codec is None or type(codec) is not expected:
        codec = _OPEN[profile.id] = expected(profile)
        check_instance(codec)
    return codec


def by_name(profiles: Profile | Mapping[str, Profile] | Iterable[Profile] | None) -> dict[str, Profile]:
    """Return profiles by the first 32 hex digits of their ids, which records contain."""
    if profiles is None:
        return {}
    if isinstance(profiles, Mapping):
        profiles = profiles.values()
    elif isinstance(profiles, str) or not isinstance(profiles, Iterable):
        profiles = [profiles]
    return {_require_profile(profile).id[:32]: profile for profile in profiles}


def _require_profile(profile: Profile) -> Profile:
    """Return a profile, or refuse another value, such as the path of one."""
    if not isinstance(profile, Profile):
        raise UnsupportedInput(f"{profile!r} is no Profile", "give Profile.load(path)")
    return profile


def codec_for(header: Header, profiles: Mapping[str, Profile]) -> Codec:
    """Return the codec that decodes a record, bound to the profile that the record names."""
    writer = CODECS.by_number(header.number)
    if not writer.needs_profile:
        return open_codec(_unfitted(writer.id))
    if header.profile not in profiles:
        available = ", ".join(sorted(name[:12] for name in profiles)) or "none"
        raise UnknownProfile(
            f"the record wants profile {header.profile}; given: {available}", "give the profile of that id"
        )
    codec = open_codec(profiles[header.profile])
    if codec.number != header.number:
        raise CorruptRecord(f"the record is of codec {writer.id}, its profile {header.profile} of {codec.id}")
    return codec


@cache
def _unfitted(codec: str) -> Profile:
    """Return the only profile of a codec that needs none."""
    return Profile(codec, {}, {})

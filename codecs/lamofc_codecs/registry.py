"""All codecs, by the id that people write and by the number that records bear."""

import inspect
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lamofc_codecs.codebook import LloydMax
from lamofc_codecs.codec import Codec
from lamofc_codecs.errors import CorruptRecord, UnknownCodec, UnknownProfile
from lamofc_codecs.klt import Klt
from lamofc_codecs.learned import Elic, Hyperprior
from lamofc_codecs.profile import Profile
from lamofc_codecs.raw import Raw
from lamofc_codecs.record import Header
from lamofc_codecs.uniform import Uniform
from lamofc_codecs.video import Hevc, Vvc

CODECS: dict[str, type[Codec]] = {
    "raw": Raw,
    "uniform": Uniform,
    "lloydmax": LloydMax,
    "klt": Klt,
    "hyperprior": Hyperprior,
    "elic": Elic,
    "vvc": Vvc,
    "hevc": Hevc,
}

RAW = Profile("raw", {}, {})
"""The profile of `raw`, which is always the same."""


def codec_ids() -> list[str]:
    """Return the ids of all codecs, in the order in which people should read of them."""
    return list(CODECS)


def codec_class(codec: str) -> type[Codec]:
    """Return the class of an id."""
    if codec not in CODECS:
        raise UnknownCodec(f"no codec has the id {codec!r}", f"known codecs: {', '.join(CODECS)}")
    return CODECS[codec]


def codec_of_number(number: int) -> type[Codec]:
    """Return the class whose number a record bears."""
    found = [kind for kind in CODECS.values() if kind.number == number]
    if not found:
        raise UnknownCodec(f"the record was written by codec number {number}", "upgrade lamofc-store")
    return found[0]


def describe(codec: str) -> dict[str, Any]:
    """Return what people ask of a codec: id, number, summary, targets that it takes, and its text."""
    kind = codec_class(codec)
    return {
        "id": kind.id,
        "number": kind.number,
        "summary": kind.summary,
        "qualities": list(kind.qualities),
        "options": list(kind.options),
        "text": inspect.cleandoc(kind.__doc__ or ""),
    }


@lru_cache(maxsize=256)
def open_codec(profile: Profile) -> Codec:
    """Return the codec of a profile, made ready once for all threads."""
    return codec_class(profile.codec)(profile)


def by_name(profiles: Profile | Mapping[str, Profile] | Iterable[Profile] | None) -> dict[str, Profile]:
    """Return profiles by the 32 hex digits that records name them with."""
    if profiles is None:
        return {}
    if isinstance(profiles, Profile):
        profiles = [profiles]
    elif isinstance(profiles, Mapping):
        profiles = profiles.values()
    return {profile.id[:32]: profile for profile in profiles}


def codec_for(header: Header, known: Mapping[str, Profile]) -> Codec:
    """Return the codec that decodes a record, by the profile that it names."""
    kind = codec_of_number(header.number)
    if kind.id == "raw":
        return open_codec(RAW)
    if header.profile not in known:
        given = ", ".join(sorted(name[:12] for name in known)) or "none"
        raise UnknownProfile(
            f"the record wants profile {header.profile}; given: {given}", "give the profile of that id"
        )
    codec = open_codec(known[header.profile])
    if codec.number != header.number:
        raise CorruptRecord(f"the record is of codec {kind.id}, its profile {header.profile} of {codec.id}")
    return codec

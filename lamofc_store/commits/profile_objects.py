"""Profiles in a store: content-addressed objects, each read once."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lamofc_store.commits.commit import ProfileEntry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Range, Storage, paths

if TYPE_CHECKING:
    from lamofc_codecs import Profile

_HEADER_BYTES, _MAX_HEADER_BYTES = 1 << 15, 1 << 20
"""Bytes of a profile's file that are read for its header at first, and at most."""


class Profiles(Mapping[str, "Profile"]):
    """The profiles of a store by id, each loaded at its first use."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._loaded: dict[str, Profile] = {}

    def __getitem__(self, identity: str) -> "Profile":
        profile = self._loaded.get(identity)
        if profile is None:
            profile = self._loaded[identity] = self._load(identity)
        return profile

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)

    def _load(self, identity: str) -> "Profile":
        from lamofc_codecs import Profile

        path = paths.profile(identity)
        try:
            data = self._storage.read(path)
        except FileNotFoundError:
            raise CorruptStore(
                f"{path} is missing", "restore it from a copy; records of that profile need it"
            ) from None
        if hashlib.sha256(data).hexdigest() != identity:
            raise CorruptStore(f"{path} is damaged: its sha256 is not its name", "restore it from a copy")
        return Profile.from_bytes(data)

    def add(self, profile: "Profile") -> None:
        """Write a profile's object; an object that no commit names is written again, so that its age starts anew."""
        if profile.id not in self._loaded:
            self._storage.write(paths.profile(profile.id), profile.data)
        self._loaded[profile.id] = profile


def read_configs(storage: Storage, identities: Sequence[str]) -> dict[str, Any]:
    """Read the configurations of profiles from the headers of their files; damaged and missing ones are left out."""
    try:
        starts = _read_starts(storage, identities)
    except FileNotFoundError:
        identities = [identity for identity in identities if storage.exists(paths.profile(identity))]
        starts = _read_starts(storage, identities)
    lengths = [int.from_bytes(start[:8], "little") + 8 for start in starts]
    longer = [at for at, length in enumerate(lengths) if _HEADER_BYTES < length <= _MAX_HEADER_BYTES]
    whole = storage.read_ranges([Range(paths.profile(identities[at]), 0, lengths[at]) for at in longer])
    headers = {**dict(enumerate(starts)), **dict(zip(longer, whole, strict=True))}
    found = ((identity, _config(headers[at][8 : lengths[at]])) for at, identity in enumerate(identities))
    return {identity: config for identity, config in found if config is not None}


def _read_starts(storage: Storage, identities: Sequence[str]) -> list[bytes]:
    return storage.read_ranges([Range(paths.profile(identity), 0, _HEADER_BYTES) for identity in identities])


def _config(header: bytes) -> Any:
    """Return the configuration in the header of a profile's file; None where there is none."""
    try:
        return json.loads(json.loads(header)["__metadata__"]["lamofc"])["config"]
    except (ValueError, KeyError, TypeError):
        return None


def entry_for(profile: "Profile", feature: str, quality: str) -> ProfileEntry:
    """Build the entry by which a commit names a profile."""
    return ProfileEntry(profile.id, profile.codec, feature, quality, len(profile.data))


def newest_for(snapshot: Snapshot, feature: str, codec: str, quality: str) -> str | None:
    """Id of the profile that was committed last for a feature and a codec; one of the same quality is preferred."""
    candidates = [entry for entry in snapshot.profiles.values() if entry.feature == feature and entry.codec == codec]
    same_quality = [entry for entry in candidates if entry.quality == quality]
    return (same_quality or candidates)[-1].id if candidates else None

"""Profiles in a store: content-addressed objects, each read once."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lamofc_store.commits.commit import ProfileEntry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Storage, paths

if TYPE_CHECKING:
    from lamofc_codecs import Profile


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


def entry_for(profile: "Profile", feature: str, quality: str) -> ProfileEntry:
    """Build the entry by which a commit names a profile."""
    return ProfileEntry(profile.id, profile.codec, feature, quality, len(profile.data))


def newest_for(snapshot: Snapshot, feature: str, codec: str, quality: str) -> str | None:
    """Id of the profile that was committed last for a feature and a codec; one of the same quality is preferred."""
    candidates = [entry for entry in snapshot.profiles.values() if entry.feature == feature and entry.codec == codec]
    same_quality = [entry for entry in candidates if entry.quality == quality]
    return (same_quality or candidates)[-1].id if candidates else None

"""Profiles in a store: content-addressed objects, read once and kept."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lamofc_store.commits.commit import ProfileEntry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore, NotFound
from lamofc_store.storage import Storage, paths

if TYPE_CHECKING:
    from lamofc_codecs import Profile


class Profiles(Mapping[str, "Profile"]):
    """A store's profiles by id; loaded when first asked for, never changing."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._loaded: dict[str, Profile] = {}

    def __getitem__(self, identity: str) -> "Profile":
        found = self._loaded.get(identity)
        if found is None:
            found = self._loaded[identity] = self._load(identity)
        return found

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
        """Write a profile's object; one that lies there unnamed is written again, lest it be collected for its age."""
        if profile.id not in self._loaded:
            self._storage.write(paths.profile(profile.id), profile.data)
        self._loaded[profile.id] = profile


def entry_for(profile: "Profile", feature: str, quality: str) -> ProfileEntry:
    """What a commit says of a profile."""
    return ProfileEntry(profile.id, profile.codec, feature, quality, len(profile.data))


def newest(snapshot: Snapshot, feature: str, codec: str, quality: str) -> str | None:
    """The id of the profile committed last for a feature under a codec; the same quality goes before others."""
    fitting = [entry for entry in snapshot.profiles.values() if entry.feature == feature and entry.codec == codec]
    same = [entry for entry in fitting if entry.quality == quality]
    return (same or fitting)[-1].id if fitting else None


def find(snapshot: Snapshot, identity: str) -> str:
    """The full id of a profile given by its beginning."""
    found = sorted({entry.id for entry in snapshot.profiles.values() if entry.id.startswith(identity)})
    if len(found) != 1:
        held = ", ".join(sorted({entry.id[:12] for entry in snapshot.profiles.values()})) or "none"
        raise NotFound(
            f"profile {identity!r} names {len(found)} profiles; the store holds {held}",
            "give more of its id; store.snapshot.profiles holds them",
        )
    return found[0]

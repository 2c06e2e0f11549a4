"""The choice of profiles in one ingest: given, taken from the store, or fitted and committed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lamofc_store.commits import Change, ProfileEntry, Snapshot, changes, profile_objects
from lamofc_store.ingest.items import Item, by_feature, by_group_name, group_items, group_name
from lamofc_store.ingest.profiles import profile_fitting
from lamofc_store.ingest.profiles.fit_samples import items_to_fit
from lamofc_store.ingest.profiles.profile_fitting import NothingToFit, existing_profile
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.sample import Sample

if TYPE_CHECKING:
    from lamofc_codecs import Profile
    from lamofc_store.session import Session


class ProfileChoice:
    """The groups of an ingest, and the profile of every feature and group.

    A profile is committed before anything is coded by it, so that a second ingest, here or elsewhere, takes the same.
    """

    def __init__(
        self, session: "Session", options: IngestOptions, total: int | None, tell: profile_fitting.TellFit | None = None
    ) -> None:
        self._session = session
        self._options = options
        self._exact_options = options.exact()
        self._total = total
        self._tell = tell
        self._profiles: dict[tuple[str, str], Profile] = {}
        """By the name of a feature or group, and codec."""
        self._failures: dict[tuple[str, str], NothingToFit] = {}
        """Why features have no profile yet: all their samples so far are ones that no fit can use."""
        self._groups: list[list[str]] | None = None
        """Globs of each group; None until the first features are seen."""
        self.ids: dict[str, str] = {}
        """Profile id by the name of a feature or group."""

    def fit_ahead(self, source: Iterable[Sample]) -> None:
        """Fit on samples from all over a source; one that can be read only once is fitted on its first batch."""
        if getattr(source, "reiterable", iter(source) is not source):
            self.prepare(items_to_fit(source, self._options, self._total, self._is_settled))

    def prepare(self, items: Sequence[Item]) -> None:
        """Choose the profiles of all groups and features among the items; commit those that are new."""
        if self._groups is None and items:
            self._groups = profile_fitting.find_groups(items, self._options, self._total, self._settled_features)
        groups = list(group_items(items, self._groups or []))
        new: list[ProfileEntry] = []
        for name, alike in by_group_name(group for group in groups if len(group) > 1):
            if (name, self._options.codec) not in self._profiles:
                features = [item.feature for item in alike[0]]
                profile = self._existing(features, self._options) or self._fit_group(alike)
                if profile is not None:
                    new.append(self._settle(name, profile, self._options))
        self._commit(new)
        self.prepare_alone([group[0] for group in groups if len(group) == 1])

    def prepare_alone(self, items: Iterable[Item]) -> None:
        """Choose the profiles of features that are coded by themselves; commit those that are new."""
        new: list[ProfileEntry] = []
        for alike in by_feature(items):
            feature, coding = alike[0].feature, self.coding_of(alike[0])
            if (feature, coding.codec) not in self._profiles:
                profile = self._existing([feature], coding) or self._fit_alone(alike, coding)
                if profile is not None:
                    new.append(self._settle(feature, profile, coding))
        self._commit(new)

    def groups_of(self, items: Sequence[Item]) -> list[list[Item]]:
        """Return the lists of items that are to share a record, where their group has a profile."""
        groups = [group for group in group_items(items, self._groups or []) if len(group) > 1]
        return [group for group in groups if (group_name(group), self._options.codec) in self._profiles]

    def profile_for_group(self, group: Sequence[Item]) -> "Profile":
        """Return the profile of items that share a record."""
        return self._profiles[group_name(group), self._options.codec]

    def coding_of(self, item: Item) -> IngestOptions:
        """Return the options for one item: values that must not be rounded are stored as they are."""
        return self._exact_options if item.is_exact else self._options

    def profile_for(self, item: Item) -> "Profile":
        """Return the profile of an item that is coded by itself; NothingToFit where there is none yet."""
        from lamofc_codecs import LOSSLESS, fit

        key = self._key(item)
        if key in self._profiles:
            return self._profiles[key]
        if self._options.on_error != "raw":
            raise self._failures[key]
        profile = fit(LOSSLESS, [])
        self._session.profiles.add(profile)
        return profile

    def coded_as(self, item: Item) -> tuple[str, str]:
        """Return profile id and quality by which an item is coded by itself."""
        return self.profile_for(item).id, self.coding_of(item).quality_text

    def _key(self, item: Item) -> tuple[str, str]:
        return item.feature, self.coding_of(item).codec

    def _is_settled(self, item: Item) -> bool:
        """Whether an item has a profile, here or in the store."""
        return self._key(item) in self._profiles or self._existing([item.feature], self.coding_of(item)) is not None

    def _existing(self, features: Sequence[str], coding: IngestOptions) -> "Profile | None":
        return existing_profile(self._session.snapshot, self._session.profiles, features, coding)

    def _settled_features(self) -> list[list[str]]:
        """Features that the store has profiles for: those of a group together, others by themselves."""
        coding = self._options.codec, self._options.quality_text
        listed = self._session.snapshot.profiles.values()
        entries = [entry for entry in listed if (entry.codec, entry.quality) == coding]
        parts = [(entry, self._session.profiles[entry.id].config.get("parts")) for entry in entries]
        return [[name for name, _ in named] if named else [entry.feature] for entry, named in parts]

    def _fit_group(self, groups: Sequence[Sequence[Item]]) -> "Profile | None":
        """Fit a group; None where there is nothing to fit on, so that its features are coded by themselves."""
        try:
            return profile_fitting.fit_group(groups, self._options, self._total, self._tell)
        except NothingToFit:
            return None

    def _fit_alone(self, items: Sequence[Item], coding: IngestOptions) -> "Profile | None":
        """Fit a feature; None, and the reason noted, where there is nothing to fit on: a later batch may bring some."""
        try:
            return profile_fitting.fit(items, coding, self._total, self._tell)
        except NothingToFit as error:
            self._failures[self._key(items[0])] = error
            return None

    def _settle(self, name: str, profile: "Profile", coding: IngestOptions) -> ProfileEntry:
        self._profiles[name, coding.codec] = profile
        self._session.profiles.add(profile)
        self.ids[name] = profile.id
        return profile_objects.entry_for(profile, name, coding.quality_text)

    def _commit(self, new: list[ProfileEntry]) -> None:
        """Commit profiles; without any, the session only moves to the newest snapshot."""

        def change(head: Snapshot) -> Change | None:
            entries = changes.new_profiles(head, new)
            return Change(verb="fit", profiles=entries, note={"profiles": len(entries)}) if entries else None

        self._session.publish(change)

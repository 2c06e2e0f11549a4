"""Taking samples in: what is there is passed over, the rest is coded, written and committed, a segment at a time."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import Change, ProfileKey, Segment, Snapshot, changes, profile_objects
from lamofc_store.errors import Conflict, Expired, Hint, StoreError
from lamofc_store.ingest import encode_items, merge_structure, profile_fitting
from lamofc_store.ingest.deduplicate import split_duplicates
from lamofc_store.ingest.feature_groups import by_name, kinds_of, together
from lamofc_store.ingest.feature_items import Item, items_of
from lamofc_store.ingest.options import IngestOptions, Progress, Report
from lamofc_store.ingest.profile_check import ProfileCheck
from lamofc_store.ingest.segment_rows import Coded, Writer
from lamofc_store.sample import Sample
from lamofc_store.sources import Tolerant, Unreadable

if TYPE_CHECKING:
    from lamofc_codecs import Profile
    from lamofc_store.session import Session

BATCH_BYTES = 64 << 20
BATCH_SAMPLES = 4096


class Ingest:
    """One run over one source; `commit=False` writes segments and leaves the commit to the caller."""

    def __init__(self, store: "Session", options: IngestOptions, *, commit: bool = True) -> None:
        self.store = store
        self.options = options
        self.commit = commit
        self.report = Report()
        self.segments: list[Segment] = []
        self._chosen: dict[tuple[str, str], Profile] = {}
        """By feature and codec."""
        self._pending: dict[tuple[str, str], int] = {}
        """Source hashes of what the open segment holds."""
        self._writer = Writer(store.storage, options.segment_bytes)
        self._fitness = ProfileCheck()
        self._total: int | None = None
        self._groups: list[list[str]] | None = None
        """Globs of the features that are coded together; None until the first features are seen."""

    def run(self, source: Iterable[Sample]) -> Report:
        """Take everything in; what was committed stays, whatever happens later."""
        started = time.monotonic()
        self._total = profile_fitting.length(source)
        try:
            self._fit_ahead(source)
            for batch in self._batches(source):
                self._take(batch)
            self._close()
        except BaseException:
            self._writer.abandon()
            self.store.storage.clear_scratch_dir()
            raise
        self.report.warnings = self._fitness.warnings()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _fit_ahead(self, source: Iterable[Sample]) -> None:
        """Fit on samples of a source that can be read twice; others are fitted on their first batch."""
        if getattr(source, "reiterable", iter(source) is not source):
            samples = (
                sample for sample in self._attempts(profile_fitting.spread(source)) if isinstance(sample, Sample)
            )
            found = profile_fitting.gather(
                samples, self.options, lambda item: self._profile(item) is not None, self._total
            )
            self._choose(found)

    def _attempts(self, source: Iterable[Sample]) -> "Iterable[Sample | Unreadable]":
        """The source's samples; unless told to stop at errors, with those between them that cannot be loaded."""
        if self.options.on_error != "stop" and isinstance(source, Tolerant):
            return source.attempts()
        return source

    def _coding(self, item: Item) -> IngestOptions:
        """The options for one item: what must not be rounded is kept as it is."""
        return self.options.exact() if item.is_exact else self.options

    def _profile(self, item: Item) -> "Profile | None":
        """The profile settled for an item, or the one that the store would give it."""
        coding = self._coding(item)
        chosen = self._chosen.get((item.feature, coding.codec))
        return chosen or profile_fitting.from_store(self.store.snapshot, self.store.profiles, item.feature, coding)

    def _choose(self, items: list[Item]) -> None:
        """Settle the profile of each feature and group, and commit those that are new before anything is coded so."""
        if self._groups is None and items:
            self._groups = profile_fitting.groups(items, self.options, self._total, self._settled)
        bundles = list(together(items, self._groups or []))
        new = []
        for name, several in by_name(bundle for bundle in bundles if len(bundle) > 1):
            if (name, self.options.codec) not in self._chosen:
                known = profile_fitting.from_store(self.store.snapshot, self.store.profiles, name, self.options)
                profile = known or profile_fitting.fit_group(several, self.options, self._total)
                self._settle(name, self.options.codec, profile)
                new.append(profile_objects.entry_for(profile, name, self.options.quality_text))
        self.store.publish(lambda head: _fit_change(head, new))
        self._choose_alone([bundle[0] for bundle in bundles if len(bundle) == 1])

    def _settled(self) -> list[list[str]]:
        """Features that the store has a profile for, alone or together."""
        wanted = self.options.codec, self.options.quality_text
        entries = [one for one in self.store.snapshot.profiles.values() if (one.codec, one.quality) == wanted]
        parts = [(entry, self.store.profiles[entry.id].config.get("parts")) for entry in entries]
        return [[name for name, _ in named] if named else [entry.feature] for entry, named in parts]

    def _choose_alone(self, items: list[Item]) -> None:
        """The same for features that are coded by themselves."""
        new = []
        for group in kinds_of(items):
            feature, coding = group[0].feature, self._coding(group[0])
            if (feature, coding.codec) not in self._chosen:
                profile = self._profile(group[0]) or profile_fitting.fit(feature, group, coding, self._total)
                self._settle(feature, coding.codec, profile)
                new.append(profile_objects.entry_for(profile, feature, coding.quality_text))
        self.store.publish(lambda head: _fit_change(head, new))

    def _settle(self, name: str, codec: str, profile: "Profile") -> None:
        self._chosen[name, codec] = profile
        self.store.profiles.add(profile)
        self.report.profiles[name] = profile.id

    def _batches(self, source: Iterable[Sample]) -> Iterator[list[tuple[Sample, list[Item]]]]:
        batch: list[tuple[Sample, list[Item]]] = []
        size = 0
        most = min(BATCH_BYTES, self.options.segment_bytes)
        for sample in self._attempts(source):
            if isinstance(sample, Unreadable):
                self._skip(sample.id, "", sample.error, sample.source)
                continue
            try:
                items = list(items_of(sample, self.options))
            except StoreError as error:
                self._skip(sample.id, "", error)
                continue
            batch.append((sample, items))
            size += sum(item.raw_bytes for item in items)
            if size >= most or len(batch) >= BATCH_SAMPLES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _take(self, batch: list[tuple[Sample, list[Item]]]) -> None:
        """Code what of a batch is new, and close the segment when it is full."""
        new = self._new([item for _, items in batch for item in items])
        self._choose(new)
        bundles = [bundle for bundle in together(new, self._groups or []) if len(bundle) > 1]
        grouped = {(item.sample, item.feature) for bundle in self._add_groups(bundles) for item in bundle}
        alone = [item for item in new if (item.sample, item.feature) not in grouped]
        self._choose_alone(alone)
        alone, again = split_duplicates(alone, lambda item: self._writer.holds(item, *self._coded_as(item)))
        failed = self._code(alone)
        self._share([item for item in again if item.sample not in failed])
        taken = [one for one, items in batch if any((item.sample, item.feature) in self._pending for item in items)]
        for sample in merge_structure.joined(self.store, taken):
            self._writer.add_sample(sample)
        self.report.samples += len(taken)
        if self._writer.is_full:
            self._close()
        self._tell()

    def _code(self, items: list[Item]) -> set[str]:
        """Code items by themselves; samples of which one could not be."""
        coded, failed = encode_items.encode([self._task(group) for group in kinds_of(items)])
        for identity, (feature, error) in failed.items():
            self._skip(identity, feature, error)
        for some, record in coded:
            self._add(some[0].feature, some, record)
            self._fitness.look(some, record)
        return set(failed)

    def _share(self, items: list[Item]) -> None:
        """Rows for items that are what a record holds; what was coded otherwise after all is coded by itself."""
        for item in items:
            told = self._coded_as(item)
            if not self._writer.holds(item, *told):
                self._code([item])
                continue
            self.report.shared += 1
            self.report.shared_bytes += self._writer.share(item, *told)
            self._pending[item.sample, item.feature] = item.source_hash
            self.report.raw_bytes += item.raw_bytes
            self.report.records += 1

    def _coded_as(self, item: Item) -> tuple[str, str]:
        """The profile and the quality by which an item is coded."""
        coding = self._coding(item)
        return self._chosen[item.feature, coding.codec].id, coding.quality_text

    def _codec_of(self, row: dict[str, Any]) -> str:
        """The codec that a row was meant for: its profile's, though the record itself may have fallen back to `raw`."""
        entry = self.store.snapshot.profiles.get(ProfileKey(row["profile"], row["feature"]))
        return entry.codec if entry else str(row["codec"])

    def _task(self, items: list[Item]) -> encode_items.Task:
        """How items of one feature and one kind are coded."""
        coding = self._coding(items[0])
        return items, self._chosen[items[0].feature, coding.codec], coding

    def _new(self, items: list[Item]) -> list[Item]:
        """The items that are not there; different content under a key is a Conflict unless told to overwrite."""
        found = {(row["sample"], row["feature"]): row for row in self._there({item.sample for item in items})}
        new: dict[tuple[str, str], Item] = {}
        for item in items:
            key = (item.sample, item.feature)
            pending = self._pending.get(key, new[key].source_hash if key in new else None)
            if pending is not None:
                if pending != item.source_hash:
                    raise Conflict(
                        f"the source gives sample {item.sample!r}, feature {item.feature!r} twice, unlike each other",
                        "give each sample an id of its own",
                    )
            elif key in found and self._is_there(item, found[key]):
                self.report.already += 1
            else:
                new[key] = item
        return list(new.values())

    def _there(self, samples: set[str]) -> list[dict[str, Any]]:
        """Fingerprints of what is there of some samples, at a later snapshot where this one was given up meanwhile."""
        while True:
            try:
                return self.store.fingerprints(samples)
            except Expired:
                self.store.refresh()

    def _is_there(self, item: Item, row: dict[str, Any]) -> bool:
        """Whether a stored row is this item under this codec and quality."""
        coding = self._coding(item)
        given = coding.profile
        same = row["profile"] == given.id if given else self._codec_of(row) == coding.codec
        if same and (row["source_hash"], row["quality"]) == (item.source_hash, coding.quality_text):
            return True
        if self.options.overwrite:
            return False
        stored = " ".join(filter(None, (self._codec_of(row), row["quality"])))
        what = "content" if row["source_hash"] != item.source_hash else f"coding ({stored})"
        raise Conflict(
            f"sample {item.sample!r}, feature {item.feature!r} is there with other {what}",
            Hint("give [overwrite] to replace it, or the codec and quality that it was stored with"),
        )

    def _add(self, name: str, items: Sequence[Item], coded: Coded) -> None:
        """Take in a record of items whose profile goes by that name."""
        self._writer.add(items, coded)
        self._writer.add_profile(profile_objects.entry_for(coded.profile, name, coded.quality))
        for item in items:
            self._pending[item.sample, item.feature] = item.source_hash
            self.report.raw_bytes += item.raw_bytes
        self.report.records += len(items)
        self.report.stored_bytes += len(coded.record.data)

    def _add_groups(self, bundles: list[list[Item]]) -> Iterator[list[Item]]:
        """Code bundles of features, a record each; gives those that could be, the others are to be coded apart."""
        from lamofc_codecs import CodecError

        for name, some in by_name(bundles):
            profile = self._chosen[name, self.options.codec]
            for bundle in some:
                try:
                    (coded,) = encode_items.encode_together([bundle], profile, self.options)
                except CodecError:
                    continue
                self._add(name, bundle, coded)
                yield bundle

    def _skip(self, sample: str, feature: str, error: Exception, source: str = "") -> None:
        if self.options.on_error == "stop":
            raise error
        self._writer.add_skipped(sample, feature, source, error)
        self.report.skipped += 1

    def _close(self) -> None:
        """Write the open segment, commit it, open the next."""
        if self._writer.is_empty:
            return
        segment = self._writer.close()
        self._writer = Writer(self.store.storage, self.options.segment_bytes)
        self._pending = {}
        if self.commit:
            self.report.commits.append(self.store.commit([segment], overwrite=self.options.overwrite))
        else:
            self.segments.append(segment)

    def _tell(self) -> None:
        if self.options.progress is not None:
            report = self.report
            self.options.progress(Progress(report.samples, self._total, report.raw_bytes, report.stored_bytes))


def _fit_change(head: Snapshot, entries: list[Any]) -> Change | None:
    new = changes.new_profiles(head, entries)
    return Change(verb="fit", profiles=new, note={"profiles": len(new)}) if new else None

"""One ingest: batches of samples become items, items records, records segments, and segments commits."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from lamofc_store.commits import Segment, profile_objects
from lamofc_store.errors import SourceError
from lamofc_store.ingest.batches import Batch, read_batches
from lamofc_store.ingest.closing import ClosedSegments
from lamofc_store.ingest.items import Item, by_feature, by_group_name
from lamofc_store.ingest.profiles import NothingToFit, ProfileCheck, ProfileChoice
from lamofc_store.ingest.records import (
    CodedContent,
    Encoded,
    EncodedBatch,
    Failed,
    OpenSegment,
    Task,
    coded_content,
    distinct,
    encode,
    encode_group,
    encode_measured,
    is_measured,
    with_stored_structure,
)
from lamofc_store.ingest.request import FitProgress, IngestRequest, Progress, Report
from lamofc_store.ingest.select_new import select_new
from lamofc_store.sources import may_be_read_ahead

if TYPE_CHECKING:
    from lamofc_store.session import Session


class Ingest:
    """One run over one source. `commit=False` writes segments and leaves their commit to the caller."""

    def __init__(self, session: "Session", request: IngestRequest, *, commit: bool = True) -> None:
        self.session = session
        self.request = request
        self.options = request.options
        self.report = Report()
        self._total = request.sample_count
        self._profiles = ProfileChoice(session, request.options, self._total, self._report_progress)
        self._check = ProfileCheck()
        self._unmeasured: set[str] = set()
        self._segment = OpenSegment(session.storage, request.options.segment_bytes)
        self._closed = ClosedSegments(session, self.report, commit=commit, overwrite=request.options.overwrite)

    @property
    def segments(self) -> list[Segment]:
        """The segments that are left to the caller."""
        return self._closed.kept

    def run(self) -> Report:
        """Store the source; what was committed stays committed, whatever happens later."""
        started = time.monotonic()
        self.report.profiles = self._profiles.ids
        with self._closed:
            try:
                self._profiles.fit_ahead(self.request.fit_source)
                with closing(read_batches(self.request)) as batches:
                    for batch in batches:
                        self._store(batch)
                        if not may_be_read_ahead(self.request.source):
                            self._closed.finish()  # the next sample may be long in coming
                self._close_segment()
            except BaseException:
                self._segment.abandon()
                raise
        self.report.warnings = self._check.warnings() + self._warn_of_unmeasured()
        if self.request.columns is not None:
            self.report.unmatched = self.request.columns.unmatched
            self.report.warnings += self.request.columns.warnings()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _store(self, batch: Batch) -> None:
        """Store what is new of a batch, and close the segment when it is full."""
        for failure, source in batch.failed:
            self._skip(failure, source)
        if self._closed.holds_any({sample.id for sample, _ in batch.samples}):
            self._closed.finish()
        new = self._select_new(batch)
        encoded = self._encode_new(new)
        if self.options.measure is not None:
            samples = {sample.id: sample for sample, _ in batch.samples}
            encoded = replace(encoded, records=list(encode_measured(encoded.records, samples, self.options)))
        for failure in encoded.failed:
            self._skip(failure)
        for record in encoded.records:
            self._add(record)
        for item in encoded.without_record(new):
            self._share(item)
        self._record_samples(batch)
        if self._segment.is_full:
            self._close_segment()
        self._report_progress()

    def _select_new(self, batch: Batch) -> list[Item]:
        """Return the items that are not stored yet."""
        items = [item for _, items in batch.samples for item in items]
        selection = select_new(self.session, items, self._profiles.coding_of, self._segment.stored)
        self.report.already += selection.already
        return selection.new

    def _encode_new(self, items: list[Item]) -> EncodedBatch:
        """Encode items, each content once: groups jointly, then what is left feature by feature.

        A sample is left out whole where one of its items fails. Items that shared a record with it, or pointed at its
        equal content, are encoded again without it.
        """
        self._profiles.prepare(items)
        batch = EncodedBatch(list(self._encode_groups(items)))
        self._profiles.prepare_alone(batch.without_record(items))
        refused: set[tuple[object, ...]] = set()
        while alone := self._to_encode(items, batch, refused):
            results = list(self._encode_alone(alone))
            failed = {(one.sample, one.feature) for one in results if isinstance(one, Failed)}
            refused |= {item.content for item in alone if item.key in failed}
            batch = batch.with_results(results)
            if batch.failed and self.options.on_error == "stop":
                break
        return batch

    def _to_encode(self, items: list[Item], batch: EncodedBatch, refused: set[tuple[object, ...]]) -> list[Item]:
        """Return the items whose content no record holds: each content once, or all of a content that was refused.

        What is measured is coded for each sample by itself.
        """
        coded = batch.coded_contents()

        def is_stored(item: Item) -> bool:
            try:
                content = self._coded_content(item)
            except NothingToFit:
                return False
            return content in coded or self._segment.holds(content)

        def is_apart(item: Item) -> bool:
            return item.content in refused or self._profiles.coding_of(item).measure is not None

        waiting = batch.without_record(items)
        return [item for item in waiting if is_apart(item)] + distinct(
            (item for item in waiting if not is_apart(item)), is_stored
        )

    def _encode_groups(self, items: list[Item]) -> Iterator[Encoded]:
        """Encode groups, a record each; the features of a group that its codec refuses are left to be coded apart."""
        from lamofc_codecs import CodecError

        for _, groups in by_group_name(self._profiles.groups_of(items)):
            for group in groups:
                try:
                    yield encode_group(group, self._profiles.profile_for_group(group), self.options)
                except CodecError:
                    continue

    def _encode_alone(self, items: list[Item]) -> Iterator[Encoded | Failed]:
        """Encode items feature by feature."""
        for alike in by_feature(items):
            try:
                profile = self._profiles.profile_for(alike[0])
            except NothingToFit as error:
                yield from (Failed(item.sample, item.feature, _of_sample(item, error)) for item in alike)
            else:
                yield from encode(Task(alike, profile, self._profiles.coding_of(alike[0])))

    def _add(self, encoded: Encoded) -> None:
        """Add a record to the open segment, and name its profile."""
        self._segment.add(encoded)
        self._segment.add_profile(profile_objects.entry_for(encoded.profile, encoded.name, encoded.quality))
        self.report.raw_bytes += sum(item.raw_bytes for item in encoded.items)
        self.report.records += len(encoded.items)
        self.report.stored_bytes += len(encoded.record.data)
        if encoded.divergence is None and is_measured(encoded.profile, self.options):
            self._unmeasured |= {item.sample for item in encoded.items}
        if not encoded.record.parts:
            self._check.observe(encoded.items, encoded.profile, encoded.record)

    def _warn_of_unmeasured(self) -> list[str]:
        """Return warnings of what is coded as a profile foretells though divergences are measured."""
        if self.options.measure is None:
            return []
        warnings = []
        if self._unmeasured:
            warnings.append(
                f"{len(self._unmeasured)} of {self.report.samples} samples are coded as foretold, such as"
                f" {min(self._unmeasured)!r}: the model that measures cannot read them as they are coded"
            )
        if self.report.already:
            warnings.append(f"{self.report.already} features were stored already, and are not measured")
        return warnings

    def _share(self, item: Item) -> None:
        """Add a row for an item whose content a record of the open segment holds."""
        self.report.shared += 1
        self.report.shared_bytes += self._segment.share(item, self._coded_content(item))
        self.report.raw_bytes += item.raw_bytes
        self.report.records += 1

    def _coded_content(self, item: Item) -> CodedContent:
        """Return content and coding of an item that is coded by itself; NothingToFit where it has no profile yet."""
        return coded_content(item, *self._profiles.coded_as(item))

    def _record_samples(self, batch: Batch) -> None:
        """Add the rows of the samples that were stored at least in part."""
        stored = [sample for sample, items in batch.samples if any(item.key in self._segment.stored for item in items)]
        for sample in with_stored_structure(self.session, stored):
            self._segment.add_sample(sample)
        self.report.samples += len(stored)

    def _skip(self, failure: Failed, source: str = "") -> None:
        """Leave a sample out, or raise its error if the options say so."""
        if self.options.on_error == "stop":
            raise failure.error
        self._segment.add_skipped(failure, source)
        self.report.skipped += 1

    def _close_segment(self) -> None:
        """Have the open segment written and committed, and open the next."""
        if self._segment.is_empty:
            return
        closed, self._segment = self._segment, OpenSegment(self.session.storage, self.options.segment_bytes)
        self._closed.write(closed)

    def _report_progress(self, fit: FitProgress | None = None) -> None:
        """Tell the caller how far the ingest is, or a fit in it."""
        if self.options.progress is not None:
            report = self.report
            self.options.progress(Progress(report.samples, self._total, report.raw_bytes, report.stored_bytes, fit))


def _of_sample(item: Item, error: NothingToFit) -> SourceError:
    """Make the error of one sample from that of all samples of its feature."""
    return SourceError(f"sample {item.sample!r}, {error.message}", error.cure)

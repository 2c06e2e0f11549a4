"""Closed segments: each is written while the next one fills, and committed in its turn."""

from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lamofc_store.commits import Segment
from lamofc_store.ingest.commit_segment import commit_segment
from lamofc_store.ingest.records import OpenSegment, StoredItem
from lamofc_store.ingest.request import Report

if TYPE_CHECKING:
    from lamofc_store.session import Session


@dataclass(frozen=True, slots=True)
class _Writing:
    """A segment that is being written."""

    closed: OpenSegment
    segment: "Future[Segment]"


class ClosedSegments:
    """The closed segments of an ingest, of which one at a time is being written; leaving the context finishes it.

    `commit=False` keeps them for the caller to commit.
    """

    def __init__(self, session: "Session", report: Report, *, commit: bool, overwrite: bool) -> None:
        self.kept: list[Segment] = []
        self._session = session
        self._report = report
        self._commits = commit
        self._overwrite = overwrite
        self._writer = ThreadPoolExecutor(1, "lamofc-write")
        self._writing: _Writing | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.finish()
        finally:
            self._writer.shutdown()

    def holds_any(self, samples: Collection[str]) -> bool:
        """Whether the segment that is being written has a row of one of these samples."""
        return self._writing is not None and self._writing.closed.holds_any(samples)

    def write(self, closed: OpenSegment) -> None:
        """Begin to write a segment, after the one before is committed."""
        try:
            self.finish()
        except BaseException:
            closed.abandon()
            raise
        self._writing = _Writing(closed, self._writer.submit(closed.close))

    def finish(self) -> None:
        """Wait until the segment is written, and commit it."""
        if self._writing is None:
            return
        closed, written = self._writing.closed, self._writing.segment
        self._writing = None
        try:
            segment = written.result()
        except BaseException:
            written.exception()  # an interrupt came while the segment was being written, so its files are in use
            closed.abandon()
            raise
        self._commit(segment, closed)

    def _commit(self, segment: Segment, closed: OpenSegment) -> None:
        if not self._commits:
            self.kept.append(segment)
            return
        committed = commit_segment(self._session, segment, closed.stored, overwrite=self._overwrite)
        if committed.number is not None:
            self._report.commits.append(committed.number)
        if committed.dropped:
            self._take_back({key: closed.stored[key] for key in committed.dropped}, closed)

    def _take_back(self, dropped: Mapping[tuple[str, str], StoredItem], closed: OpenSegment) -> None:
        """Count rows as stored already that another writer committed while they were encoded."""
        report, samples = self._report, {sample for sample, _ in closed.stored}
        report.samples -= len(samples - {sample for sample, _ in closed.stored.keys() - dropped.keys()})
        report.records -= len(dropped)
        report.already += len(dropped)
        report.raw_bytes -= sum(item.raw_bytes for item in dropped.values())
        saved = [item.saved_bytes for item in dropped.values() if item.saved_bytes is not None]
        report.shared -= len(saved)
        report.shared_bytes -= sum(saved)
        if len(dropped) == len(closed.stored):
            report.stored_bytes -= closed.bytes

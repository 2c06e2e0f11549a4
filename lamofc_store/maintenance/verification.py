"""Verification: everything is read and every checksum compared; each problem names the object that it lies in."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import RowsEntry, SegmentEntry, Snapshot, checkpoint, log, newest, row_objects, store_marker
from lamofc_store.errors import CorruptStore, StoreError
from lamofc_store.segments import integrity
from lamofc_store.storage import paths, zarr_metadata

if TYPE_CHECKING:
    from lamofc_store.session import Session

_UNNAMED = "no commit names it: its writer is running or was stopped, or the newest commits are lost"

Progress = Callable[[int, int], None]
"""Called with the number of objects that are checked, and of all objects."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One object that is damaged, missing or contradicts another."""

    object: str
    what: str


@dataclass(frozen=True, slots=True)
class Note:
    """One object that is sound but worth a look."""

    object: str
    what: str


@dataclass(slots=True)
class Verification:
    """The result of a verification."""

    objects: int = 0
    records: int = 0
    """Features of samples."""
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    """Rows objects and segments that no commit names."""

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Convert to a mapping for JSON."""
        return {"ok": self.ok, **asdict(self)}


@dataclass(slots=True)
class _History:
    """The content of the log, as far as it can be read."""

    named: set[str] = field(default_factory=set)
    """Paths of the rows objects, and folders of the segments, that commits name."""
    rows: dict[str, RowsEntry] | None = None
    """Rows objects of commits, by name, that are part of the state; None when the log cannot be read."""


def verify(store: "Session", *, progress: Progress | None = None) -> Verification:
    """Check the marker, the log, checkpoints, rows, profiles, and every record of every live segment.

    Rows objects and segments that no commit names are noted: their writer may be running, or it was stopped, or the
    newest commits of the store are lost.
    """
    report, history = Verification(), _History()
    existing = list(_rows_and_segments(store))  # before the log is read: a writer may commit them meanwhile
    _run(paths.COMMITS, lambda: _check_log(store, history), report)
    checks = list(_checks(store, history))
    for done, (name, check) in enumerate(checks, 2):
        _run(name, check, report)
        if progress is not None:
            progress(done, len(checks) + 1)
    if history.rows is not None:
        report.notes += [Note(path, _UNNAMED) for path in existing if path not in history.named]
    if report.problems:
        with contextlib.suppress(CorruptStore):
            log.require_unexpired(store.storage, store.head)
    return report


Check = Callable[[], tuple[int, int]]
"""Returns the records and bytes that it has read; raises an error for a problem."""


def _run(name: str, check: Check, report: Verification) -> None:
    report.objects += 1
    try:
        records, size = check()
        report.records += records
        report.bytes += size
    except FileNotFoundError:
        report.problems.append(Problem(name, "missing"))
    except (StoreError, OSError) as error:
        report.problems.append(Problem(name, f"{error}".removeprefix(f"{name} ").removeprefix("is ")))


def _checks(store: "Session", history: _History) -> Iterator[tuple[str, Check]]:
    storage, head = store.storage, store.snapshot
    yield paths.MARKER, lambda: (0, len(store_marker.read(storage)))
    yield store_marker.GROUP, lambda: _check_group(store)
    for name in storage.names(paths.CHECKPOINTS):
        number = paths.checkpoint_number(name)
        # A checkpoint without its document is being made, or its maker was killed: of no use, but no damage.
        if number is not None and number <= head.n and storage.exists(checkpoint.path_of(number)):
            yield checkpoint.path_of(number), _checkpoint_check(store, number)
    rows = history.rows
    for entry in (rows or {}).values():
        yield entry.path, _rows_check(store, entry)
    for identity in sorted({entry.id for entry in head.profiles.values()}):
        yield paths.profile(identity), _profile_check(store, identity)
    for segment in head.segments.values():
        yield paths.segment(segment.id), _segment_check(store, segment, rows)


def _check_log(store: "Session", history: _History) -> tuple[int, int]:
    """Read all commits, also those after the snapshot: they name objects, too."""
    made = newest.noted(store.storage)
    last = max(log.commit_numbers(store.storage), default=-1)
    newest.require_present(store.storage, made, last)
    state = Snapshot()
    for commit, snapshot in log.replay(store.storage, last):
        newest.require_same(made, snapshot.n, snapshot.crc32c)
        history.named |= {entry.path for entry in commit.change.adds}
        history.named |= {paths.segment(entry.id) for entry in commit.change.segments}
        if snapshot.n == store.head:
            state = snapshot
    if state.crc32c != store.snapshot.crc32c:
        raise StoreError(f"commit {store.head} is not the one that was opened", "open the store again")
    history.rows = {entry.name: entry for table in paths.TABLES for entry in state.rows(table)}
    return 0, 0


def _rows_and_segments(store: "Session") -> Iterator[str]:
    """List the paths of all rows objects, and the folders of all segments."""
    for folder in (paths.ROWS, paths.SEGMENTS):
        for name in store.storage.names(folder):
            if f"{folder}/{name}" != store_marker.GROUP:
                yield f"{folder}/{name}"


def _check_group(store: "Session") -> tuple[int, int]:
    data = store.storage.read(store_marker.GROUP)
    if data != zarr_metadata.group():
        raise StoreError(
            f"{store_marker.GROUP} is not the text that every store has there",
            "write it again by opening with mode 'a'",
        )
    return 0, len(data)


def _checkpoint_check(store: "Session", number: int) -> Check:
    def check() -> tuple[int, int]:
        state = checkpoint.read(store.storage, number)
        merged = [entry for table in paths.TABLES for entry in state.runs.get(table, ())]
        for entry in merged:
            row_objects.read_verified(store.storage, entry)
        return 0, sum(entry.bytes for entry in merged)

    return check


def _rows_check(store: "Session", entry: RowsEntry) -> Check:
    def check() -> tuple[int, int]:
        row_objects.read_verified(store.storage, entry)
        return 0, entry.bytes

    return check


def _profile_check(store: "Session", identity: str) -> Check:
    def check() -> tuple[int, int]:
        return 0, len(type(store.profiles)(store.storage)[identity].data)

    return check


def _segment_check(store: "Session", entry: SegmentEntry, rows: dict[str, RowsEntry] | None) -> Check:
    """Check a segment, and that its rows name its records, unless the rows are unknown."""

    def check() -> tuple[int, int]:
        offsets = integrity.check_small_objects(store.storage, entry)
        places = None
        if rows is not None:
            places = row_objects.record_places(store.storage, rows[entry.rows]) if entry.rows in rows else None
            if places is None or not integrity.rows_match_offsets(places, offsets):
                raise StoreError(
                    f"{paths.segment(entry.id)} does not lie as its rows {entry.rows} say",
                    "restore the rows from a copy",
                )
        integrity.check_payload(store.storage, entry, offsets)
        return 0 if places is None else len(places), entry.bytes

    return check

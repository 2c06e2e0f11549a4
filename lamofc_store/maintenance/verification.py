"""Reading everything and comparing every checksum; each problem names the object that it lies in."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import RowsEntry, SegmentEntry, checkpoint, log, row_objects, store_marker
from lamofc_store.errors import CorruptStore, StoreError
from lamofc_store.segments import integrity
from lamofc_store.storage import paths, zarr_metadata

if TYPE_CHECKING:
    from lamofc_store.session import Session

    pass

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    object: str
    what: str


@dataclass(slots=True)
class Verification:
    """What was read and what was found."""

    objects: int = 0
    records: int = 0
    """Features of samples."""
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """As a JSON-able mapping."""
        return {"ok": self.ok, **asdict(self)}


def verify(store: "Session", *, progress: Told | None = None) -> Verification:
    """Check the marker, the log, checkpoints, rows, profiles, and every record of every live segment."""
    found = Verification()
    checks = list(_checks(store))
    for done, (name, check) in enumerate(checks):
        found.objects += 1
        try:
            records, size = check()
            found.records += records
            found.bytes += size
        except (StoreError, OSError) as error:
            found.problems.append(Problem(name, _told(error, name)))
        if progress is not None:
            progress(done + 1, len(checks))
    if found.problems:
        with contextlib.suppress(CorruptStore):
            log.require_unexpired(store.storage, store.head)
    return found


Check = Callable[[], tuple[int, int]]
"""Raises what is wrong; gives the records and bytes that it read."""


def _checks(store: "Session") -> Iterator[tuple[str, Check]]:
    storage, head = store.storage, store.snapshot
    yield paths.MARKER, lambda: (0, len(store_marker.read(storage)))
    yield store_marker.GROUP, lambda: _group(store)
    yield paths.COMMITS, lambda: _log(store)
    for name in storage.names(paths.CHECKPOINTS):
        number = paths.checkpoint_number(name)
        # One without its document is still being made, or its maker was killed; it is of no use and no harm.
        if number is not None and number <= head.n and storage.exists(checkpoint.path_of(number)):
            yield checkpoint.path_of(number), _checkpoint(store, number)
    raw = {entry.name: entry for entry in _raw_rows(store)}
    for entry in raw.values():
        yield entry.path, _rows(store, entry)
    for identity in sorted({entry.id for entry in head.profiles.values()}):
        yield paths.profile(identity), _profile(store, identity)
    for segment in head.segments.values():
        yield paths.segment(segment.id), _segment(store, segment, raw.get(segment.rows))


def _told(error: Exception, name: str) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return f"{error}".removeprefix(f"{name} ").removeprefix("is ")


def _group(store: "Session") -> tuple[int, int]:
    data = store.storage.read(store_marker.GROUP)
    if data != zarr_metadata.group():
        raise StoreError(
            f"{store_marker.GROUP} is not the text that every store has there",
            "write it again by opening with mode 'a'",
        )
    return 0, len(data)


def _log(store: "Session") -> tuple[int, int]:
    log.commit_numbers(store.storage)
    for _, snapshot in log.replay(store.storage, store.head):
        if snapshot.n == store.head and snapshot.crc32c != store.snapshot.crc32c:
            raise StoreError(f"commit {store.head} is not the one that was opened", "open the store again")
    return 0, 0


def _checkpoint(store: "Session", number: int) -> Check:
    def check() -> tuple[int, int]:
        state = checkpoint.read(store.storage, number)
        merged = [entry for table in paths.TABLES for entry in state.runs.get(table, ())]
        for entry in merged:
            row_objects.read_verified(store.storage, entry)
        return 0, sum(entry.bytes for entry in merged)

    return check


def _raw_rows(store: "Session") -> list[RowsEntry]:
    """The rows objects of commits that are still part of the state, merged or not."""
    states = deque((state for _, state in log.replay(store.storage, store.head)), maxlen=1)
    return [entry for state in states for table in paths.TABLES for entry in state.rows(table)]


def _rows(store: "Session", entry: RowsEntry) -> Check:
    def check() -> tuple[int, int]:
        row_objects.read_verified(store.storage, entry)
        return 0, entry.bytes

    return check


def _profile(store: "Session", identity: str) -> Check:
    def check() -> tuple[int, int]:
        return 0, len(type(store.profiles)(store.storage)[identity].data)

    return check


def _segment(store: "Session", entry: SegmentEntry, rows: RowsEntry | None) -> Check:
    def check() -> tuple[int, int]:
        offsets = integrity.check_small_objects(store.storage, entry)
        places = None if rows is None else row_objects.record_places(store.storage, rows)
        if places is None or not integrity.rows_match_offsets(places, offsets):
            raise StoreError(
                f"{paths.segment(entry.id)} does not lie as its rows {entry.rows} say", "restore the rows from a copy"
            )
        integrity.check_payload(store.storage, entry, offsets)
        return len(places), entry.bytes

    return check

"""Garbage collection: a commit expires old snapshots, then the objects that no remaining snapshot needs are deleted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.commits import (
    GRACE_SECONDS,
    Change,
    ProfileEntry,
    RowsEntry,
    SegmentEntry,
    Snapshot,
    checkpoint,
    log,
    store_marker,
)
from lamofc_store.errors import BadArgument, CorruptStore
from lamofc_store.segments import SMALL_OBJECTS
from lamofc_store.storage import StoredObject, paths

if TYPE_CHECKING:
    from lamofc_store.session import Session

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_COLLECTED_FOLDERS = (paths.CHECKPOINTS, paths.PROFILES, paths.ROWS, paths.SEGMENTS, paths.UNFINISHED)
"""The folders in which objects that no commit names are deleted; whatever else lies in the store is left alone."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The result of a collection, or of a dry run."""

    objects: int
    """Objects that were deleted, or would be."""
    bytes: int
    expired: int
    """Snapshots before this commit can no longer be read."""
    dry_run: bool


def seconds(text: str) -> float:
    """Parse a length of time such as `90s`, `12h`, `7d`."""
    match = re.fullmatch(r"(\d{1,9})([smhdw])", text) if isinstance(text, str) else None
    if match is None:
        raise BadArgument(f"{text!r} is no length of time", "give a text of a number and a unit: 90s, 30m, 12h, 7d, 2w")
    return int(match[1]) * _SECONDS[match[2]]


def collect(store: "Session", keep: str = "7d", *, dry_run: bool = False) -> Collection:
    """Expire snapshots that were superseded longer than `keep` ago, and delete what no later snapshot needs.

    Ages follow the storage's clock, not the times in commits. Objects that no commit ever named are kept for a day,
    because their writer may still be running.
    """
    age = seconds(keep)
    store.require_writable()
    store.refresh()
    now = store.storage.clock()
    oldest = max(store.snapshot.expired, _oldest_to_keep(store, now - age))
    if oldest > store.snapshot.expired and not dry_run:
        store.publish(lambda head: _expire(head, oldest))
    needed, named = _needed_and_named(store, oldest)
    garbage = [stored for stored in store.storage.walk("") if _is_garbage(stored, needed, named, now)]
    garbage.sort(key=lambda stored: not stored.path.endswith(".json"))  # documents before the objects that they name
    if not dry_run:
        store.storage.delete(stored.path for stored in garbage)
    return Collection(len(garbage), sum(stored.size for stored in garbage), oldest, dry_run)


def _expire(head: Snapshot, oldest: int) -> Change | None:
    return Change(verb="expire", expires=oldest, note={"before": oldest}) if oldest > head.expired else None


def _oldest_to_keep(store: "Session", since: float) -> int:
    """Find the snapshot that was the newest one at a time; it and all later ones are kept."""
    published = {stored.path: stored.modified for stored in store.storage.walk(paths.COMMITS)}
    oldest = store.head
    while oldest > 0 and published.get(paths.commit(oldest), 0.0) > since:
        oldest -= 1
    return max(oldest, 0)


def _needed_and_named(store: "Session", oldest: int) -> tuple[set[str], set[str]]:
    """List the objects that snapshots from `oldest` on need, and those that any commit ever named."""
    needed, named = {paths.MARKER, store_marker.GROUP}, set()
    for commit, snapshot in log.replay(store.storage, store.head):
        added = _named_by_change(commit.change)
        named |= added
        needed.add(paths.commit(commit.n))
        if commit.n == oldest:
            needed |= _named_by_snapshot(snapshot)
        elif commit.n > oldest:
            needed |= added
    for number in _checkpoints_to_keep(store, oldest):
        needed.add(checkpoint.path_of(number))
        try:
            state = checkpoint.read(store.storage, number)
        except (CorruptStore, FileNotFoundError):
            continue
        needed |= {entry.path for entries in state.runs.values() for entry in entries}
    return needed, named


def _named_by_change(change: Change) -> set[str]:
    """List the objects that a commit adds to the state."""
    return _paths(change.adds, change.profiles, change.segments)


def _named_by_snapshot(snapshot: Snapshot) -> set[str]:
    """List the objects that a snapshot consists of, when it was computed from the log alone."""
    rows = (entry for table in paths.TABLES for entry in snapshot.rows(table))
    return _paths(rows, snapshot.profiles.values(), snapshot.segments.values())


def _paths(rows: Iterable[RowsEntry], profiles: Iterable[ProfileEntry], segments: Iterable[SegmentEntry]) -> set[str]:
    objects = {entry.path for entry in rows} | {paths.profile(entry.id) for entry in profiles}
    inside = (*SMALL_OBJECTS, "payload/c/0")
    return objects | {paths.segment(entry.id, name) for entry in segments for name in inside}


def _checkpoints_to_keep(store: "Session", oldest: int) -> list[int]:
    """List the newest checkpoint at or before the oldest snapshot, all later ones, and always the newest two."""
    names = map(paths.checkpoint_number, store.storage.names(paths.CHECKPOINTS))
    numbers = sorted(number for number in names if number is not None)
    first = max((number for number in numbers if number <= oldest), default=0)
    return [number for number in numbers if number >= first or number in numbers[-2:]]


def _is_garbage(stored: StoredObject, needed: set[str], named: set[str], now: float) -> bool:
    """Whether commits named an object that no snapshot needs any more, or no commit did for longer than a writer runs.

    Commits themselves are never garbage.
    """
    if stored.path in needed or stored.path.startswith(f"{paths.COMMITS}/"):
        return False
    if stored.path in named:
        return True
    return now - stored.modified > GRACE_SECONDS and stored.path.split("/")[0] in _COLLECTED_FOLDERS

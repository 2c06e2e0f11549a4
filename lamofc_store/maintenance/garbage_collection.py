"""Collecting what no kept snapshot reaches: snapshots are expired by a commit first, objects deleted after."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.commits import GRACE_SECONDS, Change, Snapshot, checkpoint, log, store_marker
from lamofc_store.errors import BadArgument, CorruptStore
from lamofc_store.segments import SMALL_OBJECTS
from lamofc_store.storage import StoredObject, paths

if TYPE_CHECKING:
    from lamofc_store.session import Session

    pass

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection deleted, or would delete."""

    objects: int
    bytes: int
    expired: int
    """Snapshots before this commit can no longer be read."""
    dry_run: bool


def seconds(text: str) -> float:
    """A length of time such as `90s`, `12h`, `7d`."""
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if found is None:
        raise BadArgument(f"{text!r} is no length of time", "give a number and a unit: 90s, 30m, 12h, 7d, 2w")
    return int(found[1]) * _UNITS[found[2]]


def collect(store: "Session", keep: str = "7d", *, dry_run: bool = False) -> Collection:
    """Expire snapshots that were overtaken longer than `keep` ago, then delete what nothing reaches.

    Ages are told by the storage's clock, not by the times in commits. An object that no commit ever named is left
    alone for a day: its writer may still be at work.
    """
    age = seconds(keep)
    store.require_writable()
    store.refresh()
    now = store.storage.clock()
    boundary = max(store.snapshot.expired, _first_kept(store, now - age))
    if boundary > store.snapshot.expired and not dry_run:
        store.publish(lambda head: _expire(head, boundary))
    reached, ever = _reached(store, boundary)
    doomed = [stored for stored in store.storage.walk("") if _is_doomed(stored, reached, ever, now)]
    doomed.sort(key=lambda stored: not stored.path.endswith(".json"))  # what names others goes before them
    if not dry_run:
        store.storage.delete(stored.path for stored in doomed)
    return Collection(len(doomed), sum(stored.size for stored in doomed), boundary, dry_run)


def _expire(head: Snapshot, boundary: int) -> Change | None:
    return Change(verb="expire", expires=boundary, note={"before": boundary}) if boundary > head.expired else None


def _first_kept(store: "Session", since: float) -> int:
    """The oldest snapshot that was not yet overtaken at that time."""
    born = {stored.path: stored.modified for stored in store.storage.walk(paths.COMMITS)}
    first = store.head
    while first > 0 and born.get(paths.commit(first), 0.0) > since:
        first -= 1
    return max(first, 0)


def _reached(store: "Session", boundary: int) -> tuple[set[str], set[str]]:
    """Objects that kept snapshots need, and objects that any commit ever named."""
    reached, ever = {paths.MARKER, store_marker.GROUP}, set()
    for commit, snapshot in log.replay(store.storage, store.head):
        ever |= _named(snapshot)
        reached.add(paths.commit(commit.n))
        if commit.n >= boundary:
            reached |= _named(snapshot)
    for number in _kept_checkpoints(store, boundary):
        reached.add(checkpoint.path_of(number))
        try:
            state = checkpoint.read(store.storage, number)
        except (CorruptStore, FileNotFoundError):
            continue
        reached |= {entry.path for entries in state.runs.values() for entry in entries}
    return reached, ever


def _named(snapshot: Snapshot) -> set[str]:
    """Every object that a snapshot, worked out from the log alone, needs."""
    found = {entry.path for table in paths.TABLES for entry in snapshot.rows(table)}
    found |= {paths.profile(entry.id) for entry in snapshot.profiles.values()}
    for identity in snapshot.segments:
        found |= {paths.segment(identity, name) for name in (*SMALL_OBJECTS, "payload/c/0")}
    return found


def _kept_checkpoints(store: "Session", boundary: int) -> list[int]:
    """Those that kept snapshots are read from, the newest before all of them included; always the newest two."""
    found = (paths.checkpoint_number(name) for name in store.storage.names(paths.CHECKPOINTS))
    numbers = sorted(number for number in found if number is not None)
    first = max((number for number in numbers if number <= boundary), default=0)
    return [number for number in numbers if number >= first or number in numbers[-2:]]


def _is_doomed(stored: StoredObject, reached: set[str], ever: set[str], now: float) -> bool:
    """Named by commits but reached by no kept snapshot; or never named, and older than a writer may take."""
    if stored.path in reached or stored.path.startswith(f"{paths.COMMITS}/"):
        return False
    if stored.path in ever:
        return True
    return now - stored.modified > GRACE_SECONDS and stored.path.split("/")[0] in _OURS


_OURS = (paths.CHECKPOINTS, paths.PROFILES, paths.ROWS, paths.SEGMENTS, paths.UNFINISHED)

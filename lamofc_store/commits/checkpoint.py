"""Merged rows and the state they belong to, every 64 commits, so that opening reads a few objects however long the log.

A checkpoint says nothing that the log does not say: one that is missing or damaged is passed over, and made anew later.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from lamofc_store.commits import row_objects
from lamofc_store.commits.commit import FORMAT, ProfileEntry, RowsEntry, SegmentEntry, refuse_newer, rows_entry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore, StoreError
from lamofc_store.storage import Document, Storage, crc32c, paths, seal, unseal

if TYPE_CHECKING:
    import pyarrow as pa

EVERY = 64
_RATIO = 4
"""Neighbouring runs of merged rows are merged while the older is less than this many times the newer."""


def path_of(number: int) -> str:
    """The document of the checkpoint made after that commit."""
    return f"{paths.checkpoint(number)}/state.json"


def newest(storage: Storage, number: int) -> Snapshot:
    """The newest readable state at or before commit `number`; the empty state where there is none."""
    found = (paths.checkpoint_number(name) for name in storage.names(paths.CHECKPOINTS))
    for candidate in sorted((n for n in found if n is not None and n <= number), reverse=True):
        with contextlib.suppress(CorruptStore, FileNotFoundError):
            return read(storage, candidate)
    return Snapshot()


def read(storage: Storage, number: int) -> Snapshot:
    """The state that one checkpoint holds."""
    path = path_of(number)
    body = unseal(storage.read(path), path)
    refuse_newer(body, path)
    try:
        commit_crc = crc32c(storage.read(paths.commit(number)))
        state = _from_body(body)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(f"{path} is no checkpoint: {error!r}", "remove the folder; it is made again") from error
    if state.n != number or state.crc32c != commit_crc:
        raise CorruptStore(
            f"{path} does not belong to commit {number} of this log", "remove the folder; it is made again"
        )
    return state


def make_if_due(storage: Storage, snapshot: Snapshot) -> None:
    """Make a checkpoint after every 64th commit; failing to is no failure of the commit."""
    if (snapshot.n + 1) % EVERY == 0:
        with contextlib.suppress(StoreError, OSError):
            make(storage, snapshot)


def make(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """Merge the tail into runs, write the state; returns the same state with its rows merged."""
    gone = row_objects.gone(storage, snapshot)
    runs = {table: _merged_runs(storage, snapshot, table, gone) for table in paths.TABLES if table != "gone"}
    runs["gone"] = row_objects.still_needed(storage, snapshot, runs, paths.checkpoint(snapshot.n))
    dropped = {
        table: frozenset(origins & {origin for entry in runs[table] for origin, _ in entry.origins})
        for table, origins in snapshot.dropped.items()
    }
    state = replace(
        snapshot,
        runs={table: entries for table, entries in runs.items() if entries},
        tail={},
        dropped={table: origins for table, origins in dropped.items() if origins},
    )
    storage.write(path_of(state.n), seal(_to_body(state)))
    return state


def _merged_runs(storage: Storage, snapshot: Snapshot, table: str, gone: "pa.Table") -> tuple[RowsEntry, ...]:
    """The runs of a table after this checkpoint: sizes fall by at least a factor from one to the next."""
    kept = list(snapshot.runs.get(table, ()))
    pending = list(snapshot.tail.get(table, ()))
    if not pending:
        return tuple(kept)
    while kept and kept[-1].count < _RATIO * sum(entry.count for entry in pending):
        pending.insert(0, kept.pop())
    merged = row_objects.merge(storage, table, pending, gone, paths.checkpoint(snapshot.n))
    without = snapshot.dropped.get(table, frozenset())
    return (*kept, replace(merged, origins=tuple(source for source in merged.origins if source[0] not in without)))


def _to_body(state: Snapshot) -> Document:
    return {
        "format": FORMAT,
        "requires": [],
        "n": state.n,
        "commit": state.crc32c,
        "time": state.time,
        "runs": {table: [asdict(entry) for entry in entries] for table, entries in state.runs.items()},
        "dropped": {table: sorted(origins) for table, origins in state.dropped.items()},
        "segments": [asdict(entry) for entry in state.segments.values()],
        "profiles": [asdict(entry) for entry in state.profiles.values()],
        "columns": [list(column) for column in state.columns.items()],
        "expired": state.expired,
    }


def _from_body(body: Document) -> Snapshot:
    profiles: Iterable[ProfileEntry] = (ProfileEntry(**entry) for entry in body["profiles"])
    return Snapshot(
        n=int(body["n"]),
        crc32c=body["commit"],
        time=str(body["time"]),
        runs={table: tuple(rows_entry(entry) for entry in entries) for table, entries in body["runs"].items()},
        tail={},
        dropped={table: frozenset(origins) for table, origins in body["dropped"].items()},
        segments={entry["id"]: SegmentEntry(**entry) for entry in body["segments"]},
        profiles={f"{entry.id} {entry.feature}": entry for entry in profiles},
        columns=dict(body["columns"]),
        expired=int(body["expired"]),
    )

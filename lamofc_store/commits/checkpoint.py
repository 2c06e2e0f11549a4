"""Checkpoints: merged rows and the state, every 64 commits, so that opening reads few objects however long the log.

A checkpoint holds nothing that the log does not hold. A missing or damaged one is skipped, and a later one replaces it.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from lamofc_store.commits import row_objects
from lamofc_store.commits.commit import FORMAT, ProfileEntry, RowsEntry, SegmentEntry, refuse_newer, rows_entry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore, StoreError
from lamofc_store.storage import Document, Storage, crc32c, decode_document, encode_document, paths

if TYPE_CHECKING:
    import pyarrow as pa

COMMITS_PER_CHECKPOINT = 64
_MIN_SIZE_RATIO = 4
"""Rows of a run over rows of the next one. Runs are merged until the ratio holds, so there are few of them."""


def path_of(number: int) -> str:
    """Path of the document of the checkpoint that was made after a commit."""
    return f"{paths.checkpoint(number)}/state.json"


def load_newest(storage: Storage, number: int) -> Snapshot:
    """Load the newest readable checkpoint at or before a commit; the empty state where there is none."""
    numbers = (paths.checkpoint_number(name) for name in storage.names(paths.CHECKPOINTS))
    for candidate in sorted((n for n in numbers if n is not None and n <= number), reverse=True):
        with contextlib.suppress(CorruptStore, FileNotFoundError):
            return read(storage, candidate)
    return Snapshot()


def read(storage: Storage, number: int) -> Snapshot:
    """Read the state in one checkpoint."""
    path = path_of(number)
    body = decode_document(storage.read(path), path)
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


def write_if_due(storage: Storage, snapshot: Snapshot) -> None:
    """Write a checkpoint after every 64th commit. A failure is ignored: the commit is published, and needs none."""
    if (snapshot.n + 1) % COMMITS_PER_CHECKPOINT == 0:
        with contextlib.suppress(StoreError, OSError):
            write(storage, snapshot)


def write(storage: Storage, snapshot: Snapshot) -> Snapshot:
    """Merge the tail into runs, write the state, and return the same state with its rows merged."""
    deleted = row_objects.tombstones(storage, snapshot)
    runs = {table: _merge_runs(storage, snapshot, table, deleted) for table in paths.TABLES if table != "gone"}
    runs["gone"] = row_objects.merge_tombstones(storage, snapshot, runs, paths.checkpoint(snapshot.n))
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
    storage.write(path_of(state.n), encode_document(_to_body(state)))
    return state


def _merge_runs(storage: Storage, snapshot: Snapshot, table: str, deleted: "pa.Table") -> tuple[RowsEntry, ...]:
    """Merge the tail of a table, and the runs that are too small beside it, into one run."""
    runs = list(snapshot.runs.get(table, ()))
    pending = list(snapshot.tail.get(table, ()))
    if not pending:
        return tuple(runs)
    while runs and runs[-1].count < _MIN_SIZE_RATIO * sum(entry.count for entry in pending):
        pending.insert(0, runs.pop())
    merged = row_objects.merge(storage, table, pending, deleted, paths.checkpoint(snapshot.n))
    dropped = snapshot.dropped.get(table, frozenset())
    return (*runs, replace(merged, origins=tuple(source for source in merged.origins if source[0] not in dropped)))


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
        profiles={entry.key: entry for entry in profiles},
        columns=dict(body["columns"]),
        expired=int(body["expired"]),
    )

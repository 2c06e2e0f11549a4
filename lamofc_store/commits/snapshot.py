"""The state after a commit: a value, computed from the state before it and the commit, and from nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lamofc_store.commits.commit import Commit, ProfileEntry, ProfileKey, RowsEntry, SegmentEntry
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import paths


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The live rows, segments, profiles and columns after commit `n`."""

    n: int = -1
    """-1 before the first commit."""
    crc32c: int | None = None
    """Checksum of the bytes of commit n."""
    time: str = ""
    runs: Mapping[str, tuple[RowsEntry, ...]] = field(default_factory=dict)
    """Rows merged by checkpoints, oldest first, for each table."""
    tail: Mapping[str, tuple[RowsEntry, ...]] = field(default_factory=dict)
    """Rows of commits since the last merge, in commit order, for each table."""
    dropped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Rows objects whose rows still lie in merged rows but are no longer part of the state."""
    segments: Mapping[str, SegmentEntry] = field(default_factory=dict)
    profiles: Mapping[ProfileKey, ProfileEntry] = field(default_factory=dict)
    """In commit order; one profile may serve several features."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Arrow type of each sample column."""
    expired: int = 0
    """Snapshots before this commit have expired."""

    def rows(self, table: str) -> tuple[RowsEntry, ...]:
        """List the rows objects of a table, in commit order."""
        return (*self.runs.get(table, ()), *self.tail.get(table, ()))


def apply(before: Snapshot, commit: Commit, crc32c: int) -> Snapshot:
    """Compute the state after a commit, whose bytes have that checksum."""
    if commit.n != before.n + 1 or commit.previous != before.crc32c:
        raise CorruptStore(
            f"{paths.commit(commit.n)} does not follow commit {before.n}:"
            f" it names the checksum {commit.previous}, there it is {before.crc32c}",
            "restore the missing or exchanged commit from a copy",
        )
    change = commit.change
    tail = dict(before.tail.items())
    for entry in change.adds:
        tail[entry.table] = (*tail.get(entry.table, ()), entry)
    segments = {**before.segments, **{entry.id: entry for entry in change.segments}}
    dropped = dict(before.dropped)
    for name in change.drops:
        if name in segments:
            del segments[name]
        else:
            _drop_rows(name, tail, dropped)
    return replace(
        before,
        n=commit.n,
        crc32c=crc32c,
        time=commit.time,
        tail=tail,
        dropped=dropped,
        segments=segments,
        profiles={**before.profiles, **{entry.key: entry for entry in change.profiles}},
        columns={**before.columns, **dict(change.columns)},
        expired=before.expired if change.expires is None else max(before.expired, change.expires),
    )


def _drop_rows(name: str, tail: dict[str, tuple[RowsEntry, ...]], dropped: dict[str, frozenset[str]]) -> None:
    """Remove a rows object: from the tail at once, from merged rows when they are next merged."""
    origin, table = paths.rows_parts(name)
    others = tuple(entry for entry in tail.get(table, ()) if entry.name != name)
    if len(others) < len(tail.get(table, ())):
        tail[table] = others
    else:
        dropped[table] = dropped.get(table, frozenset()) | {origin}

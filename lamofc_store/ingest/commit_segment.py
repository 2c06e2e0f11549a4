"""Commit a written segment, and find the rows of it that another writer committed first."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamofc_store.commits import Change, Segment, Snapshot, changes

if TYPE_CHECKING:
    from lamofc_store.session import Session

Key = tuple[str, str]
"""Sample and feature."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The commit of a segment."""

    number: int | None
    """None where there was nothing left to commit."""
    dropped: frozenset[Key]
    """Keys of rows that were in the store already, with the same content, when the commit was made."""


def commit_segment(session: "Session", segment: Segment, keys: Collection[Key], *, overwrite: bool) -> Committed:
    """Make a segment with rows of these keys visible; rows that another writer committed meanwhile are dropped."""
    change: Change | None = None

    def build(head: Snapshot) -> Change | None:
        nonlocal change
        change = changes.add_segments(session.context, [segment], head, overwrite=overwrite, note={})
        return change

    number = session.publish(build)
    if change is None:
        return Committed(None, frozenset(keys))
    if change.note["records"] == len(keys) or segment.entry is None:
        return Committed(number, frozenset())
    samples = list(dict.fromkeys(sample for sample, _ in keys))
    rows = session.catalog.lookup(samples, columns=("sample", "feature", "segment")).to_pylist()
    live = {(row["sample"], row["feature"]) for row in rows if row["segment"] == segment.entry.id}
    return Committed(number, frozenset(keys) - live)

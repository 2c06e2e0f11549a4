"""The commit log and the state that follows from it: snapshots, checkpoints, rows objects, profiles.

In: changes worked out against a head. Out: the next commit by exclusive create, and snapshots to read."""

from lamofc_store.commits import (
    catalog_tables,
    changes,
    checkpoint,
    log,
    newest,
    profile_objects,
    row_objects,
    store_marker,
)
from lamofc_store.commits.changes import GRACE_SECONDS
from lamofc_store.commits.commit import Change, ProfileEntry, ProfileKey, RowsEntry, SegmentEntry
from lamofc_store.commits.log import ChangeBuilder
from lamofc_store.commits.pending import Segment
from lamofc_store.commits.profile_objects import Profiles
from lamofc_store.commits.snapshot import Snapshot

__all__ = [
    "GRACE_SECONDS",
    "Change",
    "ChangeBuilder",
    "ProfileEntry",
    "ProfileKey",
    "Profiles",
    "RowsEntry",
    "Segment",
    "SegmentEntry",
    "Snapshot",
    "catalog_tables",
    "changes",
    "checkpoint",
    "log",
    "newest",
    "profile_objects",
    "row_objects",
    "store_marker",
]

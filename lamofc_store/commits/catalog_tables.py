"""A snapshot as the tables of a catalog."""

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lamofc_store.commits import log, profile_objects, row_objects
from lamofc_store.commits.changes import column_schema
from lamofc_store.commits.commit import Commit
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.storage import Storage

if TYPE_CHECKING:
    from lamofc_catalog import Catalog


def open_catalog(storage: Storage, snapshot: Snapshot) -> "Catalog":
    """Open the catalog of a snapshot, over verified local files. The log is read when a query needs it."""
    from lamofc_catalog import Catalog

    return Catalog(
        row_objects.local_files(storage, snapshot),
        gone=row_objects.tombstones(storage, snapshot),
        commits=lambda: commit_table(storage, snapshot.n),
        profiles=profile_table(snapshot),
        configs=lambda: config_table(storage, snapshot),
        columns=column_schema(snapshot.columns),
    )


def commit_table(storage: Storage, newest: int) -> "pa.Table":
    """Build a table of all commits up to one, from the log."""
    rows = [_commit_row(commit) for commit, _ in log.replay(storage, newest)]
    names = [("n", pa.int64()), ("time", pa.string()), ("verb", pa.string()), ("writer", pa.string())]
    counts = [(name, pa.int64()) for name in ("adds", "drops", "samples", "records", "bytes")]
    profiles = ("profiles", pa.list_(pa.string()))
    return pa.Table.from_pylist(rows, schema=pa.schema([*names, *counts, profiles]))


def _commit_row(commit: Commit) -> dict[str, object]:
    change = commit.change
    return {
        "n": commit.n,
        "time": commit.time,
        "verb": change.verb,
        "writer": commit.writer,
        "adds": len(change.adds) + len(change.segments),
        "drops": len(change.drops),
        "samples": int(change.note.get("samples", 0)),
        "records": int(change.note.get("records", 0)),
        "bytes": sum(entry.bytes for entry in change.segments),
        "profiles": [entry.id for entry in change.profiles],
    }


def profile_table(snapshot: Snapshot) -> "pa.Table":
    """Build a table of all profiles that a commit named, with the features that they serve."""
    from lamofc_catalog import PROFILES

    rows: dict[str, dict[str, Any]] = {}
    for entry in snapshot.profiles.values():
        row = {
            "profile": entry.id,
            "codec": entry.codec,
            "features": [],
            "bytes": entry.bytes,
            "quality": entry.quality,
        }
        rows.setdefault(entry.id, row)["features"].append(entry.feature)
    return pa.Table.from_pylist(list(rows.values()), schema=PROFILES)


def config_table(storage: Storage, snapshot: Snapshot) -> "pa.Table":
    """Build a table of the configurations of all profiles, from the beginnings of their files."""
    from lamofc_catalog import CONFIGS

    found = profile_objects.read_configs(storage, sorted({entry.id for entry in snapshot.profiles.values()}))
    rows = [{"profile": identity, "config": json.dumps(config, sort_keys=True)} for identity, config in found.items()]
    return pa.Table.from_pylist(rows, schema=CONFIGS)


def rows_of_segment(catalog: "Catalog", segment: str) -> "pa.Table":
    """Look up the live record rows of one segment, with their positions, in the order of the records."""
    from lamofc_catalog import translated

    query = "SELECT DISTINCT sample FROM records WHERE segment = ?"
    with translated(query):
        samples = catalog.sql(query, [segment]).fetchall()
    rows = catalog.lookup([sample for (sample,) in samples])
    return rows.filter(pc.equal(rows["segment"], segment)).sort_by("record")

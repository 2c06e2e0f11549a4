"""The changes that verbs make, worked out against a snapshot; called anew whenever another commit came first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamofc_store.commits import row_objects
from lamofc_store.commits.commit import Change, ProfileEntry, RowsEntry
from lamofc_store.commits.pending import Segment
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import Conflict, Hint, NotFound, SchemaConflict
from lamofc_store.storage import Document, Storage

if TYPE_CHECKING:
    import pyarrow as pa

    from lamofc_catalog import Catalog

CatalogOf = Callable[[Snapshot], "Catalog"]
GRACE_SECONDS = 24 * 3600.0
"""Objects that no commit names are collected when they are older than this, never earlier."""

_CLAIM = ("sample", "feature", "source_hash", "profile", "quality")


@dataclass(frozen=True, slots=True)
class Context:
    """Where a change is worked out."""

    storage: Storage
    catalog: CatalogOf


def add_segments(
    context: Context, segments: Sequence[Segment], head: Snapshot, *, overwrite: bool, note: Document
) -> Change | None:
    """Make written segments visible; one row for each (sample, feature), or Conflict."""
    _refuse_old(context.storage, segments)
    rows = [entry for segment in segments for entry in segment.rows]
    retired, dropped = _claims(context, [entry for entry in rows if entry.table == "records"], head, overwrite)
    records = sum(entry.count for entry in rows if entry.table == "records")
    if records and len(dropped) == records and not any(entry.table == "skipped" for entry in rows):
        return None
    gone = retired + dropped
    if gone:
        rows.append(row_objects.publish(context.storage, "gone", positions(gone)))
    return Change(
        verb="ingest",
        adds=tuple(rows),
        segments=tuple(segment.entry for segment in segments if segment.entry),
        profiles=new_profiles(head, [entry for segment in segments for entry in segment.profiles]),
        columns=widened(head, [column for segment in segments for column in segment.columns]),
        note={
            **note,
            "samples": sum(segment.samples for segment in segments),
            "records": records - len(dropped),
            "retired": len(retired),
        },
    )


def _refuse_old(storage: Storage, segments: Sequence[Segment]) -> None:
    """What waited half the grace could be collected before the commit is read: refuse it."""
    oldest = min(segment.written for segment in segments)
    if storage.clock() - oldest > GRACE_SECONDS / 2:
        raise Conflict(
            "the segments were written over 12 hours ago and may be collected any time",
            "write them again, commit sooner",
        )


Position = tuple[str, str, int]


def _claims(
    context: Context, entries: Sequence[RowsEntry], head: Snapshot, overwrite: bool
) -> tuple[list[Position], list[Position]]:
    """Rows that must go: those of others that we replace, and those of ours that are there already."""
    ours: dict[tuple[str, str], dict[str, Any]] = {}
    retired: list[Position] = []
    dropped: list[Position] = []
    for entry in entries:
        for row in read_keys(context.storage, entry):
            earlier = ours.get((row["sample"], row["feature"]))
            if earlier is None:
                ours[row["sample"], row["feature"]] = row
            elif _same(earlier, row):
                dropped.append(_position(row))
            else:
                raise _conflict(row, "twice in the same commit with different content")
    samples = list(dict.fromkeys(sample for sample, _ in ours))
    found = context.catalog(head).lookup(samples, columns=_CLAIM) if samples else None
    for row in [] if found is None else found.to_pylist():
        mine = ours.get((row["sample"], row["feature"]))
        if mine is None:
            continue
        if _same(mine, row) and (not overwrite or _fingerprint(mine) == _fingerprint(row)):
            dropped.append(_position(mine))
        elif overwrite:
            retired.append(_position(row))
        else:
            raise _conflict(row, "with different content, committed meanwhile or before")
    return retired, dropped


def read_keys(storage: Storage, entry: RowsEntry) -> list[dict[str, Any]]:
    """Key, fingerprint and position of each record row of an object."""
    from lamofc_catalog import read_rows

    return list(read_rows("records", row_objects.fetch(storage, entry), [*_CLAIM, "origin", "row"]).to_pylist())


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["source_hash"] == other["source_hash"])


def _fingerprint(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["source_hash"], row["profile"], row["quality"]


def _position(row: dict[str, Any]) -> Position:
    return "records", row["origin"], row["row"]


def _conflict(row: dict[str, Any], how: str) -> Conflict:
    return Conflict(
        f"sample {row['sample']!r}, feature {row['feature']!r} is there {how}",
        Hint("give [overwrite] to replace it, or ingest into another store"),
    )


def positions(gone: Iterable[Position]) -> "pa.Table":
    """Rows of the table `gone`."""
    import pyarrow as pa

    table, origin, row = zip(*gone, strict=True)
    return pa.table({"table": list(table), "origin": list(origin), "row": pa.array(row, pa.int64())})


def new_profiles(head: Snapshot, entries: Iterable[ProfileEntry]) -> tuple[ProfileEntry, ...]:
    """Those that no commit named yet."""
    unique = {f"{entry.id} {entry.feature}": entry for entry in entries}
    return tuple(entry for key, entry in unique.items() if key not in head.profiles)


def widened(head: Snapshot, columns: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sample columns that are new, or wider than in the snapshot; SchemaConflict when one would lose."""
    from lamofc_catalog import SchemaConflict as NotWider
    from lamofc_catalog import widen

    schema = schema_of(head.columns)
    try:
        for name, kind in columns:
            schema = widen(schema, schema_of({name: kind}))
    except NotWider as error:
        raise SchemaConflict(str(error), error.cure) from error
    return tuple((field.name, str(field.type)) for field in schema if head.columns.get(field.name) != str(field.type))


def column_types(schema: "pa.Schema") -> tuple[tuple[str, str], ...]:
    """Return the store's name and type of each column of the user; SchemaConflict when the store has no such type."""
    import pyarrow as pa

    from lamofc_catalog import SchemaConflict as NotFlat
    from lamofc_catalog import widen

    try:
        return tuple((field.name, str(field.type)) for field in widen(pa.schema([]), schema))
    except NotFlat as error:
        raise SchemaConflict(str(error), error.cure) from error


def schema_of(columns: Any) -> "pa.Schema":
    """The Arrow schema of named column types."""
    import pyarrow as pa

    aliases = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return pa.schema([(name, pa.type_for_alias(aliases.get(kind, kind))) for name, kind in columns.items()])


def forget(context: Context, samples: Sequence[str], head: Snapshot) -> Change:
    """Take samples out of the state; their bytes stay until compact and gc."""
    _require(context, samples, head)
    found = context.catalog(head).positions(samples)
    entry = row_objects.publish(context.storage, "gone", found)
    records = sum(1 for table in found["table"].to_pylist() if table == "records")
    return Change(verb="forget", adds=(entry,), note={"samples": len(set(samples)), "records": -records})


def annotate(
    context: Context, rows: RowsEntry, samples: Sequence[str], columns: Sequence[tuple[str, str]], head: Snapshot
) -> Change:
    """Add columns or values to samples that are there."""
    _require(context, samples, head)
    return Change(verb="annotate", adds=(rows,), columns=widened(head, columns), note={"samples": len(samples)})


def _require(context: Context, samples: Sequence[str], head: Snapshot) -> None:
    """NotFound unless all of the samples are there."""
    missing = sorted(set(samples) - present(context.catalog(head), samples))
    if missing:
        raise NotFound(
            f"there is no sample {missing[0]!r} ({len(missing)} of {len(set(samples))} named are not there)",
            "lamofc ls STORE lists the samples",
        )


def present(catalog: "Catalog", samples: Sequence[str]) -> set[str]:
    """Which of the samples are there."""
    return set(catalog.lookup(samples, columns=("sample",))["sample"].to_pylist())

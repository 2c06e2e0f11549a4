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
"""Age below which garbage collection leaves alone what no commit names."""
COMMIT_WITHIN_SECONDS = GRACE_SECONDS / 2
"""Age above which a written segment may no longer be committed."""

_KEY_COLUMNS = ("sample", "feature", "source_hash", "profile", "quality")


@dataclass(frozen=True, slots=True)
class Context:
    """The storage and the catalogs against which a change is worked out."""

    storage: Storage
    catalog: CatalogOf


def add_segments(
    context: Context, segments: Sequence[Segment], head: Snapshot, *, overwrite: bool, note: Document
) -> Change | None:
    """Make written segments visible; one row for each (sample, feature), else Conflict."""
    _refuse_stale(context.storage, segments)
    rows = [entry for segment in segments for entry in segment.rows]
    replaced, repeated = _resolve_keys(context, [entry for entry in rows if entry.table == "records"], head, overwrite)
    records = sum(entry.count for entry in rows if entry.table == "records")
    if records and len(repeated) == records and not any(entry.table == "skipped" for entry in rows):
        return None
    if replaced or repeated:
        rows.append(row_objects.write(context.storage, "gone", tombstone_table(replaced + repeated)))
    return Change(
        verb="ingest",
        adds=tuple(rows),
        segments=tuple(segment.entry for segment in segments if segment.entry),
        profiles=new_profiles(head, [entry for segment in segments for entry in segment.profiles]),
        columns=columns_to_widen(head, [column for segment in segments for column in segment.columns]),
        note={
            **note,
            "samples": sum(segment.samples for segment in segments),
            "records": records - len(repeated),
            "retired": len(replaced),
        },
    )


def _refuse_stale(storage: Storage, segments: Sequence[Segment]) -> None:
    """Refuse segments that garbage collection might delete before this commit becomes visible."""
    age = storage.clock() - min(segment.written for segment in segments)
    if age > COMMIT_WITHIN_SECONDS:
        raise Conflict(
            f"the oldest segment was written {age / 3600:.1f} hours ago and may be collected any time",
            f"write the segments again and commit them within {COMMIT_WITHIN_SECONDS / 3600:g} hours",
        )


Position = tuple[str, str, int]
"""Table, ulid of a rows object, and number of a row in it."""


def _resolve_keys(
    context: Context, entries: Sequence[RowsEntry], head: Snapshot, overwrite: bool
) -> tuple[list[Position], list[Position]]:
    """Find the committed rows that the new ones replace, and the new rows whose content is there already."""
    new: dict[tuple[str, str], dict[str, Any]] = {}
    replaced: list[Position] = []
    repeated: list[Position] = []
    for entry in entries:
        for row in _record_keys(context.storage, entry):
            earlier = new.get((row["sample"], row["feature"]))
            if earlier is None:
                new[row["sample"], row["feature"]] = row
            elif _same_source(earlier, row):
                repeated.append(_position(row))
            else:
                raise _conflict(row, "twice in the same commit with different content")
    samples = list(dict.fromkeys(sample for sample, _ in new))
    committed = context.catalog(head).lookup(samples, columns=_KEY_COLUMNS).to_pylist() if samples else []
    for row in committed:
        ours = new.get((row["sample"], row["feature"]))
        if ours is None:
            continue
        if _same_source(ours, row) and (not overwrite or _fingerprint(ours) == _fingerprint(row)):
            repeated.append(_position(ours))
        elif overwrite:
            replaced.append(_position(row))
        else:
            raise _conflict(row, "with different content, committed meanwhile or before")
    return replaced, repeated


def _record_keys(storage: Storage, entry: RowsEntry) -> list[dict[str, Any]]:
    """Key, fingerprint and position of each row of a records object."""
    from lamofc_catalog import read_rows

    columns = [*_KEY_COLUMNS, "origin", "row"]
    return list(read_rows("records", row_objects.local_file(storage, entry), columns).to_pylist())


def _same_source(row: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(row["source_hash"] == other["source_hash"])


def _fingerprint(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["source_hash"], row["profile"], row["quality"]


def _position(row: dict[str, Any]) -> Position:
    return "records", row["origin"], row["row"]


def _conflict(row: dict[str, Any], how: str) -> Conflict:
    return Conflict(
        f"sample {row['sample']!r}, feature {row['feature']!r} is there {how}",
        Hint("give [overwrite] to replace it, or ingest into another store"),
    )


def tombstone_table(positions: Iterable[Position]) -> "pa.Table":
    """Build rows of the table `gone`."""
    import pyarrow as pa

    table, origin, row = zip(*positions, strict=True)
    return pa.table({"table": list(table), "origin": list(origin), "row": pa.array(row, pa.int64())})


def new_profiles(head: Snapshot, entries: Iterable[ProfileEntry]) -> tuple[ProfileEntry, ...]:
    """Select the profiles that no commit names yet."""
    unique = {entry.key: entry for entry in entries}
    return tuple(entry for key, entry in unique.items() if key not in head.profiles)


def columns_to_widen(head: Snapshot, columns: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Select the sample columns that are new, or wider than in a snapshot; SchemaConflict where one would lose."""
    from lamofc_catalog import SchemaConflict as NotWider
    from lamofc_catalog import widen

    schema = column_schema(head.columns)
    try:
        for name, data_type in columns:
            schema = widen(schema, column_schema({name: data_type}))
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


def column_schema(columns: Any) -> "pa.Schema":
    """Build the Arrow schema of named column types."""
    import pyarrow as pa

    aliases = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return pa.schema([(name, pa.type_for_alias(aliases.get(alias, alias))) for name, alias in columns.items()])


def forget(context: Context, samples: Sequence[str], head: Snapshot) -> Change:
    """Remove samples from the state; their bytes stay until compact and gc."""
    _require_samples(context, samples, head)
    positions = context.catalog(head).positions(samples)
    entry = row_objects.write(context.storage, "gone", positions)
    records = sum(1 for table in positions["table"].to_pylist() if table == "records")
    return Change(verb="forget", adds=(entry,), note={"samples": len(set(samples)), "records": -records})


def annotate(
    context: Context, rows: RowsEntry, samples: Sequence[str], columns: Sequence[tuple[str, str]], head: Snapshot
) -> Change:
    """Add columns or values to existing samples."""
    _require_samples(context, samples, head)
    return Change(
        verb="annotate", adds=(rows,), columns=columns_to_widen(head, columns), note={"samples": len(samples)}
    )


def _require_samples(context: Context, samples: Sequence[str], head: Snapshot) -> None:
    """Raise NotFound unless all of the samples exist."""
    missing = sorted(set(samples) - existing_samples(context.catalog(head), samples))
    if missing:
        raise NotFound(
            f"there is no sample {missing[0]!r} ({len(missing)} of {len(set(samples))} named are not there)",
            "lamofc ls STORE lists the samples",
        )


def existing_samples(catalog: "Catalog", samples: Sequence[str]) -> set[str]:
    """Select the samples that exist."""
    return set(catalog.lookup(samples, columns=("sample",))["sample"].to_pylist())

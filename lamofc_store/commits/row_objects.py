"""Rows objects: Parquet files that the catalog reads and writes locally, as checked objects of the store.

A tombstone is a position (table, ulid of a rows object, number in it) of a row that is not part of a snapshot.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamofc_store.commits.commit import RowsEntry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Storage, crc32c, new_ulid, paths, translate_disk_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_RESTORE_HINT = "lamofc verify names all that is damaged; restore the object from a copy"
_MERGED_HINT = "remove the folder checkpoints/: merged rows are made again from the log"


def write(storage: Storage, table: str, rows: "pa.Table") -> RowsEntry:
    """Write rows as a new object, which no commit names yet."""
    from lamofc_catalog import write_rows

    origin = new_ulid()
    name = f"{origin}.{table}"
    file = storage.scratch_dir() / f"{name}.parquet"
    with translate_disk_errors(file):
        write_rows(table, rows, file, origin=origin)
    data = file.read_bytes()
    entry = RowsEntry(name, table, rows.num_rows, len(data), crc32c(data))
    storage.write(entry.path, file)
    return entry


def local_file(storage: Storage, entry: RowsEntry) -> Path:
    """Give a local file of a rows object; its checksum is compared at the first call."""
    try:
        return storage.verified_file(entry.path, lambda data: _verify(entry, data))
    except FileNotFoundError:
        raise _missing(entry) from None


def read_verified(storage: Storage, entry: RowsEntry) -> bytes:
    """Read a rows object; CorruptStore where its bytes are not those that were committed."""
    try:
        data = storage.read(entry.path)
    except FileNotFoundError:
        raise _missing(entry) from None
    _verify(entry, data)
    return data


def _verify(entry: RowsEntry, data: bytes) -> None:
    if len(data) != entry.bytes or crc32c(data) != entry.crc32c:
        raise CorruptStore(f"{entry.path} is damaged: its checksum is not that of the commit", _hint(entry))


def _missing(entry: RowsEntry) -> CorruptStore:
    return CorruptStore(f"{entry.path} is missing", _hint(entry))


def _hint(entry: RowsEntry) -> str:
    return _MERGED_HINT if entry.is_merged else _RESTORE_HINT


def record_places(storage: Storage, entry: RowsEntry) -> "NDArray[np.int64]":
    """Read record, offset and length of each row of a records object."""
    from lamofc_catalog import read_rows

    columns = ["record", "offset", "length"]
    rows = read_rows("records", local_file(storage, entry), columns)
    return np.column_stack([np.asarray(rows[name].to_numpy(), np.int64) for name in columns])


def local_files(storage: Storage, snapshot: Snapshot) -> dict[str, list[str]]:
    """Local files of all rows but the tombstones, for each table in commit order."""
    return {
        table: [str(local_file(storage, entry)) for entry in snapshot.rows(table)]
        for table in paths.TABLES
        if table != "gone"
    }


def tombstones(storage: Storage, snapshot: Snapshot) -> "pa.Table":
    """Positions of all rows that lie in a file of the snapshot but are not part of it."""
    import pyarrow as pa

    parts = [_committed_tombstones(storage, snapshot)]
    for table, origins in snapshot.dropped.items():
        for entry in snapshot.runs.get(table, ()):
            parts.extend(_whole_object(table, origin, count) for origin, count in entry.origins if origin in origins)
    return pa.concat_tables(parts)


def _committed_tombstones(storage: Storage, snapshot: Snapshot) -> "pa.Table":
    """Tombstones that commits wrote row by row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _tombstone_schema()
    tables = (pq.read_table(local_file(storage, entry), columns=schema.names) for entry in snapshot.rows("gone"))
    return pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])


def _whole_object(table: str, origin: str, count: int) -> "pa.Table":
    """A tombstone for every row of one rows object."""
    import pyarrow as pa

    columns = {"table": [table] * count, "origin": [origin] * count, "row": list(range(count))}
    return pa.table(columns, schema=_tombstone_schema())


def _tombstone_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("table", pa.string()), ("origin", pa.string()), ("row", pa.int64())])


def merge(storage: Storage, table: str, entries: Sequence[RowsEntry], deleted: "pa.Table", folder: str) -> RowsEntry:
    """Merge rows objects into one under a checkpoint's folder, without the deleted rows."""
    from lamofc_catalog import merge as merge_rows

    file = storage.scratch_dir() / f"{new_ulid()}.parquet"
    with translate_disk_errors(file):
        count = merge_rows(table, [str(local_file(storage, entry)) for entry in entries], deleted, file)
    origins = tuple(source for entry in entries for source in entry.sources)
    return _write_merged(storage, table, file, f"{folder}/{table}.parquet", count, origins=origins)


def merge_tombstones(
    storage: Storage, snapshot: Snapshot, runs: Mapping[str, tuple[RowsEntry, ...]], folder: str
) -> tuple[RowsEntry, ...]:
    """Merge the tombstones that earlier checkpoints' runs still need; this checkpoint's runs lack the deleted rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lamofc_catalog import write_rows

    earlier = {
        (table, origin)
        for table, entries in runs.items()
        for entry in entries
        if not entry.path.startswith(folder)
        for origin, _ in entry.origins
    }
    deleted = _committed_tombstones(storage, snapshot)
    keys = pc.binary_join_element_wise(deleted["table"], deleted["origin"], ".")
    needed = deleted.filter(pc.is_in(keys, pa.array([f"{table}.{origin}" for table, origin in earlier], pa.string())))
    count = needed.num_rows
    if count == 0:
        return ()
    file = storage.scratch_dir() / f"{new_ulid()}.parquet"
    origin = new_ulid()
    with translate_disk_errors(file):
        write_rows("gone", needed, file, origin=origin)
    return (_write_merged(storage, "gone", file, f"{folder}/gone.parquet", count, origins=((origin, count),)),)


def _write_merged(
    storage: Storage, table: str, file: Path, path: str, count: int, *, origins: tuple[tuple[str, int], ...]
) -> RowsEntry:
    data = file.read_bytes()
    entry = RowsEntry(path, table, count, len(data), crc32c(data), origins)
    storage.write(path, file)
    return entry

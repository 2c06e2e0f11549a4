"""Rows between the catalog, which knows local Parquet files, and the store, which knows checked objects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamofc_store.commits.commit import RowsEntry
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore
from lamofc_store.storage import Storage, crc32c, new_ulid, paths

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_CURE = "lamofc verify names all that is damaged; restore the object from a copy"
_CURE_MERGED = "remove the folder checkpoints/: merged rows are made again from the log"


def publish(storage: Storage, table: str, rows: "pa.Table") -> RowsEntry:
    """Write the rows as a new object; no commit names it yet."""
    from lamofc_catalog import write_rows

    origin = new_ulid()
    name = f"{origin}.{table}"
    file = storage.workplace() / f"{name}.parquet"
    write_rows(table, rows, file, origin=origin)
    data = file.read_bytes()
    entry = RowsEntry(name, table, rows.num_rows, len(data), crc32c(data))
    storage.write(entry.path, file)
    return entry


def fetch(storage: Storage, entry: RowsEntry) -> Path:
    """A local file of those rows, its checksum compared when it is first asked for."""
    found = storage.checked.get(entry.path)
    if found is not None:
        return found
    data = check(storage, entry)
    file = storage.local(entry.path)
    if file is None:
        file = storage.copies() / entry.path.replace("/", "-")
        file.write_bytes(data)
    storage.checked[entry.path] = file
    return file


def check(storage: Storage, entry: RowsEntry) -> bytes:
    """The object's bytes; CorruptStore when they are not those that were committed."""
    cure = _CURE_MERGED if entry.is_merged else _CURE
    try:
        data = storage.read(entry.path)
    except FileNotFoundError:
        raise CorruptStore(f"{entry.path} is missing", cure) from None
    if len(data) != entry.bytes or crc32c(data) != entry.crc32c:
        raise CorruptStore(f"{entry.path} is damaged: its checksum is not that of the commit", cure)
    return data


def places(storage: Storage, entry: RowsEntry) -> "NDArray[np.int64]":
    """Record, offset and length of each row of a records object."""
    from lamofc_catalog import read_rows

    columns = ["record", "offset", "length"]
    rows = read_rows("records", fetch(storage, entry), columns)
    return np.column_stack([np.asarray(rows[name].to_numpy(), np.int64) for name in columns])


def files(storage: Storage, snapshot: Snapshot) -> dict[str, list[str]]:
    """Local files of all rows but the positional deletes, for each table in commit order."""
    return {
        table: [str(fetch(storage, entry)) for entry in snapshot.rows(table)]
        for table in paths.TABLES
        if table != "gone"
    }


def gone(storage: Storage, snapshot: Snapshot) -> "pa.Table":
    """Every row that still lies in a file but is no longer part of the state: (table, origin, row)."""
    import pyarrow as pa

    parts = [_forgotten(storage, snapshot)]
    for table, origins in snapshot.dropped.items():
        for entry in snapshot.runs.get(table, ()):
            parts.extend(gone_rows(table, origin, range(count)) for origin, count in entry.origins if origin in origins)
    return pa.concat_tables(parts)


def _forgotten(storage: Storage, snapshot: Snapshot) -> "pa.Table":
    """The deletes that commits name one by one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _gone_schema()
    read = (pq.read_table(fetch(storage, entry), columns=schema.names) for entry in snapshot.rows("gone"))
    return pa.concat_tables([schema.empty_table(), *(part.cast(schema) for part in read)])


def gone_rows(table: str, origin: str, rows: Sequence[int]) -> "pa.Table":
    """Positional deletes of some rows of one rows object."""
    import pyarrow as pa

    count = len(rows)
    return pa.table({"table": [table] * count, "origin": [origin] * count, "row": list(rows)}, schema=_gone_schema())


def _gone_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("table", pa.string()), ("origin", pa.string()), ("row", pa.int64())])


def merge(storage: Storage, table: str, entries: Sequence[RowsEntry], deleted: "pa.Table", folder: str) -> RowsEntry:
    """Merge rows objects into one under a checkpoint's folder, without the rows that are gone."""
    from lamofc_catalog import merge as merge_rows

    file = storage.workplace() / f"{new_ulid()}.parquet"
    count = merge_rows(table, [str(fetch(storage, entry)) for entry in entries], deleted, file)
    origins = tuple(source for entry in entries for source in entry.sources)
    return _published(storage, table, file, count, f"{folder}/{table}.parquet", origins)


def still_needed(
    storage: Storage, snapshot: Snapshot, runs: Mapping[str, tuple[RowsEntry, ...]], folder: str
) -> tuple[RowsEntry, ...]:
    """The deletes that runs of earlier checkpoints still need; the runs made now are without their deleted rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lamofc_catalog import write_rows

    old = {
        (table, origin)
        for table, entries in runs.items()
        for entry in entries
        if not entry.path.startswith(folder)
        for origin, _ in entry.origins
    }
    deleted = _forgotten(storage, snapshot)
    keys = pc.binary_join_element_wise(deleted["table"], deleted["origin"], ".")
    needed = deleted.filter(pc.is_in(keys, pa.array([f"{table}.{origin}" for table, origin in old], pa.string())))
    if needed.num_rows == 0:
        return ()
    file = storage.workplace() / f"{new_ulid()}.parquet"
    origin = new_ulid()
    write_rows("gone", needed, file, origin=origin)
    return (_published(storage, "gone", file, needed.num_rows, f"{folder}/gone.parquet", ((origin, needed.num_rows),)),)


def _published(
    storage: Storage, table: str, file: Path, count: int, path: str, origins: tuple[tuple[str, int], ...]
) -> RowsEntry:
    data = file.read_bytes()
    entry = RowsEntry(path, table, count, len(data), crc32c(data), origins)
    storage.write(path, file)
    return entry

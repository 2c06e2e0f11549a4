"""Merging of many small rows files into one, sorted by sample, with a few blocks of each in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamofc_catalog.columns import common_schema
from lamofc_catalog.errors import CatalogError
from lamofc_catalog.rows import (
    BLOCK_ROWS,
    FOLDED,
    SORTED_TABLES,
    fold_samples,
    order_block,
    sort_by_sample,
    split_blocks,
    writer,
)
from lamofc_catalog.schemas import POSITION, SAMPLES, TABLES, nullable
from lamofc_catalog.stored_form import STORED, STORED_WIDE
from lamofc_catalog.tombstones import Tombstones

_BATCH_ROWS = 65_536


def merge(table: str, paths: Sequence[str], gone: pa.Table, path: str | os.PathLike[str]) -> int:
    """Merge the rows files `paths` of `table`, given in commit order, into `path`; return the number of rows written.

    Rows that `gone` names are left out. Every other row keeps its position, so a delete names it in the same way
    before and after the merge. Rows of one sample in `samples` become one: the last value that is not null wins.
    A few blocks of each file are in memory at a time.
    """
    if not paths:
        raise CatalogError(
            f"no rows files of {table} are given to merge into {Path(path).name}", "name at least one file"
        )
    tombstones = Tombstones(gone, table)
    # Texts that repeat are read as dictionary codes: sorting and taking rows then copies integers.
    texts = [f.name for f in STORED if f.type == pa.string() and f.name != "sample"] if table == "records" else []
    files = [pq.ParquetFile(source, pre_buffer=False, read_dictionary=texts) for source in paths]
    try:
        schema = _schema(table, files)
        count = 0
        with writer(table, schema, path) as file:
            for group in _row_groups(table, files, _dictionary_schema(schema, texts), tombstones):
                # Cast back: a dictionary would be written with all texts that it ever held.
                file.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))
                count += group.num_rows
        return count
    finally:
        for source in files:
            source.close()


def stored_schema(table: str, schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the stored form that holds the rows of files with these `schemas` without loss."""
    if table == "records":
        return STORED_WIDE if any(schema.field("sse").type == pa.float64() for schema in schemas) else STORED
    if table == "samples":
        user = [pa.schema([schema.field(name) for name in user_columns(schema)]) for schema in schemas]
        return nullable(pa.schema([*SAMPLES, *common_schema(user), *POSITION, FOLDED]))
    fixed = TABLES[table]
    return nullable(fixed if table == "gone" else pa.schema([*fixed, *POSITION]))


def user_columns(schema: pa.Schema) -> list[str]:
    """List the user's columns among the stored ones of `samples`."""
    fixed = {*SAMPLES.names, *POSITION.names, FOLDED.name}
    return [name for name in schema.names if name not in fixed]


def _schema(table: str, files: Sequence[pq.ParquetFile]) -> pa.Schema:
    return stored_schema(table, [file.metadata.schema.to_arrow_schema().remove_metadata() for file in files])


def _dictionary_schema(schema: pa.Schema, texts: Sequence[str]) -> pa.Schema:
    codes = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(codes) if field.name in texts else field for field in schema])


def _row_groups(
    table: str, files: Sequence[pq.ParquetFile], schema: pa.Schema, tombstones: Tombstones
) -> Iterator[pa.Table]:
    """Yield the row groups of the merged file."""
    if table not in SORTED_TABLES:
        for file in files:
            for batch in file.iter_batches(_BATCH_ROWS):
                rows = widen_rows(pa.Table.from_batches([batch]), schema)
                yield rows if table == "gone" else tombstones.drop_from(rows)
        return
    pending: list[pa.Table] = []
    for rows in _merge_by_sample(files, schema):
        live = tombstones.drop_from(rows)
        pending.append(fold_samples(live) if table == "samples" else live)
        if sum(part.num_rows for part in pending) >= 2 * BLOCK_ROWS:
            *full, last = split_blocks(pa.concat_tables(pending))
            yield from (order_block(table, block) for block in full)
            pending = [last]
    if pending:
        yield from (order_block(table, block) for block in split_blocks(pa.concat_tables(pending)))


def _merge_by_sample(files: Sequence[pq.ParquetFile], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield all rows sorted by sample, then by file; the rows of a sample come in one table.

    The head of a file is what remains of the block read last. Rows up to the smallest last sample of all heads are
    complete, because no file has a sample in two blocks. Heads that begin after it are not looked at.
    """
    readers = [_sorted_blocks(file, schema) for file in files]
    waiting: list[tuple[bytes, int, pa.Table]] = []
    for number, reader in enumerate(readers):
        _wait(waiting, number, next(reader, None))
    while waiting:
        _, number, head = heappop(waiting)
        heads, limit = {number: head}, _last_sample(head)
        while waiting and waiting[0][0] <= limit:
            _, number, head = heappop(waiting)
            heads[number], limit = head, min(limit, _last_sample(head))
        complete: list[pa.Table] = []
        for number, head in sorted(heads.items()):
            count = _count_up_to(head, limit)
            complete.append(head.slice(0, count))
            _wait(waiting, number, head.slice(count) if count < head.num_rows else next(readers[number], None))
        yield complete[0] if len(complete) == 1 else sort_by_sample(pa.concat_tables(complete).combine_chunks())


def _wait(waiting: list[tuple[bytes, int, pa.Table]], number: int, head: pa.Table | None) -> None:
    """Add the head of a file to those that wait, by its first sample."""
    if head is not None:
        heappush(waiting, (_sample(head, 0), number, head))


def _sorted_blocks(file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        rows = widen_rows(file.read_row_group(group, use_threads=False), schema)
        if rows.num_rows:
            yield sort_by_sample(rows)


def widen_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Cast `rows` to `schema`, a wider stored form; columns that they lack become null."""
    present = set(rows.column_names)
    columns = [
        rows[field.name].cast(field.type) if field.name in present else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _last_sample(rows: pa.Table) -> bytes:
    return _sample(rows, rows.num_rows - 1)


def _sample(rows: pa.Table, row: int) -> bytes:
    return bytes(rows["sample"][row].as_buffer())


def _count_up_to(rows: pa.Table, limit: bytes) -> int:
    """Count the sorted rows whose sample is not above `limit`, compared as bytes."""
    if _last_sample(rows) <= limit:
        return int(rows.num_rows)
    return int(pc.sum(pc.less_equal(rows["sample"].cast(pa.binary()), pa.scalar(limit))).as_py() or 0)

"""Merging of rows files: many small ones become one, in order of sample, without holding more than a few blocks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lamofc_catalog.columns import widen
from lamofc_catalog.errors import CatalogError
from lamofc_catalog.gone import Gone
from lamofc_catalog.packing import PACKED, WIDE
from lamofc_catalog.rows import BLOCK, FOLDED, SORTED, arranged, by_sample, cut, fold, writer
from lamofc_catalog.schemas import POSITION, SAMPLES, TABLES, stored

_BATCH = 65_536


def merge(table: str, paths: Sequence[str], gone: pa.Table, path: str | os.PathLike[str]) -> int:
    """Merge the rows files `paths` of `table`, given in commit order, into `path`; returns the rows kept.

    Gone rows are left out; every other keeps its position, so that deletes made before or after the merge name it
    alike. Rows of one sample in `samples` become one: later values win, absent ones do not. A few blocks of each file
    are in memory at a time.
    """
    if not paths:
        raise CatalogError(f"no rows files of {table} to merge into {Path(path).name}", "name at least one file")
    dead = Gone(gone, table)
    # Texts that repeat are moved about as numbers.
    texts = [
        name for name, kind in zip(PACKED.names, PACKED.types, strict=True) if kind == pa.string() and name != "sample"
    ]
    texts = texts if table == "records" else []
    files = [pq.ParquetFile(source, pre_buffer=False, read_dictionary=texts) for source in paths]
    try:
        schema = _schema(table, files)
        count = 0
        with writer(table, schema, path) as file:
            for group in _groups(table, files, _coded(schema, texts), dead):
                # Cast back, for a dictionary would be written whole, with all that was ever in it.
                file.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))
                count += group.num_rows
        return count
    finally:
        for source in files:
            source.close()


def stored_schema(table: str, schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The stored form that holds the rows of files with these `schemas` without loss."""
    if table == "records":
        return WIDE if any(schema.field("sse").type == pa.float64() for schema in schemas) else PACKED
    if table == "samples":
        own = [pa.schema([f for f in s if f.name not in (*SAMPLES.names, *POSITION.names, "folded")]) for s in schemas]
        return stored(pa.schema([*SAMPLES, *reduce(widen, own, pa.schema([])), *POSITION, FOLDED]))
    fixed = TABLES[table]
    return stored(fixed if table == "gone" else pa.schema([*fixed, *POSITION]))


def _schema(table: str, files: Sequence[pq.ParquetFile]) -> pa.Schema:
    return stored_schema(table, [file.metadata.schema.to_arrow_schema().remove_metadata() for file in files])


def _coded(schema: pa.Schema, texts: Sequence[str]) -> pa.Schema:
    kind = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([field.with_type(kind) if field.name in texts else field for field in schema])


def _groups(table: str, files: Sequence[pq.ParquetFile], schema: pa.Schema, dead: Gone) -> Iterator[pa.Table]:
    """The row groups of the merged file."""
    if table not in SORTED:
        for file in files:
            for batch in file.iter_batches(_BATCH):
                rows = fitted(pa.Table.from_batches([batch]), schema)
                yield rows if table == "gone" else dead.drop_from(rows)
        return
    waiting: list[pa.Table] = []
    for rows in _in_order(files, schema):
        live = dead.drop_from(rows)
        waiting.append(fold(live) if table == "samples" else live)
        if sum(part.num_rows for part in waiting) >= 2 * BLOCK:
            *full, rest = cut(pa.concat_tables(waiting))
            yield from (arranged(table, block) for block in full)
            waiting = [rest]
    if waiting:
        yield from (arranged(table, block) for block in cut(pa.concat_tables(waiting)))


def _in_order(files: Sequence[pq.ParquetFile], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows in order of sample, then of file; every sample's rows come in one table.

    Each file waits with the rest of the block that it has read last. The least of the blocks' greatest samples is the
    mark up to which every row is at hand, for no file has a sample in two blocks.
    """
    readers = [_blocks(file, schema) for file in files]
    heads = {place: head for place, reader in enumerate(readers) if (head := next(reader, None)) is not None}
    while heads:
        mark = min(_last(head) for head in heads.values())
        ready: list[pa.Table] = []
        for place, head in list(heads.items()):
            count = _upto(head, mark)
            ready.append(head.slice(0, count))
            rest = head.slice(count) if count < head.num_rows else next(readers[place], None)
            if rest is None:
                del heads[place]
            else:
                heads[place] = rest
        full = [rows for rows in ready if rows.num_rows]
        yield full[0] if len(full) == 1 else by_sample(pa.concat_tables(full).combine_chunks())


def _blocks(file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        rows = fitted(file.read_row_group(group, use_threads=False), schema)
        if rows.num_rows:
            yield by_sample(rows)


def fitted(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """`rows` with the columns and types of `schema`, a wider stored form; columns that they lack are null."""
    have = set(rows.column_names)
    columns = [
        rows[field.name].cast(field.type) if field.name in have else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _last(rows: pa.Table) -> bytes:
    return bytes(rows["sample"][rows.num_rows - 1].as_buffer())


def _upto(rows: pa.Table, mark: bytes) -> int:
    """How many of the ordered rows have a sample not above `mark`, compared as bytes."""
    if _last(rows) <= mark:
        return int(rows.num_rows)
    return int(pc.sum(pc.less_equal(rows["sample"].cast(pa.binary()), pa.scalar(mark))).as_py() or 0)

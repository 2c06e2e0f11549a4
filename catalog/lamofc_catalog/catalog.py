"""The catalog of one snapshot: SQL over views, and fast lookups of the rows of given samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog import lookup
from lamofc_catalog.database import Database, require_one_statement
from lamofc_catalog.errors import BadQuery, translated
from lamofc_catalog.merging import user_columns, widen_rows
from lamofc_catalog.rows import fold_samples, sort_by_sample
from lamofc_catalog.schemas import POSITION, RECORDS, SAMPLES, TOMBSTONES
from lamofc_catalog.stored_form import STORED_BITS, stored_columns, to_plain
from lamofc_catalog.views import LOCKED_SECONDS, Contents, quote_name

if TYPE_CHECKING:
    import duckdb


class LockedCatalog:
    """The views for people who are not trusted: single SELECT statements; no file, network, extension or setting."""

    def __init__(self, contents: Contents) -> None:
        self._database = Database(contents, locked=True)

    def sql(self, query: str, params: object = None, *, seconds: float | None = None) -> duckdb.DuckDBPyRelation:
        """Return the rows of one SELECT over the views, lazily; raise `BadQuery` for anything else.

        After `seconds`, by default LOCKED_SECONDS, the query is stopped, and the relation gives no more rows.
        """
        import duckdb

        with translated(query):
            statements = self._database.statements(query)
            require_one_statement(query, statements)
            # COPY could overwrite a file that may be read, so the type of the statement is checked as well.
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise BadQuery(
                    f"a locked catalog runs a single SELECT only, not: {query.strip()[:200]}", "write one SELECT"
                )
            return self._database.sql(query, params, LOCKED_SECONDS if seconds is None else seconds)

    def close(self) -> None:
        """Free the database; relations that were not fetched yet are lost."""
        self._database.close()


class Catalog:
    """The rows files of one snapshot as SQL views; safe to use from many threads.

    `files` maps a table to local paths of rows files in commit order. `gone`, `commits` and `profiles` have the schemas
    TABLES["gone"], COMMITS and PROFILES; absent nullable columns are null. `commits` may be a function: the first
    query that reads the log calls it, and so it does `configs`, which gives configurations of profiles, with the schema
    CONFIGS. `columns` is the store-wide schema of the user's sample columns; without it, the
    files determine it.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[str]],
        *,
        gone: pa.Table,
        commits: pa.Table | Callable[[], pa.Table],
        profiles: pa.Table,
        configs: Callable[[], pa.Table] | None = None,
        columns: pa.Schema | None = None,
    ) -> None:
        self._contents = Contents.of(
            files, gone=gone, commits=commits, profiles=profiles, configs=configs, columns=columns
        )
        self._database = Database(self._contents)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the database; relations that were not fetched yet are lost."""
        self._database.close()

    def locked(self) -> LockedCatalog:
        """Return the same views in a database of their own, for SQL from people who are not trusted."""
        return LockedCatalog(self._contents)

    def sql(self, query: str, params: object = None, *, seconds: float | None = None) -> duckdb.DuckDBPyRelation:
        """Return the rows of one statement over the views, lazily; without rows, one row `done = true`.

        With `seconds` the query is stopped after this time, and the relation gives no more rows.
        """
        with translated(query):
            require_one_statement(query, self._database.statements(query))
            return self._database.sql(query, params, seconds)

    def lookup(
        self,
        samples: Sequence[str],
        features: Sequence[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the live record rows of `samples`, with their positions, sorted by sample and feature.

        Samples that the catalog lacks have no rows. `columns` limits the columns that are read, which saves time for
        thousands of samples.
        """
        plain = list(RECORDS.names) if columns is None else _require_record_columns(columns)
        stored = list(dict.fromkeys(["sample", "feature", *stored_columns(plain), *POSITION.names]))
        rows = self._live_rows("records", samples, stored)
        if features is not None:
            rows = rows.filter(pc.is_in(rows["feature"], value_set=pa.array(list(features), pa.string())))
        rows = to_plain(rows.take(pc.sort_indices(rows, [("sample", "ascending"), ("feature", "ascending")])))
        return rows.select([column for column in rows.column_names if column in (*plain, *_KEY_COLUMNS)])

    def attributes(self, samples: Sequence[str]) -> pa.Table:
        """Return the live rows of `samples` in the view samples (structure and the user's columns), by sample."""
        schema = self._contents.schemas["samples"]
        rows = fold_samples(sort_by_sample(self._live_rows("samples", samples, schema.names)))
        return rows.select([*SAMPLES.names, *user_columns(schema)])

    def positions(self, samples: Sequence[str]) -> pa.Table:
        """Return every live position of `samples` in records and samples, as rows of the table `gone`.

        Forgetting the samples takes all of them, those that a merge has folded into one row too: the files from before
        the merge may still be read.
        """
        records = self.lookup(samples, columns=()).select(POSITION.names)
        rows = self._live_rows("samples", samples, self._contents.schemas["samples"].names)
        folded = pa.Table.from_struct_array(rows["folded"].combine_chunks().flatten())
        of_samples = pa.concat_tables([rows.select(POSITION.names), folded.select(POSITION.names).cast(POSITION)])
        return pa.concat_tables([_tombstones("records", records), _tombstones("samples", of_samples)])

    def select(
        self,
        features: Sequence[str],
        where: str | None = None,
        columns: Sequence[str] = (),
        *,
        fields: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the live record rows of `features` with `columns` of their samples, sorted by sample and feature.

        `where` is an SQL predicate over the view samples. `fields` names the record columns to read, by default all;
        sample, feature and the position are always read.
        """
        plain = list(RECORDS.names) if fields is None else _require_record_columns(fields)
        stored = list(dict.fromkeys(["sample", "feature", *stored_columns(plain), *POSITION.names]))
        query = f"SELECT {', '.join(f'r.{quote_name(column)}' for column in stored)}"
        query += "".join(f", s.{quote_name(column)}" for column in columns)
        query += " FROM stored.records AS r"
        if columns:
            query += " LEFT JOIN samples AS s ON r.sample = s.sample"
        query += " WHERE r.feature IN (SELECT unnest($features))"
        if where is not None:
            self._check_predicate(where)
            query += f" AND r.sample IN (SELECT sample FROM samples WHERE (\n{where}\n))"  # noqa: S608
        query += " ORDER BY r.sample, r.feature"
        with translated(query if where is None else where):
            rows = self._database.sql(query, {"features": list(features)}).to_arrow_table()
        plain_rows = to_plain(rows.select(stored), stored_bits=STORED_BITS in plain)
        plain_rows = plain_rows.select([name for name in plain_rows.column_names if name in (*plain, *_KEY_COLUMNS)])
        for column in dict.fromkeys(columns):
            plain_rows = plain_rows.append_column(column, rows[column])
        return plain_rows

    def _live_rows(self, table: str, samples: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Read the live stored rows of `samples` from records or samples, oldest file first."""
        schema = pa.schema([self._contents.schemas[table].field(column) for column in columns])
        blocks = lookup.candidates(self._contents.files[table], samples)
        if len(blocks) > lookup.SCAN_FROM_BLOCKS:
            return widen_rows(self._scan(table, samples, columns), schema)
        parts = lookup.read(blocks, samples, columns, self._contents.tombstones[table])
        return pa.concat_tables([schema.empty_table(), *(widen_rows(part, schema) for part in parts)])

    def _scan(self, table: str, samples: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """Read the same rows by DuckDB."""
        cursor = self._database.connection.cursor()
        cursor.register("wanted_samples", pa.table({"sample": pa.array(sorted(set(samples)), pa.string())}))
        names = ", ".join(quote_name(column) for column in columns)
        query = f"SELECT {names} FROM stored.{table} SEMI JOIN wanted_samples USING (sample)"  # noqa: S608
        params: dict[str, list[str]] = {}
        if table == "samples":
            query += f" ORDER BY list_position($paths, {self._contents.path_column})"
            params["paths"] = [file.path for file in self._contents.files[table]]
        with translated(query):
            try:
                return cursor.sql(query, params=params or None).to_arrow_table()
            finally:
                cursor.close()

    def _check_predicate(self, where: str) -> None:
        query = f"SELECT sample FROM samples WHERE (\n{where}\n)"  # noqa: S608
        with translated(where):
            if not where.strip() or len(self._database.statements(query)) != 1:
                raise BadQuery(f"where = {where!r} is not one predicate", "give a condition over the view samples")
            self._database.sql(query)


_KEY_COLUMNS = ("sample", "feature", *POSITION.names)


def _require_record_columns(columns: Sequence[str]) -> list[str]:
    for column in columns:
        if column not in (*RECORDS.names, *POSITION.names, STORED_BITS):
            raise BadQuery(
                f"records are not stored with a column {column!r}", f"the columns are {', '.join(RECORDS.names)}"
            )
    return list(columns)


def _tombstones(table: str, positions: pa.Table) -> pa.Table:
    return positions.add_column(0, TOMBSTONES.field("table"), pa.repeat(table, positions.num_rows)).cast(TOMBSTONES)

"""The catalog of one snapshot: SQL over views, and the quick ways to the rows of given samples."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from lamofc_catalog import lookup
from lamofc_catalog.errors import BadQuery, translated
from lamofc_catalog.merging import fitted
from lamofc_catalog.packing import STORED_BITS, needed, unpack
from lamofc_catalog.rows import by_sample, fold
from lamofc_catalog.schemas import GONE, POSITION, RECORDS, SAMPLES
from lamofc_catalog.views import Contents, connect, lock, name, own_columns

if TYPE_CHECKING:
    import duckdb


class _Database:
    """A database that is made when it is first asked: lookups need none. Each thread has a cursor of its own.

    A relation reads through the cursor that it came from.
    """

    def __init__(self, contents: Contents, *, locked: bool = False) -> None:
        self._contents = contents
        self._locked = locked
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._local = threading.local()
        _OPENED.add(self)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database, with all views."""
        with self._opening:
            if self._connection is None:
                connection = connect(self._contents)
                if self._locked:
                    lock(connection, self._contents)
                self._connection = connection
            return self._connection

    def mine(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self.connection.cursor()
        return cursor

    def close(self) -> None:
        """Free the database."""
        if self._connection is not None:
            self._connection.close()

    def leave_parent(self) -> None:
        """In a forked child: open anew when asked, and never free what is the parent's.

        DuckDB's threads did not come along. To query through the old connection waits for them for ever, and to free
        it, even when the process ends, crashes.
        """
        for held in (self._connection, getattr(self._local, "cursor", None)):
            if held is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
        self._connection = None
        self._opening = threading.Lock()
        self._local = threading.local()


_OPENED: weakref.WeakSet[_Database] = weakref.WeakSet()


def _leave_parent() -> None:
    for database in list(_OPENED):
        database.leave_parent()


os.register_at_fork(after_in_child=_leave_parent)


class LockedCatalog:
    """The views for people who are not trusted: single SELECT statements, no file, network, extension or setting."""

    def __init__(self, contents: Contents) -> None:
        self._database = _Database(contents, locked=True)

    def sql(self, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
        """The rows of one SELECT over the views; anything else raises `BadQuery`."""
        import duckdb

        with translated(query):
            statements = self._database.mine().extract_statements(query)
            # A file that may be read could be overwritten by COPY, so the kind of statement is checked as well.
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise BadQuery(f"only a single SELECT is run here, not: {query.strip()[:200]}", "ask by one SELECT")
            return self._database.mine().sql(query, params=params)

    def close(self) -> None:
        """Free the database; what relations have not read yet is lost."""
        self._database.close()


class Catalog:
    """The rows files of one snapshot as SQL views, safe to use from many threads.

    `files` maps a table to local paths of rows files in commit order. `gone`, `commits` and `profiles` follow the
    schemas GONE, COMMITS and PROFILES (absent nullable columns are null). `columns` is the store-wide schema of the
    user's sample columns; without it, it is worked out from the files.
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[str]],
        *,
        gone: pa.Table,
        commits: pa.Table,
        profiles: pa.Table,
        columns: pa.Schema | None = None,
    ) -> None:
        self._contents = Contents.of(files, gone=gone, commits=commits, profiles=profiles, columns=columns)
        self._database = _Database(self._contents)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the database; what relations have not read yet is lost."""
        self._database.close()

    def locked(self) -> LockedCatalog:
        """The same views on a connection of their own, for SQL from people who are not trusted."""
        return LockedCatalog(self._contents)

    def sql(self, query: str, params: object = None) -> duckdb.DuckDBPyRelation:
        """The rows of `query` over the views, lazily; a statement that gives no rows gives one row, done = true."""
        with translated(query):
            cursor = self._database.mine()
            relation: duckdb.DuckDBPyRelation | None = cursor.sql(query, params=params)
            return cursor.sql("SELECT true AS done") if relation is None else relation

    def lookup(
        self,
        samples: Sequence[str],
        features: Sequence[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """The live record rows of `samples`, all columns or `columns`, with their positions, by sample and feature.

        Samples that are not there give no rows. Fewer `columns` are read sooner: it matters for thousands of samples.
        """
        plain = list(RECORDS.names) if columns is None else _known(columns)
        stored = list(dict.fromkeys(["sample", "feature", *needed(plain), *POSITION.names]))
        places = lookup.candidates(self._contents.files["records"], samples)
        if len(places) > lookup.MANY:
            rows = self._scan("records", samples, stored)
        else:
            schema = pa.schema([self._contents.schemas["records"].field(column) for column in stored])
            found = lookup.read(places, samples, stored, self._contents.gone["records"])
            rows = pa.concat_tables([schema.empty_table(), *(fitted(part, schema) for part in found)])
        if features is not None:
            rows = rows.filter(pc.is_in(rows["feature"], value_set=pa.array(list(features), pa.string())))
        rows = unpack(rows.take(pc.sort_indices(rows, [("sample", "ascending"), ("feature", "ascending")])))
        return rows.select([column for column in rows.column_names if column in (*plain, *_KEYS)])

    def attributes(self, samples: Sequence[str]) -> pa.Table:
        """The live rows of `samples` in the view samples (structure and the user's columns), by sample."""
        schema = self._contents.schemas["samples"]
        rows = fold(by_sample(self._sample_rows(samples)))
        return rows.select([*SAMPLES.names, *own_columns(schema)])

    def positions(self, samples: Sequence[str]) -> pa.Table:
        """Every live position of `samples` in records and samples (schema GONE): what forgetting them must name.

        A sample's rows that a merge has folded into one are all named, for the files from before may still be read.
        """
        records = self.lookup(samples, columns=()).select(POSITION.names)
        rows = self._sample_rows(samples)
        folded = rows["folded"].combine_chunks().flatten()
        found = pa.concat_tables(
            [rows.select(POSITION.names), pa.Table.from_struct_array(folded).select(POSITION.names).cast(POSITION)]
        )
        return pa.concat_tables([_positions("records", records), _positions("samples", found)])

    def select(
        self,
        features: Sequence[str],
        where: str | None = None,
        columns: Sequence[str] = (),
        *,
        fields: Sequence[str] | None = None,
    ) -> pa.Table:
        """The live record rows of `features`, joined to their sample's `columns`, by sample and feature.

        `where` is an SQL predicate over the view samples. `fields` names the record columns to read (all unless told;
        sample, feature and the position are always there).
        """
        plain = list(RECORDS.names) if fields is None else _known(fields)
        stored = list(dict.fromkeys(["sample", "feature", *needed(plain), *POSITION.names]))
        query = f"SELECT {', '.join(f'r.{name(column)}' for column in stored)}"
        query += "".join(f", s.{name(column)}" for column in columns)
        query += " FROM stored.records AS r"
        if columns:
            query += " LEFT JOIN samples AS s ON r.sample = s.sample"
        query += " WHERE r.feature IN (SELECT unnest($features))"
        if where is not None:
            self._check_predicate(where)
            query += f" AND r.sample IN (SELECT sample FROM samples WHERE (\n{where}\n))"  # noqa: S608
        query += " ORDER BY r.sample, r.feature"
        with translated(query if where is None else where):
            rows = self._database.mine().sql(query, params={"features": list(features)}).to_arrow_table()
        plain_rows = unpack(rows.select(stored), stored_bits=STORED_BITS in plain)
        plain_rows = plain_rows.select([column for column in plain_rows.column_names if column in (*plain, *_KEYS)])
        for column in dict.fromkeys(columns):
            plain_rows = plain_rows.append_column(column, rows[column])
        return plain_rows

    def _sample_rows(self, samples: Sequence[str]) -> pa.Table:
        """The live stored rows of `samples` in the table samples, oldest file first."""
        schema = self._contents.schemas["samples"]
        places = lookup.candidates(self._contents.files["samples"], samples)
        if len(places) > lookup.MANY:
            return fitted(self._scan("samples", samples, schema.names), schema)
        found = lookup.read(places, samples, schema.names, self._contents.gone["samples"])
        return pa.concat_tables([schema.empty_table(), *(fitted(part, schema) for part in found)])

    def _scan(self, table: str, samples: Sequence[str], columns: Sequence[str]) -> pa.Table:
        """The live stored rows of `samples` by DuckDB, oldest file first."""
        cursor = self._database.connection.cursor()
        cursor.register("wanted", pa.table({"sample": pa.array(sorted(set(samples)), pa.string())}))
        listed = ", ".join(name(column) for column in columns)
        query = f"SELECT {listed} FROM stored.{table} SEMI JOIN wanted USING (sample)"  # noqa: S608
        params: dict[str, list[str]] = {}
        if table == "samples":
            query += " ORDER BY list_position($paths, filename)"
            params["paths"] = [file.path for file in self._contents.files[table]]
        with translated(query):
            try:
                return cursor.sql(query, params=params or None).to_arrow_table()
            finally:
                cursor.close()

    def _check_predicate(self, where: str) -> None:
        query = f"SELECT sample FROM samples WHERE (\n{where}\n)"  # noqa: S608
        with translated(where):
            if not where.strip() or len(self._database.mine().extract_statements(query)) != 1:
                raise BadQuery(f"where = {where!r} is not one predicate", "give a condition over the view samples")
            self._database.mine().sql(query)


_KEYS = ("sample", "feature", *POSITION.names)


def _known(columns: Sequence[str]) -> list[str]:
    """`columns`, if records has them all."""
    for column in columns:
        if column not in (*RECORDS.names, *POSITION.names, STORED_BITS):
            raise BadQuery(
                f"records are not stored with a column {column!r}", f"the columns are {', '.join(RECORDS.names)}"
            )
    return list(columns)


def _positions(table: str, rows: pa.Table) -> pa.Table:
    return rows.add_column(0, GONE.field("table"), pa.repeat(table, rows.num_rows)).cast(GONE)

"""The in-memory database of a catalog: one cursor a thread, safe across forks, with log and headers read on demand."""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from lamofc_catalog.errors import BadQuery
from lamofc_catalog.views import TABLES_ON_DEMAND, Contents, create_database, create_on_demand, lock

if TYPE_CHECKING:
    import duckdb


class Database:
    """An in-memory database over `contents`, created at the first query: lookups need none.

    Each thread has its own cursor. A relation reads through the cursor that it came from.
    """

    def __init__(self, contents: Contents, *, locked: bool = False) -> None:
        self._contents = contents
        self._locked = locked
        self._reset()
        _DATABASES.add(self)

    def _reset(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._created = 0
        self._creation = threading.Lock()
        self._local = threading.local()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The database, with all views."""
        with self._creation:
            if self._connection is None:
                connection = create_database(self._contents)
                if self._locked:
                    lock(connection, self._contents)
                self._connection = connection
            return self._connection

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return this thread's cursor."""
        cursor: duckdb.DuckDBPyConnection | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self.connection.cursor()
        return cursor

    def sql(self, query: str, params: object = None, seconds: float | None = None) -> duckdb.DuckDBPyRelation:
        """Return the rows of one statement, lazily. A statement without rows is executed; its row is `done = true`.

        With `seconds` the relation has a cursor of its own, which is stopped after this time.
        """
        if seconds is None:
            return self._sql(self.cursor(), query, params)
        if not isinstance(seconds, int | float) or not seconds > 0:
            raise BadQuery(f"seconds={seconds!r} is no number above 0", "give a limit such as 60")
        cursor = self.connection.cursor()
        clock = threading.Timer(min(seconds, threading.TIMEOUT_MAX), _stop, [cursor])
        clock.daemon = True
        clock.start()
        try:
            relation = self._sql(cursor, query, params)
        except BaseException:
            clock.cancel()
            raise
        weakref.finalize(relation, clock.cancel)
        return relation

    def _sql(self, cursor: duckdb.DuckDBPyConnection, query: str, params: object) -> duckdb.DuckDBPyRelation:
        """Bind a statement, and say so where it has no rows."""
        relation = self._bound(cursor, query, params)
        has_rows = relation is not None and _has_rows(cursor.extract_statements(query)[-1])
        return relation if has_rows else cursor.sql("SELECT true AS done")

    def _bound(self, cursor: duckdb.DuckDBPyConnection, query: str, params: object) -> duckdb.DuckDBPyRelation:
        """Bind a statement.

        The views over tables on demand lack these at first, so DuckDB refuses to bind a query that reads them. One
        table after the other is then created, until the query can be bound. No other query creates them, whatever its
        text, but one that names a table which is nowhere.
        """
        import duckdb

        while True:
            created = self._created
            try:
                return cursor.sql(query, params=params)
            except duckdb.CatalogException:
                if created == len(TABLES_ON_DEMAND):
                    raise
            self._create_next(created)

    def statements(self, query: str) -> list[duckdb.Statement]:
        """Parse `query` and return its statements."""
        if not isinstance(query, str):
            raise BadQuery(f"the query {query!r} is no text", "write a statement, for instance SELECT * FROM features")
        statements: list[duckdb.Statement] = self.cursor().extract_statements(query)
        return statements

    def close(self) -> None:
        """Free the database."""
        if self._connection is not None:
            self._connection.close()

    def reset_after_fork(self) -> None:
        """Forget the parent's database in a forked child. A later query creates a new one.

        DuckDB's threads do not exist in the child: a query through the old connection would wait for them for ever. To
        free the connection would crash, even at the end of the process, so its reference count is raised.
        """
        for inherited in (self._connection, getattr(self._local, "cursor", None)):
            if inherited is not None:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
        self._reset()

    def _create_next(self, created: int) -> None:
        """Create the next table on demand, unless another thread has done so since `created` were there."""
        connection = self.connection
        with self._creation:
            if self._created == created:
                create_on_demand(connection, self._contents, TABLES_ON_DEMAND[created])
                self._created += 1


def _has_rows(statement: duckdb.Statement) -> bool:
    """Whether a statement answers with rows, and not only that it was executed, as CREATE and SET do."""
    import duckdb

    may_have_none = duckdb.ExpectedResultType.NOTHING in statement.expected_result_type
    return not may_have_none or statement.type.name == "MULTI"  # a PIVOT, from DuckDB 2.0 on


def _stop(cursor: duckdb.DuckDBPyConnection) -> None:
    """Interrupt the query of a cursor and close it, so that no more rows are read through it."""
    import duckdb

    while True:
        try:
            cursor.interrupt()
            cursor.close()
        except duckdb.ConnectionException:
            return  # it is closed
        except duckdb.Error:
            time.sleep(0.01)  # it is busy until its query notices the interrupt
        else:
            return


_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()


def _reset_all_after_fork() -> None:
    for database in list(_DATABASES):
        database.reset_after_fork()


os.register_at_fork(after_in_child=_reset_all_after_fork)


def require_one_statement(query: str, statements: list[duckdb.Statement]) -> None:
    """Raise `BadQuery` unless the query holds exactly one statement.

    Before DuckDB 2.0 a PIVOT is parsed into several statements without a text; they count as one.
    """
    texts = [statement.query.strip() for statement in statements]
    count = len([text for text in texts if text]) + ("" in texts)
    if count == 0:
        raise BadQuery(f"the query {query!r} is empty", "write a statement, for instance SELECT * FROM features")
    if count > 1:
        raise BadQuery(
            f"the query holds {count} statements, of which only the last would return rows: {query.strip()[:200]}",
            "run one statement at a time",
        )

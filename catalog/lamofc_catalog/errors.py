"""The errors of this room. DuckDB's errors are translated here and nowhere else.

CatalogError
├── SchemaConflict    a column that does not fit the store-wide schema
└── BadQuery          SQL that DuckDB refuses, or that the caller may not run
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

VIEWS = (
    *("samples", "records", "features", "whole_samples", "totals"),
    *("profiles", "commits", "runs", "metrics", "skipped"),
)


class CatalogError(Exception):
    """A value that the catalog cannot use. The message shows the value; `cure` holds the hint."""

    cure: str
    """A hint of one line: how to avoid the error; "" where there is none."""

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure
        if cure:
            self.add_note(cure)


class SchemaConflict(CatalogError):
    """A column whose name or type does not fit the one schema of the store."""


class BadQuery(CatalogError):
    """A query that cannot be run; the message carries the first line of DuckDB's."""


@contextmanager
def translated(subject: str) -> Iterator[None]:
    """Turn DuckDB's errors inside the block into `BadQuery`, naming `subject`, the query or predicate.

    A relation is lazy: wrap the fetching too where rows are read from one.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        lines = str(error).strip().splitlines()
        first = lines[0] if lines else type(error).__name__
        raise BadQuery(f"{first} (in: {_short(subject)})", _hint(error)) from error


def _short(subject: str) -> str:
    line = " ".join(subject.split())
    return line if len(line) <= 200 else line[:197] + "..."


def _hint(error: Exception) -> str:
    import duckdb

    if isinstance(error, duckdb.PermissionException):
        return "this connection is locked: it reads the views only (" + ", ".join(VIEWS) + ")"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "select fewer rows or columns, or aggregate them; DuckDB's memory_limit bounds what a query may hold"
    if isinstance(error, duckdb.InterruptException | duckdb.ConnectionException):
        return "ask for fewer rows or allow more seconds; a closed catalog is to be opened again"
    if isinstance(error, duckdb.IOException):
        return "the rows files may have been removed meanwhile: refresh the store and ask again"
    return "the views are " + ", ".join(VIEWS) + '; "DESCRIBE records" lists the columns of one'

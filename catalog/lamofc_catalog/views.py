"""The SQL views over the rows files, in one in-memory DuckDB database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from string import Template
from typing import TYPE_CHECKING

import pyarrow as pa

from lamofc_catalog.footers import Footer, footer
from lamofc_catalog.merging import stored_schema, user_columns
from lamofc_catalog.rows import FOLDED
from lamofc_catalog.schemas import COMMITS, CONFIGS, POSITION, PROFILES, SAMPLES, conform
from lamofc_catalog.tombstones import Tombstones

if TYPE_CHECKING:
    import duckdb

FILE_TABLES = ("samples", "records", "runs", "metrics", "skipped")
"""The tables whose rows files the views read."""

TABLES_ON_DEMAND = ("commits", "configs")
"""Tables that are read when a query first needs them: the log, and the headers of profiles. The view `commits` reads
the first, the view `profiles` both."""

LOCKED_MEMORY = "2GiB"
"""Memory that the queries of a locked database may use together; they spill nothing to disk."""
LOCKED_SECONDS = 60.0
"""Time after which a query of a locked database is stopped, unless another is given."""

_IN_ORDER = (
    *("macros", "commits", "profiles", "records", "features", "whole_samples", "totals"),
    *("runs", "metrics", "skipped"),
)
"""Files of `sql/`; a view comes after the macros and views that it names."""


@dataclass(frozen=True)
class Contents:
    """The contents of a catalog: rows files by table in commit order, tombstones, profiles, and the log."""

    files: Mapping[str, tuple[Footer, ...]]
    schemas: Mapping[str, pa.Schema]
    """The stored form over all files of a table, with the store-wide type of each of the user's columns."""
    tombstones: Mapping[str, Tombstones]
    profiles: pa.Table
    commits: Callable[[], pa.Table]
    """The log, read at the first call."""
    configs: Callable[[], pa.Table]
    """Configurations of profiles, read at the first call."""

    @staticmethod
    def of(
        files: Mapping[str, Sequence[str]],
        *,
        gone: pa.Table,
        commits: pa.Table | Callable[[], pa.Table],
        profiles: pa.Table,
        configs: Callable[[], pa.Table] | None,
        columns: pa.Schema | None,
    ) -> Contents:
        """Read the footers of all files, and complete every table and every column of the log's tables."""
        footers = {table: tuple(footer(str(path)) for path in files.get(table, ())) for table in FILE_TABLES}
        schemas = {table: [file.schema for file in footers[table]] for table in FILE_TABLES}
        user = pa.schema([]) if columns is None else columns
        schemas["samples"].insert(0, pa.schema([*SAMPLES, *user, *POSITION, FOLDED]))
        return Contents(
            files=footers,
            schemas={table: stored_schema(table, schemas[table]) for table in FILE_TABLES},
            tombstones={table: Tombstones(gone, table) for table in FILE_TABLES},
            profiles=conform(profiles, PROFILES, "profiles"),
            commits=cache(lambda: conform(commits() if callable(commits) else commits, COMMITS, "commits")),
            configs=cache(lambda: conform(CONFIGS.empty_table() if configs is None else configs(), CONFIGS, "configs")),
        )

    @property
    def path_column(self) -> str:
        """The column of stored.samples that names a row's file. No column of the user has this name."""
        taken = {column.lower() for column in self.schemas["samples"].names}
        name = "filename"
        while name in taken:
            name = f"_{name}"
        return name


def create_database(contents: Contents) -> duckdb.DuckDBPyConnection:
    """Create an in-memory database with all views. It downloads nothing and reads no Python variable.

    The views `commits` and `profiles` exist, but the tables stored.commits and stored.configs do not: queries that read
    these raise `duckdb.CatalogException` until `create_on_demand` has been called.
    """
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("CREATE SCHEMA stored")
    _create_table(connection, "profiles", contents.profiles)
    for table, schema in zip(TABLES_ON_DEMAND, (COMMITS, CONFIGS), strict=True):
        connection.execute(f"CREATE TABLE stored.{table} AS {_no_rows(_sql_types(schema))}")
    for table in FILE_TABLES:
        _create_stored_view(connection, contents, table)
    for view in _IN_ORDER:
        connection.execute(_sql(view))
    _create_samples_view(connection, contents)
    for table in TABLES_ON_DEMAND:
        connection.execute(f"DROP TABLE stored.{table}")
    return connection


def create_on_demand(connection: duckdb.DuckDBPyConnection, contents: Contents, table: str) -> None:
    """Read and create one of the tables on demand."""
    read = {"commits": contents.commits, "configs": contents.configs}
    _create_table(connection, table, read[table]())


def lock(connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    """Restrict the connection to the catalog's rows files and to LOCKED_MEMORY, and freeze its settings."""
    footers = [file for table in FILE_TABLES for file in contents.files[table]]
    paths = [path for file in footers for path in {file.path, _escape_glob(file.path)}]
    connection.execute(f"SET memory_limit = '{LOCKED_MEMORY}'")
    connection.execute("SET temp_directory = ''")
    connection.execute(f"SET allowed_paths = [{', '.join(map(quote_text, paths))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET lock_configuration = true")


def quote_name(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return `text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


@cache
def _sql(view: str) -> str:
    return resources.files("lamofc_catalog").joinpath("sql", f"{view}.sql").read_text(encoding="utf-8")


def _create_table(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("new_rows", rows)
    connection.execute(f"CREATE TABLE stored.{table} AS SELECT * FROM new_rows")  # noqa: S608
    connection.unregister("new_rows")


@lru_cache(maxsize=64)
def _sql_types(schema: pa.Schema) -> dict[str, str]:
    """Return DuckDB's names of Arrow's types, by column."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        connection.register("no_rows", schema.empty_table())
        return {row[0]: row[1] for row in connection.execute("DESCRIBE SELECT * FROM no_rows").fetchall()}


def _no_rows(types: Mapping[str, str]) -> str:
    """Return a SELECT of no rows with columns of these types."""
    columns = [f"CAST(NULL AS {of_column}) AS {quote_name(name)}" for name, of_column in types.items()]
    return f"SELECT {', '.join(columns)} WHERE false"


def _create_stored_view(connection: duckdb.DuckDBPyConnection, contents: Contents, table: str) -> None:
    """Create the view stored.<table>, the live rows of all files.

    Files whose schemas differ are cast one by one: DuckDB by itself would turn numbers of different types into texts or
    into inexact numbers.
    """
    schema = contents.schemas[table]
    types = _sql_types(schema)
    path_column = contents.path_column if table == "samples" else ""
    by_schema: dict[pa.Schema, list[str]] = {}
    for file in contents.files[table]:
        by_schema.setdefault(file.schema, []).append(file.path)
    branches = [_branch(types, schema, of_files, paths, path_column) for of_files, paths in by_schema.items()]
    if not branches:
        branches = [_no_rows({**types, path_column: "VARCHAR"} if path_column else types)]
    tombstones = contents.tombstones[table]
    if len(tombstones):
        _create_table(connection, f"gone_{table}", tombstones.positions)
    without = Template(_sql("gone")).substitute(table=table) if len(tombstones) else ""
    union = "\n    UNION ALL\n    ".join(branches)
    connection.execute(Template(_sql("stored")).substitute(table=table, branches=union, without_gone=without))


def _branch(
    types: Mapping[str, str], schema: pa.Schema, of_files: pa.Schema, paths: Sequence[str], path_column: str
) -> str:
    """Return the SELECT over files of one schema, with the columns and types of `schema`."""
    columns = []
    for field in schema:
        if field.name not in of_files.names:
            columns.append(f"CAST(NULL AS {types[field.name]}) AS {quote_name(field.name)}")
        elif of_files.field(field.name).type == field.type:
            columns.append(quote_name(field.name))
        else:
            columns.append(f"CAST({quote_name(field.name)} AS {types[field.name]}) AS {quote_name(field.name)}")
    options = "hive_partitioning = false, union_by_name = false"
    if path_column:
        columns.append(path_column)
        options += f", filename = '{path_column}'"
    files = ", ".join(quote_text(_escape_glob(path)) for path in paths)
    return f"SELECT {', '.join(columns)} FROM read_parquet([{files}], {options})"  # noqa: S608


def _escape_glob(path: str) -> str:
    """Escape `*`, `?` and `[`, which DuckDB takes for a pattern in a path."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _create_samples_view(connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    names = [quote_name(column) for column in ("structure", *user_columns(contents.schemas["samples"]))]
    columns, grouping = [f"r.{name}" for name in names], ""
    files = contents.files["samples"]
    if ranges_overlap(files):
        order = pa.table({"path": [file.path for file in files], "place": list(range(len(files)))})
        _create_table(connection, "places_of_samples", order)
        columns = [f"arg_max(r.{name}, f.place) AS {name}" for name in names]
        grouping = f"INNER JOIN stored.places_of_samples AS f ON r.{contents.path_column} = f.path\nGROUP BY r.sample"
    connection.execute(Template(_sql("samples")).substitute(columns=",\n    ".join(columns), grouping=grouping))


def ranges_overlap(files: Sequence[Footer]) -> bool:
    """Return whether the ranges of samples of two files overlap, so that one sample may have rows in both."""
    ranges = sorted((file.bounds[0][0], file.bounds[1][-1]) for file in files if file.bounds[0])
    return any(high >= low for (_, high), (low, _) in pairwise(ranges))

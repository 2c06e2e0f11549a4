"""The DuckDB side: one in-memory database whose views lie over the rows files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from string import Template
from typing import TYPE_CHECKING

import pyarrow as pa

from lamofc_catalog.footers import Footer, footer
from lamofc_catalog.gone import Gone
from lamofc_catalog.merging import stored_schema
from lamofc_catalog.rows import FOLDED
from lamofc_catalog.schemas import COMMITS, POSITION, PROFILES, SAMPLES, conform

if TYPE_CHECKING:
    import duckdb

SCANNED = ("samples", "records", "runs", "metrics", "skipped")
"""The tables whose rows files the views read."""

_ORDER = ("macros", "profiles", "commits", "records", "features", "runs", "metrics", "skipped")


@dataclass(frozen=True)
class Contents:
    """What a catalog shows: files by table in commit order, the gone rows, and the two tables of the log."""

    files: Mapping[str, tuple[Footer, ...]]
    schemas: Mapping[str, pa.Schema]
    """The stored form over all files of a table, with the store-wide type of each of the user's columns."""
    gone: Mapping[str, Gone]
    commits: pa.Table
    profiles: pa.Table

    @staticmethod
    def of(
        files: Mapping[str, Sequence[str]],
        *,
        gone: pa.Table,
        commits: pa.Table,
        profiles: pa.Table,
        columns: pa.Schema | None,
    ) -> Contents:
        """Contents with every table present, and all columns of the log's tables."""
        footers = {table: tuple(footer(str(path)) for path in files.get(table, ())) for table in SCANNED}
        kinds = {table: [file.schema for file in footers[table]] for table in SCANNED}
        own = pa.schema([]) if columns is None else columns
        kinds["samples"].insert(0, pa.schema([*SAMPLES, *own, *POSITION, FOLDED]))
        return Contents(
            files=footers,
            schemas={table: stored_schema(table, kinds[table]) for table in SCANNED},
            gone={table: Gone(gone, table) for table in SCANNED},
            commits=conform(commits, COMMITS, "commits"),
            profiles=conform(profiles, PROFILES, "profiles"),
        )


def connect(contents: Contents) -> duckdb.DuckDBPyConnection:
    """A new in-memory database with all views. It downloads nothing and looks at no Python variable."""
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
    _keep(connection, "profiles", contents.profiles)
    _keep(connection, "commits", contents.commits)
    for table in SCANNED:
        _scan(connection, contents, table)
    for name in _ORDER:
        connection.execute(_sql(name))
    _samples(connection, contents)
    return connection


def lock(connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    """From here on the connection reads the catalog's rows files and no others, and its settings stay as they are."""
    paths = [path for table in SCANNED for file in contents.files[table] for path in {file.path, _literal(file.path)}]
    connection.execute(f"SET allowed_paths = [{', '.join(map(text, paths))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET allow_community_extensions = false")
    connection.execute("SET lock_configuration = true")


def name(word: str) -> str:
    """`word` as an SQL name."""
    return '"' + word.replace('"', '""') + '"'


def text(word: str) -> str:
    """`word` as an SQL text."""
    return "'" + word.replace("'", "''") + "'"


def own_columns(schema: pa.Schema) -> list[str]:
    """The user's columns among the stored ones of `samples`."""
    fixed = {*SAMPLES.names, *POSITION.names, FOLDED.name}
    return [field.name for field in schema if field.name not in fixed]


@cache
def _sql(view: str) -> str:
    return resources.files("lamofc_catalog").joinpath("sql", f"{view}.sql").read_text(encoding="utf-8")


def _keep(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    connection.register("given", rows)
    connection.execute(f"CREATE TABLE stored.{table} AS SELECT * FROM given")  # noqa: S608
    connection.unregister("given")


def _types(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> dict[str, str]:
    """DuckDB's own names for Arrow's types, by column."""
    connection.register("given", schema.empty_table())
    described = connection.execute("DESCRIBE SELECT * FROM given").fetchall()
    connection.unregister("given")
    return {row[0]: row[1] for row in described}


def _scan(connection: duckdb.DuckDBPyConnection, contents: Contents, table: str) -> None:
    """Create stored.<table>, the live rows of all files. Files of unlike schemas are cast one by one: left to itself,
    DuckDB would make numbers of unlike types text or inexact."""
    schema = contents.schemas[table]
    types = _types(connection, schema)
    kinds: dict[pa.Schema, list[str]] = {}
    for file in contents.files[table]:
        kinds.setdefault(file.schema, []).append(file.path)
    branches = [_branch(types, schema, kind, paths) for kind, paths in kinds.items()]
    if table == "samples" and meeting(contents.files[table]):
        paths = [file.path for file in contents.files[table]]
        order = pa.table({"filename": paths, "place": list(range(len(paths)))})
        _keep(connection, "places_of_samples", order)
    if not branches:
        _keep(connection, f"empty_{table}", schema.empty_table())
        branches = [f"SELECT *, '' AS filename FROM stored.empty_{table}"]  # noqa: S608
    dead = contents.gone[table]
    if len(dead):
        _keep(connection, f"gone_{table}", dead.positions)
    without = Template(_sql("gone")).substitute(table=table) if len(dead) else ""
    union = "\n    UNION ALL\n    ".join(branches)
    connection.execute(Template(_sql("stored")).substitute(table=table, branches=union, without_gone=without))


def _branch(types: Mapping[str, str], schema: pa.Schema, kind: pa.Schema, paths: Sequence[str]) -> str:
    columns = []
    for field in schema:
        if field.name not in kind.names:
            columns.append(f"CAST(NULL AS {types[field.name]}) AS {name(field.name)}")
        elif kind.field(field.name).type == field.type:
            columns.append(name(field.name))
        else:
            columns.append(f"CAST({name(field.name)} AS {types[field.name]}) AS {name(field.name)}")
    listed = ", ".join(text(_literal(path)) for path in paths)
    options = "hive_partitioning = false, union_by_name = false, filename = true"
    return f"SELECT {', '.join(columns)}, filename FROM read_parquet([{listed}], {options})"  # noqa: S608


def _literal(path: str) -> str:
    """`path` for DuckDB, which takes `*`, `?` and `[` in a path for a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _samples(connection: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    own = own_columns(contents.schemas["samples"])
    names = [name(column) for column in ("structure", *own)]
    grouping = ""
    if meeting(contents.files["samples"]):
        names = [f"arg_max({column}, place) AS {column}" for column in names]
        grouping = "INNER JOIN stored.places_of_samples USING (filename)\nGROUP BY sample"
    connection.execute(Template(_sql("samples")).substitute(columns=",\n    ".join(names), grouping=grouping))


def meeting(files: Sequence[Footer]) -> bool:
    """Whether two files' ranges of samples meet, so that one sample may have rows in both."""
    ranges = sorted((file.bounds[0][0], file.bounds[1][-1]) for file in files if file.bounds[0])
    return any(high >= low for (_, high), (low, _) in pairwise(ranges))

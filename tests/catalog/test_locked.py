"""Queries that a locked catalog runs, and those that it refuses."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lamofc_catalog import BadQuery, LockedCatalog, translated, write_rows
from lamofc_catalog.errors import VIEWS


@pytest.fixture
def rows_file(tmp_path: Path, make_rows: Any) -> Path:
    write_rows("records", make_rows([("a", "f"), ("b", "f")]), tmp_path / "r.parquet", origin="O")
    return tmp_path / "r.parquet"


@pytest.fixture
def locked(rows_file: Path, open_catalog: Any) -> LockedCatalog:
    return open_catalog({"records": [rows_file]}).locked()


def test_all_views_can_be_asked(locked: LockedCatalog) -> None:
    counts = {view: locked.sql(f"SELECT count(*) FROM {view}").fetchall()[0][0] for view in VIEWS}
    assert counts == dict.fromkeys(VIEWS, 0) | {"records": 2, "features": 1, "whole_samples": 2, "totals": 1}
    query = "WITH f AS (SELECT sample FROM records WHERE sample > $low) SELECT * FROM f"
    assert locked.sql(query, {"low": "a"}).fetchall() == [("b",)]
    assert "bpfp" in [row[0] for row in locked.sql("DESCRIBE records").fetchall()]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('{folder}/other.parquet')",
        "SELECT * FROM read_parquet('{folder}/*.parquet')",
        "SELECT * FROM read_parquet('https://example.com/a.parquet')",
        "SELECT * FROM read_parquet('s3://bucket/a.parquet')",
        "COPY (SELECT 1) TO '{folder}/new.csv'",
        "COPY (SELECT 1) TO '{folder}/r.parquet' (FORMAT parquet)",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/new.csv'",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/new.csv''')",
        "WITH x AS (COPY (SELECT 1) TO '{folder}/new.csv') SELECT 1",
        "SELECT 1; COPY (SELECT 1) TO '{folder}/new.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "IMPORT DATABASE '{folder}'",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "CREATE TABLE mine (a INTEGER)",
        "CREATE OR REPLACE VIEW records AS SELECT 1",
        "DROP VIEW records",
        "CREATE SECRET (TYPE s3)",
        "PREPARE p AS SELECT 1",
        "WITH x AS (INSERT INTO stored.commits VALUES (1) RETURNING *) SELECT * FROM x",
        "SELECT * FROM locked",
        "",
    ],
)
def test_all_else_fails(locked: LockedCatalog, rows_file: Path, make_rows: Any, query: str) -> None:
    folder = rows_file.parent
    write_rows("records", make_rows([("c", "f")]), folder / "other.parquet", origin="P")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BadQuery), translated(query):
        locked.sql(query.format(folder=folder)).fetchall()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert locked.sql("SELECT count(*) FROM records").fetchall() == [(2,)]


def test_the_settings_hold_without_our_own_check(locked: LockedCatalog, tmp_path: Path) -> None:
    """DuckDB itself refuses, should a statement ever pass for a SELECT."""
    connection = locked._database.connection
    for query in (
        "SET threads = 1",
        "SET enable_external_access = true",
        f"ATTACH '{tmp_path}/a.db'",
        "INSTALL httpfs",
    ):
        with pytest.raises(BadQuery), translated(query):
            connection.execute(query)
    with pytest.raises(BadQuery), translated("copy"):
        connection.execute(f"COPY (SELECT 1) TO '{tmp_path}/new.csv'")


def test_memory_is_limited(rows_file: Path, open_catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamofc_catalog.views.LOCKED_MEMORY", "20MB")
    locked = open_catalog({"records": [rows_file]}).locked()
    query = "SELECT list(range) FROM range(10000000)"
    with pytest.raises(BadQuery, match="Out of Memory"), translated(query):
        locked.sql(query).fetchall()
    assert locked.sql("SELECT count(*) FROM records").fetchall() == [(2,)]


ENDLESS = "SELECT sum(a.range * b.range) FROM range(1000000000) AS a, range(1000000000) AS b"


def test_time_is_limited(locked: LockedCatalog) -> None:
    with pytest.raises(BadQuery, match="Interrupted") as caught, translated(ENDLESS):
        locked.sql(ENDLESS, seconds=0.05).fetchall()
    assert "more seconds" in caught.value.cure
    assert locked.sql("SELECT count(*) FROM records").fetchall() == [(2,)]


def test_a_query_is_over_when_its_time_is(locked: LockedCatalog) -> None:
    relation = locked.sql("SELECT 1", seconds=0.001)
    time.sleep(0.05)
    with pytest.raises(BadQuery, match="closed") as caught, translated("SELECT 1"):
        relation.fetchall()
    assert "more seconds" in caught.value.cure


def test_no_clock_runs_for_a_relation_that_is_gone(locked: LockedCatalog) -> None:
    before = threading.active_count()
    assert locked.sql("SELECT 1").fetchall() == [(1,)]
    with pytest.raises(BadQuery):
        locked.sql("SELECT nothing")
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() == before


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "1"])
def test_a_limit_is_a_number_of_seconds(locked: LockedCatalog, seconds: Any) -> None:
    with pytest.raises(BadQuery, match=r"seconds=.* is no number above 0"):
        locked.sql("SELECT 1", seconds=seconds)


def test_the_owner_is_not_locked(rows_file: Path, open_catalog: Any, tmp_path: Path) -> None:
    catalog = open_catalog({"records": [rows_file]})
    locked = catalog.locked()
    catalog.sql(f"COPY (SELECT sample FROM records) TO '{tmp_path}/out.csv'")
    assert (tmp_path / "out.csv").read_text().split() == ["sample", "a", "b"]
    locked.close()
    assert catalog.sql("SELECT count(*) FROM records").fetchall() == [(2,)]

"""The views over the log: always there, filled when a query reads them, and by no other query."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lamofc_catalog import BadQuery, Catalog, translated

CONFIGS = pa.table({"profile": ["p"], "config": ["{}"]})
COMMITS = pa.table({"n": [0, 1], "verb": ["create", "ingest"], "profiles": [[], ["p"]]})
PROFILES = pa.table({"profile": ["p", "q"], "bytes": [9, 8]})


class Log:
    """The log of a store, or the headers of its profiles, which counts how often it is read."""

    def __init__(self, rows: pa.Table = COMMITS) -> None:
        self.rows, self.reads = rows, 0

    def __call__(self) -> pa.Table:
        self.reads += 1
        return self.rows


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def headers() -> Log:
    return Log(CONFIGS)


@pytest.fixture
def catalog(open_catalog: Callable[..., Catalog], log: Log, headers: Log) -> Catalog:
    columns = pa.schema([("note", pa.string())])
    return open_catalog({}, commits=log, configs=headers, profiles=PROFILES, columns=columns)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM samples WHERE note = 'committed'",
        "SELECT 'commits' AS commits -- FROM commits",
        "WITH commits AS (SELECT 1 AS n) SELECT * FROM commits",
        "SELECT profile_bytes FROM features",
        "SHOW TABLES",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'commits'",
    ],
)
def test_other_queries_do_not_read_it(catalog: Catalog, log: Log, headers: Log, query: str) -> None:
    for opened in (catalog, catalog.locked()):
        opened.sql(query).fetchall()
    assert log.reads == headers.reads == 0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM commits",
        'SELECT count(*) FROM "commits"',
        "SELECT count(*) FROM Commits",
        "SELECT count(*) FROM main.commits WHERE n >= 0",
        "WITH c AS (SELECT n FROM commits) SELECT count(*) FROM c",
        "SELECT (SELECT count(*) FROM commits)",
        "SELECT count(*) FROM (FROM commits)",
        "SELECT count(*) FROM query('FROM commits')",
        "SELECT count(a.n) FROM commits AS a JOIN commits AS b USING (n)",
    ],
)
def test_a_query_that_reads_it_finds_it(catalog: Catalog, log: Log, headers: Log, query: str) -> None:
    for opened in (catalog, catalog.locked(), catalog):
        assert opened.sql(query).fetchall() == [(2,)]
    assert log.reads == 1 and headers.reads == 0


@pytest.mark.parametrize("before", [[], ["FROM commits"]])
def test_a_query_of_profiles_reads_log_and_headers_once(
    catalog: Catalog, log: Log, headers: Log, before: list[str]
) -> None:
    for query in before:
        catalog.sql(query).fetchall()
    for opened in (catalog, catalog.locked(), catalog):
        found = opened.sql("SELECT p.profile, p.config FROM profiles AS p JOIN commits AS c ON p.commit = c.n")
        assert found.fetchall() == [("p", "{}")]
    assert log.reads == headers.reads == 1


def test_parameters_and_predicates_read_it(catalog: Catalog) -> None:
    assert catalog.sql("SELECT verb FROM commits WHERE n = ?", [1]).fetchall() == [("ingest",)]
    assert catalog.select(["f"], "(SELECT max(n) FROM commits) = 1").num_rows == 0


def test_a_view_of_the_user_reads_it(catalog: Catalog, log: Log) -> None:
    catalog.sql("CREATE VIEW verbs AS SELECT verb FROM commits")
    catalog.sql("CREATE MACRO newest() AS TABLE SELECT max(n) FROM commits")
    assert catalog.sql("SELECT * FROM verbs").fetchall() == [("create",), ("ingest",)]
    assert catalog.sql("FROM newest()").fetchall() == [(1,)]
    assert log.reads == 1


def test_profiles_name_the_commit_that_brought_them(catalog: Catalog) -> None:
    assert catalog.sql('SELECT profile, "commit" FROM profiles ORDER BY 1').fetchall() == [("p", 1), ("q", None)]


def test_profiles_have_configurations_of_their_own_or_given_ones(open_catalog: Callable[..., Catalog]) -> None:
    profiles = pa.table({"profile": ["p", "q", "r"], "config": ["{}", None, None]})
    configs = pa.table({"profile": ["p", "q"], "config": ['{"a": 1}', '{"a": 2}']})
    catalog = open_catalog({}, profiles=profiles, configs=lambda: configs)
    query = "SELECT profile, config FROM profiles ORDER BY 1"
    assert catalog.sql(query).fetchall() == [("p", "{}"), ("q", '{"a": 2}'), ("r", None)]


def test_a_wrong_name_stays_wrong(catalog: Catalog) -> None:
    for _ in range(2):
        with pytest.raises(BadQuery, match="recrods"):
            catalog.sql("SELECT * FROM recrods")


def test_an_error_of_the_log_is_raised_as_it_is(open_catalog: Callable[..., Catalog]) -> None:
    def damaged() -> pa.Table:
        raise LookupError("commit 3 is missing")

    catalog = open_catalog({}, commits=damaged)
    for _ in range(2):
        with pytest.raises(LookupError, match="commit 3"), translated("commits"):
            catalog.sql("SELECT * FROM commits").fetchall()
    assert catalog.sql("SELECT count(*) FROM samples").fetchall() == [(0,)]


def test_a_forked_child_reads_it_again(catalog: Any) -> None:
    assert catalog.sql("SELECT count(*) FROM commits").fetchall() == [(2,)]
    catalog._database.reset_after_fork()
    assert catalog.sql("SELECT count(*) FROM commits").fetchall() == [(2,)]

import math
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from lamofc_catalog import TABLES, BadQuery, CatalogError, translated, write_rows
from lamofc_catalog.errors import VIEWS


def _one(tmp_path: Path, make_rows: Any, open_catalog: Any, keys: list[tuple[str, str]], **columns: Any) -> Any:
    write_rows("records", make_rows(keys, **columns), tmp_path / "r.parquet", origin="O")
    return open_catalog({"records": [tmp_path / "r.parquet"]})


def test_an_empty_store_has_all_views(open_catalog: Any) -> None:
    catalog = open_catalog({})
    for view in VIEWS:
        assert catalog.sql(f"SELECT * FROM {view}").fetchall() == []
    assert catalog.lookup(["a"]).num_rows == 0
    assert catalog.attributes(["a"]).num_rows == 0
    assert catalog.positions(["a"]).num_rows == 0
    assert catalog.select(["f"]).num_rows == 0


def test_figures_of_a_record(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    columns = {
        "dtype": ["float16"],
        "length": pa.array([300], pa.int64()),
        "elements": pa.array([200], pa.int64()),
        "payload_bits": pa.array([2_000], pa.int64()),
        "sum": [400.0],
        "sum_sq": [1024.0],
        "sse": [16.0],
        "signal": [80.0],
        "bulk_sse": [8.0],
    }
    catalog = _one(tmp_path, make_rows, open_catalog, [("a", "f")], **columns)
    query = "SELECT stored_bits, payload_bits, raw_bytes, bpfp, ebpfp, mse, snr_db, snr_total_db FROM records"
    (result,) = catalog.sql(query).fetchall()
    # The spread about the mean is 1024 - 400² / 200 = 224.
    expected = (2_400, 2_000, 400, 12.0, 24.0, 0.08, 10 * math.log10(10), 10 * math.log10(224 / 16))
    assert result == pytest.approx(expected)


@pytest.mark.parametrize(
    ("signal", "noise", "decibels"), [(1.0, 0.0, math.inf), (0.0, 0.0, None), (0.0, 1.0, -math.inf), (8.0, 8.0, 0.0)]
)
def test_ratios_without_noise_or_signal(
    tmp_path: Path, make_rows: Any, open_catalog: Any, signal: float, noise: float, decibels: float | None
) -> None:
    columns = {"signal": [signal], "sse": [noise], "bulk_sse": [noise]}
    catalog = _one(tmp_path, make_rows, open_catalog, [("a", "f")], **columns)
    for view in ("records", "features"):
        assert catalog.sql(f"SELECT snr_db FROM {view}").fetchall() == [(decibels,)]


def test_no_elements_no_ratios(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    nothing = pa.array([0], pa.int64())
    catalog = _one(tmp_path, make_rows, open_catalog, [("a", "f")], elements=nothing)
    for view in ("records", "features"):
        result = catalog.sql(f"SELECT bpfp, ebpfp, mse, snr_total_db, raw_bytes FROM {view}").fetchall()
        assert result == [(None, None, None, None, 0)]


def test_features_are_made_of_sums(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """A small precise record and a large coarse one: means of ratios would differ widely from ratios of sums."""
    columns = {
        "dtype": ["float16", "float32"],
        "codec": ["raw", "klt"],
        "profile": ["p0", "p1"],
        "length": pa.array([100, 1_000], pa.int64()),
        "elements": pa.array([100, 8_000], pa.int64()),
        "payload_bits": pa.array([700, 7_900], pa.int64()),
        "sum": [100.0, -8_000.0],
        "sum_sq": [200.0, 16_000.0],
        "sse": [0.0, 80.0],
        "signal": [100.0, 700.0],
        "bulk_sse": [0.0, 8.0],
        "max_error": [0.0, 0.5],
        "encode_seconds": [0.25, 0.5],
    }
    write_rows("records", make_rows([("a", "f"), ("b", "f")], **columns), tmp_path / "r.parquet", origin="O")
    profiles = pa.table({"profile": ["p0", "p1", "p2"], "bytes": [5, 70, 900], "codec": ["klt", "klt", "raw"]})
    catalog = open_catalog({"records": [tmp_path / "r.parquet"]}, profiles=profiles)
    (result,) = catalog.sql("SELECT * FROM features").to_arrow_table().to_pylist()
    assert (result.pop("feature"), result.pop("codec")) == ("f", "klt,raw")
    assert result == pytest.approx(
        {
            "samples": 2,
            "elements": 8_100,
            "raw_bytes": 200 + 32_000,
            "stored_bytes": 1_100,
            "payload_bits": 8_600,
            "stored_bits": 8_800,
            "bpfp": 8_800 / 8_100,
            "ebpfp": (800 * 2 + 8_000) / 8_100,
            "payload_bpfp": 8_600 / 8_100,
            "payload_ebpfp": (700 * 2 + 7_900) / 8_100,
            "mse": 80 / 8_100,
            "mean_bpfp": (8 + 1) / 2,
            "mean_ebpfp": (16 + 1) / 2,
            "mean_payload_bpfp": (7 + 7_900 / 8_000) / 2,
            "mean_payload_ebpfp": (14 + 7_900 / 8_000) / 2,
            "mean_mse": (0 + 0.01) / 2,
            "snr_db": 20.0,
            "snr_total_db": 10 * math.log10((16_200 - 7_900**2 / 8_100) / 80),
            "max_error": 0.5,
            "profile_bytes": 75,
            "encode_seconds": 0.75,
            "fallbacks": 1,
            "expanded": 0,
        },
        rel=1e-4,
    )


def test_tables_of_the_log(open_catalog: Any) -> None:
    commits = pa.table({"n": [0, 1], "time": ["2026-01-02T03:04:05Z", None], "verb": ["create", "ingest"]})
    profiles = pa.table({"profile": ["ab"], "features": [["f", "g"]], "bytes": [9]})
    catalog = open_catalog({}, commits=commits, profiles=profiles)
    query = "SELECT n, CAST(time AS VARCHAR), verb, writer FROM commits ORDER BY n"
    assert catalog.sql(query).fetchall() == [(0, "2026-01-02 03:04:05", "create", None), (1, None, "ingest", None)]
    assert catalog.sql("SELECT features, bytes, config FROM profiles").fetchall() == [(["f", "g"], 9, None)]


def test_other_tables_are_read(tmp_path: Path, open_catalog: Any) -> None:
    tables = {
        "runs": pa.table({"run": ["r"], "kind": ["bench"], "seconds": [2.5]}),
        "metrics": pa.table({"run": ["r"], "name": ["accuracy"], "value": [0.75]}),
        "skipped": pa.table({"sample": ["a"], "error": ["NonFiniteInput"], "message": ["NaN at 3"]}),
    }
    for table, rows in tables.items():
        write_rows(table, rows, tmp_path / table, origin="O")
    catalog = open_catalog({table: [tmp_path / table] for table in tables})
    assert catalog.sql("SELECT runs.kind, value FROM runs JOIN metrics USING (run)").fetchall() == [("bench", 0.75)]
    assert catalog.sql("SELECT message FROM skipped").fetchall() == [("NaN at 3",)]


def test_paths_are_no_patterns(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    folder = tmp_path / "a[b]*c? it's {d} x=1"
    folder.mkdir()
    write_rows("records", make_rows([("a", "f")]), folder / "r.parquet", origin="O")
    catalog = open_catalog({"records": [folder / "r.parquet"]})
    assert catalog.sql("SELECT sample FROM records").fetchall() == [("a",)]
    assert catalog.locked().sql("SELECT sample FROM records").fetchall() == [("a",)]
    assert catalog.sql("SELECT * FROM records").columns[-2:] == ["origin", "row"]


def test_errors_of_duckdb_are_translated(open_catalog: Any) -> None:
    catalog = open_catalog({})
    with pytest.raises(
        BadQuery, match=r"Table with name recrods does not exist.*\(in: SELECT \* FROM recrods\)"
    ) as caught:
        catalog.sql("SELECT *\n  FROM recrods")
    assert "records" in caught.value.cure
    with pytest.raises(BadQuery, match="syntax error"):
        catalog.sql("SELEC 1")
    with pytest.raises(BadQuery, match="Conversion Error"), translated("a lazy one"):
        catalog.sql("SELECT CAST('x' AS INTEGER)").fetchall()


@pytest.mark.parametrize("query", ["", " ;\n", "-- SELECT 1"])
def test_an_empty_query_is_refused(open_catalog: Any, query: str) -> None:
    catalog = open_catalog({})
    for opened in (catalog, catalog.locked()):
        with pytest.raises(BadQuery, match=r"the query '.*' is empty") as caught:
            opened.sql(query)
        assert "SELECT" in caught.value.cure


def test_several_statements_are_refused(open_catalog: Any) -> None:
    catalog = open_catalog({})
    with pytest.raises(BadQuery, match=r"2 statements.*SELECT 1; SELECT 2"):
        catalog.sql("SELECT 1; SELECT 2")
    assert catalog.sql("SELECT 1;").fetchall() == [(1,)]
    pivoted = "PIVOT (SELECT 1 AS a, 'x' AS b) ON b USING max(a)"
    assert catalog.sql(pivoted).fetchall() == [(1,)]
    with pytest.raises(BadQuery, match="2 statements"):
        catalog.sql(f"{pivoted}; SELECT 1")


def test_too_much_memory_is_answered_by_a_hint(open_catalog: Any) -> None:
    catalog = open_catalog({})
    catalog.sql("SET memory_limit = '20MB'")
    catalog.sql("SET temp_directory = ''")
    with pytest.raises(BadQuery, match="Out of Memory") as caught, translated("a list"):
        catalog.sql("SELECT list(range) FROM range(10000000)").fetchall()
    assert "fewer rows" in caught.value.cure


def test_statements_without_rows_are_done(tmp_path: Path, open_catalog: Any) -> None:
    catalog = open_catalog({})
    for statement in ("CREATE TABLE mine AS SELECT 1 AS a", "CREATE TABLE other (a INT)", "SET threads = 1"):
        done = catalog.sql(statement)
        assert (done.columns, done.fetchall()) == (["done"], [(True,)])
    assert catalog.sql("SELECT a FROM mine").fetchall() == [(1,)]
    assert catalog.sql("PIVOT mine ON a").columns == ["1"]


def test_no_python_variable_is_read(open_catalog: Any) -> None:
    query = pa.table({"a": [1]})
    with pytest.raises(BadQuery, match="query"):
        open_catalog({}).sql("SELECT * FROM query")
    assert query.num_rows == 1


def test_parameters(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    catalog = _one(tmp_path, make_rows, open_catalog, [("a", "f"), ("b", "f")])
    assert catalog.sql("SELECT sample FROM records WHERE sample = ?", ["b"]).fetchall() == [("b",)]
    assert catalog.sql("SELECT sample FROM records WHERE sample = $id", {"id": "a"}).fetchall() == [("a",)]


def test_missing_files_are_named(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    file = tmp_path / "r.parquet"
    with pytest.raises(CatalogError, match=r"r\.parquet cannot be read") as caught:
        open_catalog({"records": [file]})
    assert "refresh" in caught.value.cure
    file.write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(CatalogError, match=r"r\.parquet cannot be read"):
        open_catalog({"records": [file]})
    write_rows("records", make_rows([("a", "f")]), file, origin="O")
    catalog = open_catalog({"records": [file]})
    file.unlink()
    with pytest.raises(CatalogError, match=r"r\.parquet cannot be read"):
        catalog.lookup(["a"])
    with pytest.raises(BadQuery) as asked, translated("records"):
        catalog.sql("SELECT * FROM records").fetchall()
    assert "refresh" in asked.value.cure


def test_many_threads_ask_at_once(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    keys = [(f"{number:03d}", "f") for number in range(500)]
    catalog = _one(tmp_path, make_rows, open_catalog, keys)
    wrong: list[object] = []

    def ask(start: int) -> None:
        for number in range(start, 500, 50):
            sample = f"{number:03d}"
            counted = catalog.sql("SELECT count(*) FROM records WHERE sample >= ?", [sample]).fetchall()
            looked = catalog.lookup([sample])["row"].to_pylist()
            if counted != [(500 - number,)] or looked != [number]:
                wrong.append((sample, counted, looked))

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_nothing_is_downloaded(open_catalog: Any) -> None:
    catalog = open_catalog({})
    settings = dict(
        catalog.sql("SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'").fetchall()
    )
    assert settings == {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def test_a_closed_catalog_answers_no_more(open_catalog: Any) -> None:
    with open_catalog({}) as catalog:
        assert catalog.sql("SELECT 1").fetchall() == [(1,)]
    with pytest.raises(BadQuery), translated("closed"):
        catalog.sql("SELECT 1").fetchall()
    assert issubclass(duckdb.ConnectionException, duckdb.Error)
    assert set(TABLES) - {"gone"} <= set(VIEWS)

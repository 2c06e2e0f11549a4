from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamofc_catalog import TABLES, Catalog, CatalogError, SchemaConflict, merge, read_rows, write_rows
from lamofc_catalog.rows import BLOCK_ROWS
from lamofc_catalog.stored_form import dtype_bits, round_values

ROUNDED = {"sum": 7.7e-6, "sum_sq": 7.7e-6, "sse": 7.7e-6, "signal": 7.7e-6, "bulk_sse": 7.7e-6}
ROUNDED |= {"weighted_sse": 8e-3, "encode_seconds": 2e-3}


def test_rows_come_back(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Through Parquet, lookup and SQL: all columns exact, but for those that are rounded."""
    keys = [(f"sample {number % 40}", f"f{number // 40}") for number in range(120)]
    rows = make_rows(keys)
    size = write_rows("records", rows, tmp_path / "r.parquet", origin="ORIGIN")
    assert size == (tmp_path / "r.parquet").stat().st_size
    catalog: Catalog = open_catalog({"records": [tmp_path / "r.parquet"]})
    names = list(TABLES["records"].names)
    expected = {(row["sample"], row["feature"]): row for row in rows.to_pylist()}
    columns = ", ".join(f'"{name}"' for name in [*names, "origin", "row"])
    for result in (catalog.lookup([sample for sample, _ in keys]), catalog.sql(f"SELECT {columns} FROM records")):
        table = result if isinstance(result, pa.Table) else result.to_arrow_table()
        assert table.num_rows == 120
        for row in table.to_pylist():
            source = expected[row["sample"], row["feature"]]
            assert (row["origin"], row["row"]) == ("ORIGIN", keys.index((row["sample"], row["feature"])))
            for name, value in source.items():
                if name in ROUNDED and value is not None:
                    assert row[name] == pytest.approx(value, rel=ROUNDED[name])
                elif name == "max_error":
                    assert value <= row[name] <= value * 1.008
                else:
                    assert row[name] == value, name


def test_a_file_can_be_read_alone(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    keys = [("b", "f"), ("a", "f")]
    write_rows("records", make_rows(keys), tmp_path / "r.parquet", origin="O")
    looked = open_catalog({"records": [tmp_path / "r.parquet"]}).lookup(["a", "b"])
    assert read_rows("records", tmp_path / "r.parquet").equals(looked)
    names = ["payload_bits", "sample", "record", "origin"]
    assert read_rows("records", tmp_path / "r.parquet", names).equals(looked.select(names))
    write_rows("runs", pa.table({"run": ["r"]}), tmp_path / "runs.parquet", origin="P")
    assert read_rows("runs", tmp_path / "runs.parquet", ["run", "row"]).to_pylist() == [{"run": "r", "row": 0}]


def test_stored_bits_are_read_on_request(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    write_rows("records", make_rows([("a", "f"), ("b", "f")]), tmp_path / "r.parquet", origin="O")
    catalog = open_catalog({"records": [tmp_path / "r.parquet"]})
    result = catalog.select(["f"], fields=["stored_bits", "length"])
    by_sql = catalog.sql("SELECT stored_bits FROM records ORDER BY sample").fetchall()
    assert [(bits,) for bits in result["stored_bits"].to_pylist()] == by_sql
    assert "stored_bits" not in catalog.select(["f"]).column_names


def test_lookup_has_the_plain_schema(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    write_rows("records", make_rows([("a", "f")]), tmp_path / "r.parquet", origin="O")
    result = open_catalog({"records": [tmp_path / "r.parquet"]}).lookup(["a"])
    assert dict(zip(result.schema.names, result.schema.types, strict=True)) == {
        **dict(zip(TABLES["records"].names, TABLES["records"].types, strict=True)),
        "origin": pa.string(),
        "row": pa.int64(),
    }


@pytest.mark.parametrize("places", [7, 16])
def test_rounding_is_as_close_as_promised(places: int) -> None:
    values = np.random.default_rng(0).lognormal(0, 40, 10_000) * np.where(np.arange(10_000) % 2, 1, -1)
    nearest = round_values(values, places, up=False)
    assert np.max(np.abs(nearest / values - 1)) <= 2.0 ** -(places + 1)
    above = round_values(np.abs(values), places, up=True)
    assert np.all(above >= np.abs(values))
    assert np.max(above / np.abs(values) - 1) <= 2.0**-places
    unchanged = np.array([0.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(round_values(unchanged, places, up=True), unchanged)


def test_figures_beyond_float32_are_kept(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """A mask of -3e38 has squares that no float32 holds, and a noise of 1e-50 is not none."""
    large = make_rows([("a", "f")], sum_sq=[1e80], sse=[1e-50], bulk_sse=[1e-50], weighted_sse=[1e60])
    write_rows("records", large, tmp_path / "0.parquet", origin="A")
    write_rows("records", make_rows([("b", "f")], sse=[0.0], bulk_sse=[0.0]), tmp_path / "1.parquet", origin="B")
    catalog = open_catalog({"records": [tmp_path / "1.parquet", tmp_path / "0.parquet"]})
    (first, second) = catalog.lookup(["a", "b"]).to_pylist()
    assert first["sum_sq"] == pytest.approx(1e80, rel=1e-5)
    assert first["sse"] == pytest.approx(1e-50, rel=1e-5)
    assert first["weighted_sse"] == pytest.approx(1e60, rel=8e-3)
    assert second["sse"] == 0
    result = catalog.sql("SELECT sample, sum_sq, isinf(snr_db) FROM records ORDER BY sample").fetchall()
    assert result[0] == ("a", pytest.approx(1e80, rel=1e-5), False)
    assert result[1][2] is True


def test_bits_of_a_shared_record_add_up(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Five features in one record, shared by elements; beside it a record alone, and one without elements."""
    keys = [("a", f"part{part}") for part in range(5)] + [("a", "alone"), ("b", "x"), ("b", "y")]
    rows = make_rows(
        keys,
        record=pa.array([0] * 5 + [1, 2, 2], pa.int32()),
        part=pa.array([0, 1, 2, 3, 4, 0, 0, 1], pa.int16()),
        length=pa.array([1001] * 5 + [77, 50, 50], pa.int64()),
        elements=pa.array([3, 3, 3, 0, 8, 4, 0, 0], pa.int64()),
        payload_bits=pa.array(range(8), pa.int64()),
    )
    write_rows("records", rows, tmp_path / "r.parquet", origin="O")
    catalog = open_catalog({"records": [tmp_path / "r.parquet"]})
    bits = dict(catalog.sql("SELECT feature, stored_bits FROM records").fetchall())
    assert sum(bits[f"part{part}"] for part in range(5)) == 8008
    assert [round(bits[f"part{part}"] / 8008 * 17) for part in range(5)] == [3, 3, 3, 0, 8]
    assert bits["alone"] == 616
    assert bits["x"] + bits["y"] == 400
    result = {row["feature"]: row["payload_bits"] for row in catalog.lookup(["a", "b"]).to_pylist()}
    assert result == {feature: number for number, (_, feature) in enumerate(keys)}


def test_a_sample_lies_in_one_block(tmp_path: Path, make_rows: Any) -> None:
    keys = [(f"{number:05d}", f"f{feature}") for feature in range(3) for number in range(BLOCK_ROWS // 2)]
    write_rows("records", make_rows(keys), tmp_path / "r.parquet", origin="O")
    file = pq.ParquetFile(tmp_path / "r.parquet")
    seen: set[str] = set()
    for group in range(file.num_row_groups):
        names = set(file.read_row_group(group, columns=["sample"])["sample"].to_pylist())
        assert not names & seen
        seen |= names
        assert file.metadata.row_group(group).num_rows <= BLOCK_ROWS
    assert len(seen) == BLOCK_ROWS // 2


def test_empty_tables_are_written(tmp_path: Path, open_catalog: Any) -> None:
    files: dict[str, list[Path]] = {}
    for table, schema in TABLES.items():
        write_rows(table, schema.empty_table(), tmp_path / f"{table}.parquet", origin="O")
        if table != "gone":
            files[table] = [tmp_path / f"{table}.parquet"]
    catalog = open_catalog(files)
    assert [catalog.sql(f"SELECT count(*) FROM {table}").fetchall() for table in files] == [[(0,)]] * len(files)
    assert catalog.lookup(["a"]).num_rows == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_small_commits_cost_at_most_25_bytes_a_row(tmp_path: Path, weighted: bool) -> None:
    from lamofc_tools.benchmarks.synthetic_rows import record_rows, sample_ids

    ids = sample_ids(1_234, 1_000)
    rows, noise = record_rows(ids, 0, np.random.default_rng(0)), np.random.default_rng(1)
    if weighted:  # as records of a target in nats, which is met closely
        rows = rows.append_column("weighted_sse", pa.array(noise.normal(0.99, 0.012, len(rows)) * 60))
        rows = rows.append_column("nats_per_error", pa.array(np.full(len(rows), 0.37 / 1029)))
    assert write_rows("records", rows, tmp_path / "r.parquet", origin="01J8ZZZZZZZZZZZZZZZZZZZZZZ") <= 25 * 10_000


def test_files_from_before_a_column_are_read(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Beside a newer file, too: by lookup, by SQL, and merged."""
    added = ("weighted_layers", "weighted_sse", "nats_per_error", "measured_kl")
    paths = [tmp_path / name for name in ("new.parquet", "old.parquet", "merged.parquet")]
    for path, sample in zip(paths, "ab", strict=False):
        rows = make_rows([(sample, "f")], layers=[[{"bytes": 9, "sse": 2.0}, {"bytes": 9, "sse": 1.0}]])
        write_rows("records", rows, path, origin=sample)
    old = pq.read_table(paths[1])
    pq.write_table(old.drop_columns(list(added)), paths[1])
    merge("records", [str(path) for path in paths[:2]], TABLES["gone"].empty_table(), paths[2])
    assert not set(added) & set(read_rows("records", paths[1], ["sample", "sse"]).column_names)
    for files in (paths[:2], paths[1::-1], paths[2:]):
        catalog = open_catalog({"records": files})
        query = f"SELECT {', '.join(added)}, expected_kl FROM records ORDER BY sample"
        new, before = catalog.sql(query).fetchall()
        assert new == (*(catalog.lookup(["a"])[name][0].as_py() for name in added), new[3])
        assert before == (None,) * 5
        assert catalog.lookup(["b"], columns=added).select(added).to_pylist() == [dict.fromkeys(added)]
    assert open_catalog({"records": paths[1:2]}).select(["f"], fields=added)["weighted_sse"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("float16", 16),
        ("bfloat16", 16),
        ("float8_e4m3fn", 8),
        ("bool", 8),
        ("torch.int64", 64),
        ("odd", None),
        (None, None),
    ],
)
def test_bits_of_a_dtype(dtype: str | None, bits: int | None) -> None:
    assert dtype_bits(dtype) == bits


def test_errors_name_the_column(tmp_path: Path, make_rows: Any) -> None:
    rows = make_rows([("a", "f")])
    file = tmp_path / "r.parquet"
    with pytest.raises(SchemaConflict, match="no column 'colour'"):
        write_rows("records", rows.append_column("colour", pa.array(["red"])), file, origin="O")
    with pytest.raises(SchemaConflict, match="lack the column 'segment'"):
        write_rows("records", rows.drop_columns(["segment"]), file, origin="O")
    with pytest.raises(SchemaConflict, match="'feature' of records holds 1 nulls"):
        write_rows("records", make_rows([("a", "f")], feature=pa.array([None], pa.string())), file, origin="O")
    with pytest.raises(SchemaConflict, match="'length' of records is string, expected int64"):
        write_rows("records", make_rows([("a", "f")], length=pa.array(["long"])), file, origin="O")
    with pytest.raises(SchemaConflict, match="'feature' of records is int64, expected string"):
        write_rows("records", make_rows([("a", "f")], feature=pa.array([5])), file, origin="O")
    with pytest.raises(CatalogError, match="sample id ''"):
        write_rows("records", make_rows([("", "f")]), file, origin="O")
    with pytest.raises(SchemaConflict, match="no table 'words'"):
        write_rows("words", rows, file, origin="O")
    with pytest.raises(SchemaConflict, match="'bpfp'"):
        write_rows("samples", pa.table({"sample": ["a"], "bpfp": [1.0]}), file, origin="O")

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamofc_catalog import TABLES, CatalogError, SchemaConflict, merge, merging, write_rows
from lamofc_catalog.rows import BLOCK_ROWS

NOTHING_GONE = TABLES["gone"].empty_table()


def test_merged_rows_are_the_same_rows(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Files whose samples interleave, and a gone row in each."""
    paths = []
    for part in range(4):
        keys = [
            (f"s{number:03d}", f"f{part}{feature}") for feature in range(3) for number in range(part, 200, part + 1)
        ]
        paths.append(tmp_path / f"{part}.parquet")
        write_rows("records", make_rows(keys, seed=part), paths[-1], origin=f"ORIGIN{part}")
    gone = pa.table({"table": ["records"] * 4, "origin": [f"ORIGIN{part}" for part in range(4)], "row": [7, 0, 50, 3]})
    before = open_catalog({"records": paths}, gone=gone)
    count = merge("records", [str(path) for path in paths], gone, tmp_path / "merged.parquet")
    after = open_catalog({"records": [tmp_path / "merged.parquet"]})
    assert count == before.sql("FROM records").shape[0]
    query = "SELECT * FROM records ORDER BY sample, feature"
    assert after.sql(query).fetchall() == before.sql(query).fetchall()


def test_blocks_of_a_merged_file_do_not_overlap(tmp_path: Path, make_rows: Any) -> None:
    paths = []
    for part in range(5):
        keys = [(f"{(number * 7919 + part) % 99991:05d}", "f") for number in range(6_000)]
        paths.append(str(tmp_path / f"{part}.parquet"))
        write_rows("records", make_rows(list(dict.fromkeys(keys)), seed=part), paths[-1], origin=f"O{part}")
    merge("records", paths, NOTHING_GONE, tmp_path / "m.parquet")
    file = pq.ParquetFile(tmp_path / "m.parquet")
    bounds = []
    for group in range(file.num_row_groups):
        names = file.read_row_group(group, columns=["sample"])["sample"].to_pylist()
        bounds.append((min(names), max(names)))
        assert len(names) <= BLOCK_ROWS
    assert all(high < low for (_, high), (low, _) in pairwise(bounds))
    assert file.num_row_groups == pytest.approx(file.metadata.num_rows / BLOCK_ROWS, abs=2)


def test_samples_fold_and_keep_their_positions(tmp_path: Path, open_catalog: Any) -> None:
    tables = [
        {"sample": ["b", "a"], "structure": ["one", "two"], "label": pa.array([1, 2], pa.int8())},
        {"sample": ["a", "c"], "label": pa.array([None, 300], pa.int16()), "split": ["train", None]},
        {"sample": ["a"], "label": pa.array([-7], pa.int32())},
    ]
    paths = [str(tmp_path / f"{part}.parquet") for part in range(3)]
    for part, columns in enumerate(tables):
        write_rows("samples", pa.table(columns), paths[part], origin=f"O{part}")
    merge("samples", paths[:2], NOTHING_GONE, tmp_path / "m.parquet")
    merge("samples", [str(tmp_path / "m.parquet"), paths[2]], NOTHING_GONE, tmp_path / "mm.parquet")
    expected = [("a", "two", -7, "train"), ("b", "one", 1, None), ("c", None, 300, None)]
    named = {("O0", 1), ("O1", 0), ("O2", 0)}
    for files in (paths, [tmp_path / "m.parquet", paths[2]], [tmp_path / "mm.parquet"]):
        catalog = open_catalog({"samples": files})
        assert catalog.sql("SELECT * FROM samples ORDER BY sample").fetchall() == expected
        assert catalog.sql("SELECT typeof(label) FROM samples LIMIT 1").fetchall() == [("INTEGER",)]
        result = catalog.positions(["a"]).to_pylist()
        assert {(row["origin"], row["row"]) for row in result} == named
        assert {row["table"] for row in result} == {"samples"}
        gone = catalog.positions(["a"])
        assert open_catalog({"samples": files}, gone=gone).sql("SELECT sample FROM samples ORDER BY 1").fetchall() == [
            ("b",),
            ("c",),
        ]


def test_a_row_after_a_delete_lives(tmp_path: Path, open_catalog: Any) -> None:
    """Forget, then ingest again: the old values stay deleted, merged or not."""
    paths = [str(tmp_path / f"{part}.parquet") for part in range(2)]
    write_rows("samples", pa.table({"sample": ["a"], "label": [1], "old": ["x"]}), paths[0], origin="A")
    gone = open_catalog({"samples": paths[:1]}).positions(["a"])
    write_rows("samples", pa.table({"sample": ["a"], "label": [2]}), paths[1], origin="B")
    merge("samples", paths, gone, tmp_path / "m.parquet")
    for files in (paths, [tmp_path / "m.parquet"]):
        assert open_catalog({"samples": files}, gone=gone).sql("SELECT label, old FROM samples").fetchall() == [
            (2, None)
        ]


def test_other_tables_keep_their_order(tmp_path: Path, open_catalog: Any) -> None:
    paths = []
    for part in range(3):
        rows = pa.table(
            {"run": ["r"] * 2, "name": ["loss"] * 2, "value": [2.0 * part, 2.0 * part + 1], "step": [part] * 2}
        )
        paths.append(str(tmp_path / f"{part}.parquet"))
        write_rows("metrics", rows, paths[-1], origin=f"O{part}")
    gone = pa.table({"table": ["metrics"], "origin": ["O1"], "row": [0]})
    assert merge("metrics", paths, gone, tmp_path / "m.parquet") == 5
    catalog = open_catalog({"metrics": [tmp_path / "m.parquet"]})
    values = catalog.sql("SELECT value FROM metrics").fetchall()
    assert values == [(0.0,), (1.0,), (3.0,), (4.0,), (5.0,)]


def test_all_gone_is_an_empty_file(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    write_rows("records", make_rows([("a", "f")]), tmp_path / "0.parquet", origin="O")
    gone = pa.table({"table": ["records"], "origin": ["O"], "row": [0]})
    assert merge("records", [str(tmp_path / "0.parquet")], gone, tmp_path / "m.parquet") == 0
    assert open_catalog({"records": [tmp_path / "m.parquet"]}).lookup(["a"]).num_rows == 0


def test_files_that_do_not_merge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no rows files of records"):
        merge("records", [], NOTHING_GONE, tmp_path / "m.parquet")
    paths = [str(tmp_path / "0.parquet"), str(tmp_path / "1.parquet")]
    write_rows("samples", pa.table({"sample": ["a"], "label": [1]}), paths[0], origin="A")
    write_rows("samples", pa.table({"sample": ["a"], "label": ["one"]}), paths[1], origin="B")
    with pytest.raises(SchemaConflict, match="'label' is int64 in the store and string"):
        merge("samples", paths, NOTHING_GONE, tmp_path / "m.parquet")


def test_files_of_other_samples_are_not_looked_at(
    tmp_path: Path, make_rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As commits that each add the next samples; the time of a merge must not grow with the square of their number."""
    paths = []
    for part in (3, 0, 4, 1, 2, *range(5, 30)):
        keys = [(f"s{part:02d}{number:03d}", "f") for number in range(50)]
        paths.append(str(tmp_path / f"{part}.parquet"))
        write_rows("records", make_rows(keys, seed=part), paths[-1], origin=f"O{part}")
    looked: list[int] = []
    count = merging._count_up_to
    monkeypatch.setattr(merging, "_count_up_to", lambda rows, limit: looked.append(1) or count(rows, limit))
    assert merge("records", paths, NOTHING_GONE, tmp_path / "m.parquet") == 1500
    assert len(looked) == 30
    samples = pq.read_table(tmp_path / "m.parquet")["sample"].to_pylist()
    assert samples == sorted(samples)

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lamofc_catalog import TABLES, BadQuery, lookup, merge, write_rows
from lamofc_catalog.footers import footer

ODD = [
    "a", "A", "a ", " a", "a\n", "a\x00b", "'", '"', "%", "*", "ä", "á", "ß", "中文", "😀", "\uffff", "\U0010ffff",
    "x" * 70, "x" * 64, "x" * 5000, "x" * 4999 + "y", "é" * 40, "\x7f", "\x80", "null", "NULL", "0", "00",
]  # fmt: skip


def _keys(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["sample"].to_pylist(), rows["feature"].to_pylist(), strict=True))


def test_any_text_is_an_id(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Each odd id alone and all together, in one file and in one file each, merged and not."""
    rng = np.random.default_rng(0)
    write_rows("records", make_rows([(name, "f") for name in ODD]), tmp_path / "all", origin="ALL")
    single = []
    for number in rng.permutation(len(ODD)):
        single.append(tmp_path / str(number))
        write_rows("records", make_rows([(ODD[number], "f")]), single[-1], origin=f"O{number}")
    merge("records", [str(path) for path in single], TABLES["gone"].empty_table(), tmp_path / "merged")
    for files in ([tmp_path / "all"], single, [tmp_path / "merged"]):
        catalog = open_catalog({"records": files})
        for name in ODD:
            assert _keys(catalog.lookup([name])) == [(name, "f")]
        in_order = sorted(ODD, key=str.encode)
        assert _keys(catalog.lookup(ODD)) == [(name, "f") for name in in_order]
        assert catalog.lookup(["b", "ÄÄ", "x" * 71, "\u0000", "\U0010ffff!"]).num_rows == 0


def test_ids_in_many_blocks(tmp_path: Path, make_rows: Any, open_catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of a few rows every path is taken: bounds, hashes, and DuckDB for many blocks."""
    monkeypatch.setattr("lamofc_catalog.rows.BLOCK_ROWS", 10)
    keys = [(f"{number * 7919 % 1009:04d}" + "é" * (number % 3), f"f{number % 2}") for number in range(1_000)]
    for part in range(4):
        write_rows("records", make_rows(keys[part::4], seed=part), tmp_path / str(part), origin=f"O{part}")
    files = [tmp_path / str(part) for part in range(4)]
    gone = pa.table({"table": ["records"] * 3, "origin": ["O0", "O0", "O3"], "row": [0, 1, 9]})
    deleted = {keys[0], keys[4], keys[39]}
    live = sorted(set(keys) - deleted, key=lambda key: (key[0].encode(), key[1].encode()))
    catalog = open_catalog({"records": files}, gone=gone)
    assert len(footer(str(files[0])).bounds[0]) > 20
    for limit in (0, 10_000):
        monkeypatch.setattr(lookup, "SCAN_FROM_BLOCKS", limit)
        assert _keys(catalog.lookup([sample for sample, _ in keys])) == live
        for sample, _ in keys[::97]:
            assert _keys(catalog.lookup([sample])) == [key for key in live if key[0] == sample]
        assert catalog.lookup(["none", ""]).num_rows == 0


def test_features_and_columns_are_chosen(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    keys = [(sample, feature) for feature in ("g", "f", "h") for sample in ("b", "a")]
    write_rows("records", make_rows(keys), tmp_path / "r", origin="O")
    catalog = open_catalog({"records": [tmp_path / "r"]})
    assert _keys(catalog.lookup(["b", "a", "b"], ["h", "f", "none"])) == [
        ("a", "f"),
        ("a", "h"),
        ("b", "f"),
        ("b", "h"),
    ]
    assert catalog.lookup(["a"], []).num_rows == 0
    assert catalog.lookup([]).num_rows == 0
    full = catalog.lookup(["a", "b"])
    for columns in (["offset", "length"], ["payload_bits"], ["bulk_sse", "shape"], []):
        result = catalog.lookup(["a", "b"], columns=columns)
        assert set(result.column_names) == {"sample", "feature", "origin", "row", *columns}
        assert result.equals(full.select(result.column_names))
    with pytest.raises(BadQuery, match="'bpfp'"):
        catalog.lookup(["a"], columns=["bpfp"])


def test_select_joins_and_filters(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    keys = [(f"s{number:02d}", feature) for number in range(20) for feature in ("f", "g")]
    write_rows("records", make_rows(keys), tmp_path / "r", origin="O")
    samples = {"sample": [f"s{number:02d}" for number in range(20)], "label": list(range(20)), "split": ["a", "b"] * 10}
    write_rows("samples", pa.table(samples), tmp_path / "s", origin="O")
    catalog = open_catalog({"records": [tmp_path / "r"], "samples": [tmp_path / "s"]})
    result = catalog.select(["g"], "split = 'b' AND label < 6 -- the first three", ["label", "split"])
    assert _keys(result) == [("s01", "g"), ("s03", "g"), ("s05", "g")]
    assert result["label"].to_pylist() == [1, 3, 5]
    assert result.column_names == [*TABLES["records"].names, "origin", "row", "label", "split"]
    all_rows = catalog.select(["g", "f"])
    assert _keys(all_rows) == keys
    assert all_rows.equals(catalog.lookup([sample for sample, _ in keys]))
    assert catalog.select(["f"], fields=["length"]).column_names == ["sample", "feature", "length", "origin", "row"]


@pytest.mark.parametrize("where", ["colour = 'red'", "label <", "label = 1; DROP TABLE x", "label = 1) OR (", ""])
def test_a_bad_predicate_is_named(open_catalog: Any, where: str) -> None:
    catalog = open_catalog({}, columns=pa.schema([("label", pa.int64())]))
    if where.endswith("OR ("):
        where = "label = 1) OR (nope"
    with pytest.raises(BadQuery, match=r"in: |not one predicate") as caught:
        catalog.select(["f"], where)
    assert where in str(caught.value)
    assert "samples" in caught.value.cure


def test_attributes_and_unknown_columns(tmp_path: Path, open_catalog: Any) -> None:
    write_rows("samples", pa.table({"sample": ["b", "a"], "label": [1, 2]}), tmp_path / "s", origin="O")
    catalog = open_catalog({"samples": [tmp_path / "s"]})
    assert catalog.attributes(["a", "c"]).to_pylist() == [{"sample": "a", "structure": None, "label": 2}]
    with pytest.raises(BadQuery, match="colour"):
        catalog.select(["f"], columns=["colour"])

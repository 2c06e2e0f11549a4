"""Parquet tables of embeddings, and tables of attributes beside the features."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.testing import assert_close

from lamofc_store import sources
from lamofc_store.errors import NotFound, SourceError

Refused = Callable[..., SourceError]


def embeddings(path: Path, first: int, rows: int = 10) -> pa.Table:
    values = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + first
    table = pa.table(
        {
            "id": pa.array([f"s{first + row}" for row in range(rows)]),
            "fixed": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 3),
            "ragged": pa.array([[float(row)] * (row % 3) for row in range(rows)], pa.list_(pa.float64())),
            "matrix": pa.array([[[row, 1], [2, 3], [4, 5]] for row in range(rows)], pa.list_(pa.list_(pa.int16()))),
            "label": pa.array(range(rows), pa.int32()),
            "day": pa.array([None, *range(rows - 1)], pa.date32()),
            "kind": pa.array(["a"] * rows).dictionary_encode(),
            "odd": pa.array([{"x": 1}] * rows),
        }
    )
    pq.write_table(table, path, row_group_size=4)
    return table


def test_parquet_of_embeddings(tmp_path: Path) -> None:
    embeddings(tmp_path / "a.parquet", 0)
    embeddings(tmp_path / "b.parquet", 100)
    source = sources.open(tmp_path)
    assert len(source) == 20
    assert "left out: odd" in source.describe()
    samples = list(source)
    assert [sample.id for sample in samples] == [f"s{n}" for n in (*range(10), *range(100, 110))]
    sample = samples[15]
    expected = {
        "fixed": torch.tensor([115.0, 116.0, 117.0]),
        "ragged": torch.tensor([5.0, 5.0], dtype=torch.float64),
        "matrix": torch.tensor([[5, 1], [2, 3], [4, 5]], dtype=torch.int16),
    }
    assert_close(dict(sample.features), expected, rtol=0, atol=0)
    assert samples[0].features["ragged"].shape == (0,)
    assert sample.attributes == {"label": 5, "day": "1970-01-05", "kind": "a"}
    assert samples[0].attributes["day"] is None


def test_parquet_is_read_group_by_group(tmp_path: Path) -> None:
    """Damage in the last group does not keep the first from being read."""
    path = tmp_path / "a.parquet"
    embeddings(path, 0, 400)
    source = iter(sources.open(path))
    assert next(source).id == "s0"
    metadata = pq.ParquetFile(path).metadata.row_group(99).column(1)
    with path.open("r+b") as file:
        file.seek(metadata.data_page_offset)
        file.write(b"\xff" * 30)
    with pytest.raises(SourceError, match=r"a\.parquet .* is no readable \.parquet file"):
        list(source)


def test_wrong_parquet(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "a.parquet"
    vectors = pa.array([[1.0], [2.0]])
    pq.write_table(pa.table({"key": ["a", "b"], "x": vectors}), path)
    refused(path, "no column 'sample or id' of sample ids; it has key, x")
    assert [sample.id for sample in sources.open(path, id_column="key")] == ["a", "b"]
    pq.write_table(pa.table({"id": ["a", "a"], "x": vectors}), path)
    refused(path, "the id 'a' stands in several rows")
    pq.write_table(pa.table({"id": ["a", None], "x": vectors}), path)
    refused(path, "1 rows have no 'id'")
    pq.write_table(pa.table({"id": ["a", "b"], "x": ["no", "list"]}), path)
    refused(path, "no list column of numbers")
    pq.write_table(pa.table({"id": ["a", "b"], "x": pa.array([[1.0], [None]])}), path)
    refused(path, "1 empty values")
    pq.write_table(pa.table({"id": ["a", "b"], "x": pa.array([[[1.0]], [[1.0], [2.0, 3.0]]])}), path)
    refused(path, "lists of lengths [1, 2]")


def test_absent_parquet_list_is_an_absent_feature(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"id": ["a", "b"], "x": pa.array([[1.0], None]), "y": pa.array([[1], [2]])}), tmp_path / "a.parquet"
    )
    assert [list(sample.features) for sample in sources.open(tmp_path)] == [["x", "y"], ["y"]]


def test_tables_of_attributes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sample,label\n007,1\n8,2\n")
    assert sources.read_table(path).to_pydict() == {"sample": ["007", "8"], "label": [1, 2]}
    pq.write_table(pa.table({"sample": [7, 8], "split": ["x", "y"]}), tmp_path / "t.parquet")
    assert sources.read_table(tmp_path / "t.parquet").column("sample").to_pylist() == ["7", "8"]
    path.write_text("sample,label\na,1\na,2\n")
    with pytest.raises(SourceError, match="'a' stands twice"):
        sources.read_table(path)
    path.write_text("id,label\na,1\n")
    with pytest.raises(SourceError, match="no column 'sample'; it has id, label"):
        sources.read_table(path)
    path.write_text("sample,label\na\n")
    with pytest.raises(SourceError, match=r"is no readable \.csv table"):
        sources.read_table(path)
    with pytest.raises(NotFound, match="is no file"):
        sources.read_table(tmp_path / "absent.csv")

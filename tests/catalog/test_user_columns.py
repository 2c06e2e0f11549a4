"""The user's columns in the view samples: any name that is free, any flat type, one type in the whole store."""

from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lamofc_catalog import write_rows


def test_types_of_user_columns_hold_store_wide(tmp_path: Path, open_catalog: Any) -> None:
    """Left to itself, DuckDB reads int32 and float32 files as float32, and 2^24 + 1 is lost."""
    write_rows(
        "samples", pa.table({"sample": ["a"], "size": pa.array([2**24 + 1], pa.int32())}), tmp_path / "0", origin="A"
    )
    write_rows(
        "samples", pa.table({"sample": ["b"], "size": pa.array([0.5], pa.float32())}), tmp_path / "1", origin="B"
    )
    columns = pa.schema([("size", pa.float64()), ("Später", pa.string())])
    for schema in (columns, None):
        catalog = open_catalog({"samples": [tmp_path / "0", tmp_path / "1"]}, columns=schema)
        result = catalog.sql("SELECT size, typeof(size) FROM samples ORDER BY sample").fetchall()
        assert result == [(2.0**24 + 1, "DOUBLE"), (0.5, "DOUBLE")]
    assert open_catalog({}, columns=columns).sql("FROM samples").columns == ["sample", "structure", "size", "Später"]


@pytest.mark.parametrize(
    "name", ["rowid", "filename", "FileName", "_filename", "path", "place", "r", "select", "*", 'a"b']
)
def test_any_other_name_is_a_column(tmp_path: Path, open_catalog: Any, name: str) -> None:
    """Files whose samples overlap are joined and grouped, which adds names of its own."""
    files = [tmp_path / "0", tmp_path / "1", tmp_path / "2"]
    for number, path in enumerate(files):
        write_rows("samples", pa.table({"sample": ["a", "c"], name: [number, -number]}), path, origin=f"O{number}")
    quoted = '"' + name.replace('"', '""') + '"'
    for chosen in (files[:1], files):
        catalog = open_catalog({"samples": chosen})
        result = catalog.sql(f"SELECT {quoted} FROM samples WHERE {quoted} >= 0 ORDER BY sample").fetchall()
        assert result[0] == (len(chosen) - 1,)
        assert catalog.sql("SELECT * FROM samples").columns == ["sample", "structure", name]
        assert catalog.attributes(["a"])[name].to_pylist() == [len(chosen) - 1]
        assert catalog.select(["f"], f"{quoted} = 1", [name]).num_rows == 0


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (pa.bool_(), True),
        (pa.uint64(), 2**63 - 1),
        (pa.float32(), 0.5),
        (pa.float16(), 0.5),
        (pa.string(), "x"),
        (pa.large_string(), "x"),
        (pa.dictionary(pa.int8(), pa.string()), "x"),
        (pa.binary(), b"\x00\xff"),
        (pa.binary(2), b"\x00\xff"),
        (pa.date32(), date(2026, 1, 2)),
        (pa.date64(), date(2026, 1, 2)),
        (pa.time32("s"), time(1, 2, 3)),
        (pa.time64("us"), time(1, 2, 3, 4)),
        (pa.timestamp("s"), datetime(2026, 1, 2, 3)),
        (pa.timestamp("us"), datetime(2026, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_every_flat_type_is_read(tmp_path: Path, open_catalog: Any, type_: pa.DataType, value: Any) -> None:
    """By views and lookups, from a file alone and from files that are joined."""
    for number, name in enumerate(("0", "1")):
        rows = pa.table({"sample": ["a", "b"], "value": pa.array([value, None]).cast(type_)})
        write_rows("samples", rows, tmp_path / name, origin=f"O{number}")
    for chosen in (["0"], ["0", "1"]):
        catalog = open_catalog({"samples": [tmp_path / name for name in chosen]})
        assert catalog.sql("SELECT value FROM samples ORDER BY sample").fetchall() == [(value,), (None,)]
        assert catalog.attributes(["a"])["value"].to_pylist() == [value]


def test_times_with_a_zone_are_stored_in_utc(tmp_path: Path, open_catalog: Any) -> None:
    when = datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    rows = pa.table({"sample": ["a"], "taken": pa.array([when], pa.timestamp("us", "Europe/Berlin"))})
    write_rows("samples", rows, tmp_path / "0", origin="O")
    catalog = open_catalog({"samples": [tmp_path / "0"]})
    assert catalog.sql("SELECT CAST(taken AS VARCHAR) FROM samples").fetchall() == [("2026-07-01 10:00:00",)]


def test_half_floats_are_read(tmp_path: Path, open_catalog: Any) -> None:
    """DuckDB has no type for them; a store whose columns name it is read as well."""
    rows = pa.table({"sample": ["a"], "score": pa.array([0.5], pa.float16())})
    write_rows("samples", rows, tmp_path / "0", origin="A")
    for columns in (None, pa.schema([("score", pa.float16())])):
        catalog = open_catalog({"samples": [tmp_path / "0"]}, columns=columns)
        assert catalog.sql("SELECT score, typeof(score) FROM samples").fetchall() == [(0.5, "FLOAT")]

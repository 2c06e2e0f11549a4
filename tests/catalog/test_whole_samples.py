"""Whole samples and totals, against sums and means of the rows that were written."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lamofc_catalog import write_rows

SUMS = (
    *("features", "elements", "source_bits", "stored_bits", "stored_32", "payload_bits", "payload_32"),
    *("sse", "fallbacks", "expanded"),
)
RATIOS = ("bpfp", "ebpfp", "payload_bpfp", "payload_ebpfp", "mse")


def _ratios(sums: dict[str, Any]) -> dict[str, float]:
    """The columns of a view from sums over rows."""
    kept = {
        name: value for name, value in sums.items() if name not in ("source_bits", "stored_32", "payload_32", "sse")
    }
    parts = ("stored_bits", "stored_32", "payload_bits", "payload_32", "sse")
    ratios = {name: sums[part] / sums["elements"] for name, part in zip(RATIOS, parts, strict=True)}
    return {**kept, **ratios, "raw_bytes": sums["source_bits"] // 8}


def test_whole_samples_are_sums_over_features(tmp_path: Path, make_rows: Any, open_catalog: Any) -> None:
    """Figures of samples, and of all of them, against sums and means of the rows that were written."""
    keys = [(sample, feature) for sample in "abcd" for feature in ("f", "g", "h") if (sample, feature) != ("c", "g")]
    rows = make_rows(keys, seed=3, codec=["raw" if "b" in key or "h" in key else "klt" for key in keys])
    write_rows("records", rows, tmp_path / "r.parquet", origin="O")
    profiles = pa.table({"profile": [f"profile of {name}" for name in "fgh"], "codec": ["klt", "klt", "raw"]})
    catalog = open_catalog({"records": [tmp_path / "r.parquet"]}, profiles=profiles)
    source_bits = {"float16": 16, "bfloat16": 16, "float32": 32}
    expected: dict[str, dict[str, Any]] = {}
    for row in rows.to_pylist():
        own = expected.setdefault(row["sample"], dict.fromkeys(SUMS, 0.0))
        bits, width = 8 * row["length"], source_bits[row["dtype"]]
        values = (1, row["elements"], row["elements"] * width, bits, bits * 32 / width, row["payload_bits"])
        fallback = row["codec"] != ("raw" if row["feature"] == "h" else "klt")
        more = (row["payload_bits"] * 32 / width, row["sse"], fallback, bits > row["elements"] * width)
        for name, value in zip(SUMS, (*values, *more), strict=True):
            own[name] += value
    found = catalog.sql("SELECT * FROM whole_samples ORDER BY sample").to_arrow_table().to_pylist()
    assert [row.pop("sample") for row in found] == list("abcd")
    for row, own in zip(found, expected.values(), strict=True):
        assert row == pytest.approx(_ratios(own), rel=1e-4)
    (totals,) = catalog.sql("SELECT * FROM totals").to_arrow_table().to_pylist()
    pooled = {name: sum(own[name] for own in expected.values()) for name in SUMS}
    means = {f"mean_{name}": sum(_ratios(own)[name] for own in expected.values()) / 4 for name in RATIOS}
    stored = {"samples": 4, "stored_bytes": pooled["stored_bits"] // 8}
    del pooled["features"]
    assert totals == pytest.approx({**_ratios(pooled), **means, **stored}, rel=1e-4)
    assert totals["fallbacks"] == 2
    assert totals["mean_bpfp"] != pytest.approx(totals["bpfp"], rel=1e-2)

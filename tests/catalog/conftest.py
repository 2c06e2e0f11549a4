"""Rows to try the catalog on: small, but with every column and with values that cannot be guessed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lamofc_catalog import TABLES, Catalog

MakeRows = Callable[..., pa.Table]
OpenCatalog = Callable[..., Catalog]

NO_COMMITS = pa.table({"n": pa.array([], pa.int64())})
NO_PROFILES = pa.table({"profile": pa.array([], pa.string())})


def _rows(keys: Sequence[tuple[str, str]], seed: int = 0, **fixed: Any) -> pa.Table:
    """One row of the table records for each (sample, feature), end to end in one segment; `fixed` overrides columns."""
    rng = np.random.default_rng(seed)
    count = len(keys)
    length = rng.integers(900, 1100, count)
    sse = rng.lognormal(0, 3, count)
    columns: dict[str, Any] = {
        "sample": pa.array([sample for sample, _ in keys], pa.string()),
        "feature": pa.array([feature for _, feature in keys], pa.string()),
        "segment": pa.array([f"SEGMENT{seed}"] * count, pa.string()),
        "record": pa.array(range(count), pa.int32()),
        "item": pa.array([0] * count, pa.int32()),
        "part": pa.array([0] * count, pa.int16()),
        "offset": np.cumsum(length) - length,
        "length": length,
        "layers": pa.array(
            [None if at % 3 else [{"bytes": 10, "sse": 3.25}, {"bytes": 20, "sse": 1.5}] for at in range(count)],
            TABLES["records"].field("layers").type,
        ),
        "weighted_layers": pa.array([None if at % 6 else [6.5, 0.75] for at in range(count)], pa.list_(pa.float32())),
        "shape": pa.array([[at % 5, 7] for at in range(count)], pa.list_(pa.int32())),
        "dtype": pa.array([("float16", "float32", "bfloat16")[at % 3] for at in range(count)], pa.string()),
        "pattern": pa.array(["t c -> t c"] * count, pa.string()),
        "grid": pa.nulls(count, pa.string()),
        "codec": pa.array(["klt"] * count, pa.string()),
        "quality": pa.array(["snr_db=15"] * count, pa.string()),
        "profile": pa.array([f"profile of {feature}" for _, feature in keys], pa.string()),
        "source_hash": rng.integers(0, 2**64, count, dtype=np.uint64),
        "elements": rng.integers(1, 10_000, count),
        "sum": rng.normal(0, 100, count),
        "sum_sq": rng.lognormal(12, 1, count),
        "sse": sse,
        "max_error": rng.lognormal(0, 1, count),
        "signal": sse * 30,
        "bulk_sse": np.where(rng.random(count) < 0.5, sse, sse * 0.9),
        "weighted_sse": pa.array([None if at % 2 else float(value) for at, value in enumerate(sse * 3)]),
        "nats_per_error": pa.array([None if at % 4 else 0.5 / (at + 1) for at in range(count)]),
        "measured_kl": pa.array([None if at % 4 else 0.03 * (at + 1) for at in range(count)]),
        "payload_bits": 8 * length - rng.integers(0, 900, count),
        "encode_seconds": rng.random(count),
    }
    return pa.table({**columns, **fixed})


@pytest.fixture
def make_rows() -> MakeRows:
    return _rows


@pytest.fixture
def open_catalog() -> OpenCatalog:
    """A catalog with an empty log and no tombstones, but for the overrides."""

    def opened(files: dict[str, list[str | Path]], **overrides: Any) -> Catalog:
        empty = {"gone": TABLES["gone"].empty_table(), "commits": NO_COMMITS, "profiles": NO_PROFILES}
        paths = {table: [str(path) for path in names] for table, names in files.items()}
        return Catalog(paths, **(empty | overrides))

    return opened

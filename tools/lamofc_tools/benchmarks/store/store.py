"""Measure opening and querying a store of ten million records in a thousand commits.

The log, the checkpoints and all rows are those of a real store; the rows are synthetic instead of coming from features,
and no segment is written. Each figure of opening is taken in a process of its own. `--keep` leaves the store for
another run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lamofc_store as lamofc
from lamofc_store.maintenance import bulk_rows
from lamofc_tools.benchmarks import synthetic_rows as synthetic
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.machine import median_seconds

BUDGETS = {"open_s": 1.0, "aggregate_s": 1.0, "lookup_ms": 5.0, "bytes_a_row": 25.0}
LOOKUPS = 200
PLACE_COLUMNS = ("segment", "offset", "length", "shape", "pattern", "profile")
"""Columns that `store[sample, feature]` looks up."""
QUERIES = {
    "avg(bpfp) by feature": "SELECT feature, avg(bpfp) FROM records GROUP BY 1",
    "view features": "SELECT * FROM features",
}
COLUMNS = (
    Column("part", "part", "<16"),
    Column("name", "figure", "<26"),
    Column("value", "value", ">10.4f"),
    Column("unit", "unit", "<6"),
)
UNITS = {"build_s": "s", "fresh process": "s", "warm": "s", "bytes a row": "bytes"}

_OPEN_AND_QUERY = """
import json, sys, time
import pyarrow, pyarrow.parquet, duckdb, lamofc_store
url, query = sys.argv[1], sys.argv[2]
started = time.perf_counter()
store = lamofc_store.open(url)
opened = time.perf_counter() - started
started = time.perf_counter()
rows = len(store.sql(query).fetchall())
print(json.dumps({"open": opened, "first_query": time.perf_counter() - started, "rows": rows}))
"""


def build(url: str, records: int, commits: int) -> None:
    """Create a store whose commits each add the rows of one segment."""
    generator = np.random.default_rng(0)
    each = records // commits // synthetic.FEATURES
    with lamofc.open(url, "w") as store:
        for number in range(commits):
            ids = synthetic.sample_ids(number * each, each)
            rows = synthetic.record_rows(ids, number, generator)
            bulk_rows.commit_rows(store, rows, synthetic.sample_rows(ids, generator))


def measure_fresh(url: str, query: str, rounds: int) -> dict[str, float]:
    """Measure opening and a first query, each time in a fresh process: medians."""
    runs = []
    for _ in range(rounds):
        command = [sys.executable, "-c", _OPEN_AND_QUERY, url, query]
        runs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    return {name: statistics.median(times[name] for times in runs) for name in ("open", "first_query")}


def measure_warm(url: str, records: int) -> dict[str, float]:
    """Measure aggregates and lookups in a store that is open and has been queried before."""
    with lamofc.open(url) as store:
        numbers = np.random.default_rng(1).integers(0, records // synthetic.FEATURES, LOOKUPS)
        ids = [synthetic.sample_ids(int(number), 1)[0] for number in numbers]
        figures = {
            name: median_seconds(lambda query=query: store.sql(query).fetchall(), 5, warm=False)  # type: ignore[misc]
            for name, query in QUERIES.items()
        }
        for name, columns in (("to read it", PLACE_COLUMNS), ("all columns", None)):
            store.catalog.lookup(ids[:1], columns=columns)
            lookups = [partial(store.catalog.lookup, [sample], columns=columns) for sample in ids]
            seconds = [median_seconds(lookup, 1, warm=False) for lookup in lookups]
            figures[f"lookup, {name}"] = statistics.median(seconds)
            figures[f"lookup, {name}, p99"] = float(np.quantile(seconds, 0.99))
        return figures


def bytes_per_row(url: str, records: int) -> dict[str, float]:
    """Count the Parquet bytes of record rows: in the objects of commits, and in merged ones of checkpoints."""
    own = sum(path.stat().st_size for path in Path(url, "rows").glob("*.records.parquet"))
    with lamofc.open(url) as store:
        runs = store.snapshot.runs.get("records", ())
        merged = sum(entry.bytes for entry in runs) / max(1, sum(entry.count for entry in runs))
    return {"commits": own / records, "merged": merged}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--records", type=int, default=10_000_000, metavar="N", help="record rows")
    parser.add_argument("--commits", type=int, default=1_000, metavar="N", help="commits that add them")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="fresh processes")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="build the store here, or use the one that exists")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Build the store and measure it."""
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as folder:
        url = str(arguments.keep or Path(folder, "big.lamofc"))
        started = time.perf_counter()
        if not Path(url).exists():
            build(url, arguments.records, arguments.commits)
        figures: dict[str, Any] = {
            "budgets": BUDGETS,
            "records": arguments.records,
            "commits": arguments.commits,
            "build_s": time.perf_counter() - started,
            "fresh process": measure_fresh(url, QUERIES["avg(bpfp) by feature"], arguments.rounds),
            "warm": measure_warm(url, arguments.records),
            "bytes a row": bytes_per_row(url, arguments.records),
        }
    report.line(f"{arguments.records:,} records in {arguments.commits:,} commits")
    report.table(
        COLUMNS,
        (
            {"part": part, "name": name, "value": value, "unit": UNITS[part]}
            for part in ("fresh process", "warm", "bytes a row")
            for name, value in figures[part].items()
        ),
    )
    return figures


BENCHMARK = Benchmark("store", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

"""Opening and asking a store of ten million records in a thousand commits: `tools/bench store`.

The log, the checkpoints and all rows are a real store's; the rows are made here instead of by coding features, and no
segment is written. Each figure of opening is taken in a process of its own; `--keep` leaves the store for another run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import lamofc_store as lamofc
from lamofc_store.maintenance import bulk_rows
from lamofc_tools.benchmarks.store import catalog
from lamofc_tools.machine import machine

BUDGETS = {"open_s": 1.0, "aggregate_s": 1.0, "lookup_ms": 5.0, "bytes_a_row": 25.0}
LOOKUPS = 200
PLACE = ("segment", "offset", "length", "shape", "pattern", "profile")
"""What `store[sample, feature]` looks up."""

_ASK = """
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
    """A store whose commits each add rows of one segment."""
    noise = np.random.default_rng(0)
    each = records // commits // catalog.FEATURES
    with lamofc.open(url, "w") as store:
        for number in range(commits):
            ids = [f"img_{sample:07d}" for sample in range(number * each, (number + 1) * each)]
            rows = catalog.record_rows(ids, number, noise)
            samples = pa.table({"sample": ids, "label": noise.integers(0, 1000, each), "split": ["train"] * each})
            bulk_rows.commit_rows(store, rows, samples)


def asked(url: str, query: str, rounds: int) -> dict[str, float]:
    """Opening and a first query, each time in a fresh process: medians."""
    found = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", _ASK, url, query], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    return {name: statistics.median(one[name] for one in found) for name in ("open", "first_query")}


def warm(url: str, records: int) -> dict[str, float]:
    """Aggregates and lookups in a store that is open and has been asked before."""
    with lamofc.open(url) as store:
        ids = [f"img_{n:07d}" for n in np.random.default_rng(1).integers(0, records // catalog.FEATURES, LOOKUPS)]
        queries = {
            "avg(bpfp) by feature": "SELECT feature, avg(bpfp) FROM records GROUP BY 1",
            "view features": "SELECT * FROM features",
        }
        found = {name: _median(lambda query=query: store.sql(query).fetchall(), 5) for name, query in queries.items()}
        for name, columns in (("to read it", PLACE), ("all columns", None)):
            store.catalog.lookup(ids[:1], columns=columns)
            seconds = [
                _median(lambda sample=sample, columns=columns: store.catalog.lookup([sample], columns=columns), 1)
                for sample in ids
            ]
            found[f"lookup, {name}"] = statistics.median(seconds)
            found[f"lookup, {name}, p99"] = float(np.quantile(seconds, 0.99))
        return found


def _median(work: Any, rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def bytes_a_row(url: str, records: int) -> dict[str, float]:
    """Parquet bytes of record rows: in the commits' own objects, and in checkpoints' merged ones."""
    own = sum(path.stat().st_size for path in Path(url, "rows").glob("*.records.parquet"))
    with lamofc.open(url) as store:
        runs = store.snapshot.runs.get("records", ())
        merged = sum(entry.bytes for entry in runs) / max(1, sum(entry.count for entry in runs))
    return {"commits": own / records, "merged": merged}


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, ask, print a table, and last one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="build the store here, or take the one that is here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as folder:
        url = str(given.keep or Path(folder, "big.lamofc"))
        started = time.perf_counter()
        if not Path(url).exists():
            build(url, given.records, given.commits)
        found: dict[str, Any] = {
            "machine": machine(),
            "records": given.records,
            "commits": given.commits,
            "build_s": time.perf_counter() - started,
            "fresh process": asked(url, "SELECT feature, avg(bpfp) FROM records GROUP BY 1", given.rounds),
            "warm": warm(url, given.records),
            "bytes a row": bytes_a_row(url, given.records),
        }
    print(f"{found['machine']}; {given.records:,} records in {given.commits:,} commits\n")
    for part in ("fresh process", "warm", "bytes a row"):
        for name, value in found[part].items():
            print(f"{part:>16}  {name:<24} {value:.4f}{'' if part == 'bytes a row' else ' s'}")
    print(json.dumps({"budgets": BUDGETS, **found}))


if __name__ == "__main__":
    main()

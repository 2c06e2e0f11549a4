"""Measure size and speed of the catalog at ten million record rows.

Rows are synthetic, a rows file for each commit, and merged as a store merges them: after every 64 commits the files
since the last merge become a run, and a run joins its neighbour while that is at most four times as large. The tail
stays unmerged. Values that cannot be predicted in real data (hashes, sums, errors, lengths) are random.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lamofc_catalog import TABLES, Catalog, merge, write_rows
from lamofc_tools.benchmarks import synthetic_rows as synthetic
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.benchmarks.synthetic_rows import FEATURES

MERGE_EVERY = 64
BUDGETS = {"bytes_a_row": 25.0, "open_s": 1.0, "features_view_s": 1.0, "avg_bpfp_s": 1.0, "lookup_one_ms": 5.0}
COLUMNS = (Column("name", "figure", "<40"), Column("value", "value", ">12.4g"), Column("budget", "budget", ">8g"))
UNITS = {"*_s": "s", "*_ms": "ms", "*_mb": "MiB", "bytes_a_row": "bytes", "commit_bytes_a_row": "bytes"}
QUERIES = {
    "features_view": "SELECT * FROM features",
    "avg_bpfp": "SELECT feature, avg(bpfp) FROM records GROUP BY 1",
    "join": "SELECT label, avg(snr_db) FROM records JOIN samples USING (sample) GROUP BY 1",
}
FETCH_COLUMNS = ("segment", "record", "offset", "length")


@dataclass(frozen=True)
class Plan:
    """The rows to make, and the folder for them."""

    folder: Path
    records: int
    commits: int
    ids: str = "ordered"
    """`ordered` ids grow with time (img_0001234); `hashed` ones are 16 random hexadecimal digits."""
    seed: int = 0

    def sample_ids(self, start: int, count: int) -> list[str]:
        """Make the ids of samples `start` and following, in order of ingest."""
        return synthetic.sample_ids(start, count, hashed=self.ids == "hashed")


@dataclass
class Files:
    """The rows files of one table: merged runs, oldest first, then the tail of commits."""

    runs: list[tuple[str, int]] = field(default_factory=list)
    tail: list[tuple[str, int]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """All paths in commit order."""
        return [path for path, _ in [*self.runs, *self.tail]]


def merge_tail(files: Files, table: str, folder: Path) -> None:
    """Merge the tail, and the runs before it while the last is at most four times as large."""
    parts = files.tail
    while files.runs and files.runs[-1][1] <= 4 * sum(rows for _, rows in parts):
        parts = [files.runs.pop(), *parts]
    path = str(folder / f"{table}.run{len(files.runs)}.{parts[-1][0].rsplit('/', 1)[-1]}")
    rows = merge(table, [source for source, _ in parts], TABLES["gone"].empty_table(), path)
    for source, _ in parts:
        Path(source).unlink()
    files.runs.append((path, rows))
    files.tail = []


def build(plan: Plan) -> dict[str, Any]:
    """Make all files; return their paths and the cost of making them."""
    generator = np.random.default_rng(plan.seed)
    files = {"records": Files(), "samples": Files()}
    each = plan.records // plan.commits // FEATURES
    seconds = {"write_s": 0.0, "merge_s": 0.0}
    tail_bytes = 0
    for commit in range(plan.commits):
        ids = plan.sample_ids(commit * each, each)
        tables = {
            "records": synthetic.record_rows(ids, commit, generator),
            "samples": synthetic.sample_rows(ids, generator),
        }
        started = time.perf_counter()
        for table, rows in tables.items():
            path = str(plan.folder / f"{commit:06d}.{table}.parquet")
            size = write_rows(table, rows, path, origin=synthetic.ulid(commit, "R"))
            tail_bytes = size if table == "records" else tail_bytes
            files[table].tail.append((path, rows.num_rows))
        seconds["write_s"] += time.perf_counter() - started
        if len(files["records"].tail) == MERGE_EVERY:
            started = time.perf_counter()
            for table, table_files in files.items():
                merge_tail(table_files, table, plan.folder)
            seconds["merge_s"] += time.perf_counter() - started
    return {
        "paths": {table: table_files.paths for table, table_files in files.items()},
        "runs": len(files["records"].runs),
        "tail": len(files["records"].tail),
        "commit_bytes_a_row": tail_bytes / (each * FEATURES),
        "bytes_a_row": sum(Path(path).stat().st_size for path in files["records"].paths) / plan.records,
        "write_merge_peak_mb": peak_mb(),
        **seconds,
    }


def measure(plan: Plan, paths: dict[str, list[str]]) -> dict[str, float]:
    """Take all timings in this process; the first Catalog is opened cold, with a warm page cache."""
    started = time.perf_counter()
    catalog = open_catalog(paths, 0, plan)
    figures = {"open_s": time.perf_counter() - started}
    for name, query in QUERIES.items():
        figures[f"{name}_s"] = shortest_seconds(partial(run_query, catalog, query), 3)
    generator = np.random.default_rng(plan.seed + 1)
    count = plan.records // FEATURES
    samples = [plan.sample_ids(int(number), 1) for number in generator.integers(0, count, 200)]
    figures |= _lookups(catalog, plan, samples, generator)
    where = "label < 100"
    figures["select_s"] = shortest_seconds(
        lambda: catalog.select(["layer.3"], where, ["label"], fields=list(FETCH_COLUMNS)), 1
    )
    catalog.close()
    catalog = open_catalog(paths, min(100_000, plan.records // 10), plan)
    figures["features_view_100k_gone_s"] = shortest_seconds(partial(run_query, catalog, QUERIES["features_view"]), 3)
    figures["lookup_one_100k_gone_ms"] = _median_ms(partial(catalog.lookup, ids) for ids in samples)
    figures["read_peak_mb"] = peak_mb()
    return figures


def _lookups(
    catalog: Catalog, plan: Plan, samples: list[list[str]], generator: np.random.Generator
) -> dict[str, float]:
    """Time lookups of one sample, of an absent one, and of many that are neighbours or spread."""
    count = plan.records // FEATURES
    many = min(5_000, count)
    neighbours = plan.sample_ids(count // 2 - many // 2, many)
    spread = [plan.sample_ids(int(number), 1)[0] for number in generator.choice(count, many, replace=False)]
    columns = list(FETCH_COLUMNS)
    first = 1e3 * shortest_seconds(partial(catalog.lookup, samples[0]), 1)
    single = [1e3 * shortest_seconds(partial(catalog.lookup, ids), 1) for ids in samples]
    return {
        "lookup_first_ms": first,
        "lookup_one_ms": float(np.median(single)),
        "lookup_one_p99_ms": float(np.quantile(single, 0.99)),
        "lookup_absent_ms": _median_ms(partial(catalog.lookup, [f"img_{number}_none"]) for number in range(50)),
        "lookup_5000_neighbours_ms": 1e3 * shortest_seconds(lambda: catalog.lookup(neighbours), 3),
        "lookup_5000_spread_ms": 1e3 * shortest_seconds(lambda: catalog.lookup(spread), 2),
        "lookup_one_fetch_columns_ms": _median_ms(partial(catalog.lookup, ids, columns=columns) for ids in samples),
        "lookup_5000_spread_fetch_columns_ms": 1e3
        * shortest_seconds(lambda: catalog.lookup(spread, columns=columns), 2),
    }


def open_catalog(paths: dict[str, list[str]], tombstones: int, plan: Plan) -> Catalog:
    """Open a catalog of the files, with tombstones for the first rows of every commit, `tombstones` in total."""
    each = tombstones // plan.commits
    origins = [synthetic.ulid(commit, "R") for commit in range(plan.commits)]
    gone = pa.table(
        {
            "table": pa.repeat("records", each * plan.commits),
            "origin": pa.array([origin for origin in origins for _ in range(each)], pa.string()),
            "row": pa.array(np.tile(np.arange(each), plan.commits), pa.int64()),
        }
    )
    commits = pa.table({"n": list(range(plan.commits))})
    profiles = pa.table({"profile": ["0" * 64], "bytes": [1 << 20]})
    return Catalog(paths, gone=gone, commits=commits, profiles=profiles)


def run_query(catalog: Catalog, query: str) -> object:
    """Run a query and fetch all rows."""
    return catalog.sql(query).fetchall()


def peak_mb() -> float:
    """Return the largest resident set of this process so far; unlike ru_maxrss it starts anew with each program."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def shortest_seconds(work: Callable[[], object], rounds: int) -> float:
    """Time some work: the shortest of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def _median_ms(works: Any) -> float:
    return float(np.median([1e3 * shortest_seconds(work, 1) for work in works]))


def measure_in_child(plan: Plan, paths: dict[str, list[str]]) -> dict[str, float]:
    """Run `measure` in a fresh process, so that opening is cold and the memory is its own."""
    task = json.dumps({"plan": {**asdict(plan), "folder": str(plan.folder)}, "paths": paths})
    command = [sys.executable, "-m", "lamofc_tools.benchmarks.store.catalog", _CHILD]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def child() -> int:
    """Measure what a parent process asks for on stdin."""
    task = json.load(sys.stdin)
    plan = Plan(**{**task["plan"], "folder": Path(task["plan"]["folder"])})
    print(json.dumps(measure(plan, task["paths"])))
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--records", type=int, default=10_000_000, metavar="N", help="record rows")
    parser.add_argument("--commits", type=int, default=1_000, metavar="N", help="commits that add them")
    parser.add_argument("--ids", choices=["ordered", "hashed"], default="ordered", help="form of the sample ids")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random values")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep the files here; a temporary folder by default")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Build the files and measure a catalog of them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(folder, arguments.records, arguments.commits, arguments.ids, arguments.seed)
        built = build(plan)
        paths = built.pop("paths")
        (folder / "paths.json").write_text(json.dumps(paths))
        figures = {**built, **measure_in_child(plan, paths)}
    report.table(
        COLUMNS, ({"name": name, "value": value, "budget": BUDGETS.get(name)} for name, value in figures.items())
    )
    return {"records": plan.records, "commits": plan.commits, "ids": plan.ids, "seed": plan.seed, **figures}


_CHILD = "--measure"
BENCHMARK = Benchmark("catalog", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(child() if sys.argv[1:] == [_CHILD] else BENCHMARK.main())

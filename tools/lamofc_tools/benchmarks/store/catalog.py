"""Size and speed of the catalog at ten million record rows: `tools/bench catalog`.

Rows are made here, a rows file for each commit, and merged as a store does it: every 64 commits the files since the
last merge become a run, and a run joins its neighbour while that is at most four times as large. The tail stays
unmerged. Values that cannot be foreseen in real data (hashes, sums, errors, lengths) are random.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from lamofc_catalog import TABLES, Catalog, merge, write_rows

FEATURES = 10
MERGE_EVERY = 64
BUDGETS = {"bytes_a_row": 25.0, "open_s": 1.0, "features_view_s": 1.0, "avg_bpfp_s": 1.0, "lookup_one_ms": 5.0}


@dataclass(frozen=True)
class Plan:
    """What to make and where."""

    folder: Path
    records: int
    commits: int
    ids: str = "ordered"
    """`ordered` ids grow with time (img_0001234); `hashed` ones are 16 random hex digits."""
    seed: int = 0


@dataclass
class Files:
    """The rows files of one table: merged runs, oldest first, then the tail of commits."""

    runs: list[tuple[str, int]] = field(default_factory=list)
    tail: list[tuple[str, int]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """All paths in commit order."""
        return [path for path, _ in [*self.runs, *self.tail]]


def sample_ids(plan: Plan, start: int, count: int) -> list[str]:
    """The ids of samples `start` and following, in order of ingest."""
    if plan.ids == "ordered":
        return [f"img_{number:07d}" for number in range(start, start + count)]
    return [blake2b(str(number).encode(), digest_size=8).hexdigest() for number in range(start, start + count)]


def record_rows(ids: Sequence[str], commit: int, rng: np.random.Generator) -> pa.Table:
    """Rows of one segment: features of 1029 x 1024, stored feature by feature."""
    count = len(ids)
    rows = count * FEATURES
    kind = np.repeat(np.arange(FEATURES), count)
    length = rng.normal(20_000 + 1_000 * kind, 900).astype(np.int64)
    elements = 1029 * 1024
    signal = elements * rng.lognormal(0, 0.2, rows) * (1 + kind)
    sse = signal * 10**-1.5 * rng.lognormal(0, 0.05, rows)
    names = [f"layer.{layer}" for layer in range(FEATURES)]
    profiles = [blake2b(name.encode(), digest_size=32).hexdigest() for name in names]

    def same(value: str) -> pa.Array:
        return pa.repeat(value, rows)

    return pa.table(
        {
            "sample": pa.array(list(ids) * FEATURES),
            "feature": pa.array(names).take(pa.array(kind)),
            "segment": same(ulid(commit, "S")),
            "record": pa.array(np.arange(rows, dtype=np.int32)),
            "item": pa.array(np.zeros(rows, np.int32)),
            "part": pa.array(np.zeros(rows, np.int16)),
            "offset": np.cumsum(length) - length,
            "length": length,
            "shape": pa.FixedSizeListArray.from_arrays(pa.array(np.tile([1029, 1024], rows), pa.int32()), 2).cast(
                pa.list_(pa.int32())
            ),
            "dtype": same("float16"),
            "pattern": same("t c -> t c"),
            "codec": same("klt"),
            "quality": same("snr_db=15"),
            "profile": pa.array(profiles).take(pa.array(kind)),
            "source_hash": rng.integers(0, 2**64, rows, dtype=np.uint64),
            "elements": np.full(rows, elements),
            "sum": rng.normal(0, 1, rows) * 1e4,
            "sum_sq": signal * (1 + rng.random(rows)),
            "sse": sse,
            "max_error": np.sqrt(sse / elements) * 5 * rng.lognormal(0, 0.1, rows),
            "signal": signal,
            "bulk_sse": sse,
            "payload_bits": 8 * length - 1_000 - rng.integers(0, 32, rows),
            "encode_seconds": np.repeat(rng.random(rows // 64 + 1) * 1e-3, 64)[:rows],
        }
    )


def ulid(number: int, kind: str) -> str:
    """A name with a ulid's length and order."""
    return f"01J8Z{kind}{blake2b(str(number).encode(), digest_size=8).hexdigest().upper()}{number:04d}"


def settle(files: Files, table: str, folder: Path) -> None:
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


def build(plan: Plan) -> dict[str, object]:
    """Make all files; returns where they are and what making them took."""
    rng = np.random.default_rng(plan.seed)
    files = {"records": Files(), "samples": Files()}
    each = plan.records // plan.commits // FEATURES
    seconds = {"write_s": 0.0, "merge_s": 0.0}
    tail_bytes = 0
    for commit in range(plan.commits):
        ids = sample_ids(plan, commit * each, each)
        tables = {
            "records": record_rows(ids, commit, rng),
            "samples": pa.table({"sample": ids, "label": rng.integers(0, 1000, each), "split": ["train"] * each}),
        }
        started = time.perf_counter()
        for table, rows in tables.items():
            path = str(plan.folder / f"{commit:06d}.{table}.parquet")
            size = write_rows(table, rows, path, origin=ulid(commit, "R"))
            tail_bytes = size if table == "records" else tail_bytes
            files[table].tail.append((path, rows.num_rows))
        seconds["write_s"] += time.perf_counter() - started
        if len(files["records"].tail) == MERGE_EVERY:
            started = time.perf_counter()
            for table, kept in files.items():
                settle(kept, table, plan.folder)
            seconds["merge_s"] += time.perf_counter() - started
    return {
        "paths": {table: kept.paths for table, kept in files.items()},
        "runs": len(files["records"].runs),
        "tail": len(files["records"].tail),
        "commit_bytes_a_row": tail_bytes / (each * FEATURES),
        "bytes_a_row": sum(Path(path).stat().st_size for path in files["records"].paths) / plan.records,
        "write_merge_peak_mb": peak_mb(),
        **seconds,
    }


def measure(plan: Plan, paths: dict[str, list[str]]) -> dict[str, float]:
    """All timings, in this process: the first Catalog is the cold one (page cache warm)."""
    found: dict[str, float] = {}
    started = time.perf_counter()
    catalog = open_catalog(paths, 0, plan)
    found["open_s"] = time.perf_counter() - started
    queries = {
        "features_view": "SELECT * FROM features",
        "avg_bpfp": "SELECT feature, avg(bpfp) FROM records GROUP BY 1",
        "join": "SELECT label, avg(snr_db) FROM records JOIN samples USING (sample) GROUP BY 1",
    }
    for name, query in queries.items():
        found[f"{name}_s"] = timed(partial(ask, catalog, query), 3)
    count = plan.records // FEATURES
    rng = np.random.default_rng(plan.seed + 1)
    chosen = [sample_ids(plan, int(at), 1) for at in rng.integers(0, count, 200)]
    found["lookup_first_ms"] = 1e3 * timed(lambda: catalog.lookup(chosen[0]), 1)
    one = [1e3 * timed(partial(catalog.lookup, ids), 1) for ids in chosen]
    found["lookup_one_ms"] = float(np.median(one))
    found["lookup_one_p99_ms"] = float(np.quantile(one, 0.99))
    absent = [1e3 * timed(partial(catalog.lookup, [f"img_{at}_none"]), 1) for at in range(50)]
    found["lookup_absent_ms"] = float(np.median(absent))
    many = min(5_000, count)
    neighbours = sample_ids(plan, count // 2 - many // 2, many)
    found["lookup_5000_neighbours_ms"] = 1e3 * timed(lambda: catalog.lookup(neighbours), 3)
    spread = [sample_ids(plan, int(at), 1)[0] for at in rng.choice(count, many, replace=False)]
    found["lookup_5000_spread_ms"] = 1e3 * timed(lambda: catalog.lookup(spread), 2)
    fetch = ["segment", "record", "offset", "length"]
    placed = [1e3 * timed(partial(catalog.lookup, ids, columns=fetch), 1) for ids in chosen]
    found["lookup_one_fetch_columns_ms"] = float(np.median(placed))
    found["lookup_5000_spread_fetch_columns_ms"] = 1e3 * timed(lambda: catalog.lookup(spread, columns=fetch), 2)
    where = "label < 100"
    found["select_s"] = timed(lambda: catalog.select(["layer.3"], where, ["label"], fields=fetch), 1)
    catalog.close()
    dead = open_catalog(paths, min(100_000, plan.records // 10), plan)
    found["features_view_100k_gone_s"] = timed(partial(ask, dead, queries["features_view"]), 3)
    found["lookup_one_100k_gone_ms"] = 1e3 * float(np.median([timed(partial(dead.lookup, ids), 1) for ids in chosen]))
    found["read_peak_mb"] = peak_mb()
    return found


def open_catalog(paths: dict[str, list[str]], gone: int, plan: Plan) -> Catalog:
    """A catalog of the files with the first rows of every commit gone, `gone` in all."""
    each = gone // plan.commits
    dead = pa.table(
        {
            "table": pa.repeat("records", each * plan.commits),
            "origin": pa.array([ulid(commit, "R") for commit in range(plan.commits) for _ in range(each)], pa.string()),
            "row": pa.array(np.tile(np.arange(each), plan.commits), pa.int64()),
        }
    )
    commits = pa.table({"n": list(range(plan.commits))})
    profiles = pa.table({"profile": ["0" * 64], "bytes": [1 << 20]})
    return Catalog(paths, gone=dead, commits=commits, profiles=profiles)


def ask(catalog: Catalog, query: str) -> object:
    """Run a query to its end."""
    return catalog.sql(query).fetchall()


def peak_mb() -> float:
    """The largest resident set of this process so far; unlike ru_maxrss it starts anew with each program."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def timed(work: Callable[[], object], times: int) -> float:
    """The shortest of `times` runs of `work`, in seconds."""
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def child(mode: str, plan: Plan, paths: object) -> dict[str, float]:
    """`measure` in a fresh process, so that opening is cold and memory is its own."""
    task = json.dumps({"plan": {**asdict(plan), "folder": str(plan.folder)}, "paths": paths})
    command = [sys.executable, "-m", "lamofc_tools.benchmarks.store.catalog", mode]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table and, last, one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--ids", choices=["ordered", "hashed"], default="ordered")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the files here (a temporary folder unless told)")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        task = json.load(sys.stdin)
        plan = Plan(**{**task["plan"], "folder": Path(task["plan"]["folder"])})
        print(json.dumps(measure(plan, task["paths"])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(folder, given.records, given.commits, given.ids, given.seed)
        built = build(plan)
        paths = built.pop("paths")
        (folder / "paths.json").write_text(json.dumps(paths))
        found = {**built, **child("--measure", plan, paths)}
    for name, value in found.items():
        budget = f"  (budget {BUDGETS[name]:g})" if name in BUDGETS else ""
        print(f"{name:40s} {value:12.4g}{budget}")
    conditions = {"records": plan.records, "commits": plan.commits, "ids": plan.ids, "seed": plan.seed}
    print(json.dumps({"bench": "catalog", **conditions, "machine": platform.processor(), **found}))


if __name__ == "__main__":
    main()

"""Measure the time from typing a command to its end.

Each command runs in a fresh process, several times, on a small store. The first run of each does not count, so files
come from page cache.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report

BUDGETS = {"--help": 0.3, "ls": 1.0, "log": 1.0, "info": 1.0, "sql": 1.0}
SAMPLES = 100
COLUMNS = (Column("command", "command", "<16"), Column("seconds", "s", ">8.3f"), Column("budget", "budget", ">8.1f"))
_START = "import sys; from lamofc_tools.cli import main; sys.exit(main())"


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Measure the seconds of each command, a number for each round."""
    url = str(folder / "small.lamofc")
    with lamofc.create(url) as store:
        store.ingest([Sample(f"s{number:03d}", {"layer.1": torch.randn(16, 64)}) for number in range(SAMPLES)])
    lines = {
        "--help": ["--help"],
        "ls": ["ls", url],
        "log": ["log", url],
        "info": ["info", url],
        "sql": ["sql", url, "SELECT feature, avg(bpfp) FROM records GROUP BY 1"],
    }
    return {name: [_seconds(line) for _ in range(rounds + 1)][1:] for name, line in lines.items()}


def _seconds(line: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _START, *line], check=True, capture_output=True)
    return time.perf_counter() - started


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="runs of each command")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every command."""
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as folder:
        seconds = measure(Path(folder), arguments.rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    report.table(
        COLUMNS,
        ({"command": f"lamofc {name}", "seconds": medians[name], "budget": BUDGETS[name]} for name in medians),
    )
    return {"python": platform.python_version(), "rounds": arguments.rounds, "budgets": BUDGETS, "seconds": medians}


BENCHMARK = Benchmark("startup", __doc__ or "", run, add_arguments, {"seconds": "s", "budgets": "s"})

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

"""Time from typing a command to its last word: `tools/bench startup`.

Each command runs in a fresh process, several times, on a small store; the first run of each is thrown away, so files
come from page cache. The last line is one JSON document.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_tools.machine import machine

BUDGETS = {"--help": 0.3, "ls": 1.0, "log": 1.0, "info": 1.0, "sql": 1.0}
SAMPLES = 100
_START = "import sys; from lamofc_tools.cli import main; sys.exit(main())"


def measure(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each command, a number for each round."""
    place = str(folder / "small.lamofc")
    with lamofc.create(place) as store:
        store.ingest([Sample(f"s{number:03d}", {"layer.1": torch.randn(16, 64)}) for number in range(SAMPLES)])
    lines = {
        "--help": ["--help"],
        "ls": ["ls", place],
        "log": ["log", place],
        "info": ["info", place],
        "sql": ["sql", place, "SELECT feature, avg(bpfp) FROM records GROUP BY 1"],
    }
    return {name: [_seconds(line) for _ in range(rounds + 1)][1:] for name, line in lines.items()}


def _seconds(line: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _START, *line], check=True, capture_output=True)
    return time.perf_counter() - started


def show(medians: Mapping[str, float]) -> None:
    """A table for people."""
    for name, seconds in medians.items():
        print(f"lamofc {name:<8} {seconds:.3f} s   budget {BUDGETS[name]:.1f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and last one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as folder:
        seconds = measure(Path(folder), rounds)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{machine()}; medians of {rounds} runs\n")
    show(medians)
    found: dict[str, Any] = {"machine": machine(), "python": platform.python_version(), "rounds": rounds}
    print(json.dumps({**found, "budgets": BUDGETS, "seconds": medians}))


if __name__ == "__main__":
    main()

"""Run the benchmarks of all budgets that take minutes, and compare each figure with its budget.

The table gives the figure, how near it is to the speed of the memory or the disk where that bounds it, and whether the
budget is met. Bits at equal performance and epochs of heads take hours; their documents are in `results`, too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.benchmarks.budgets.budget import Budget, Limits, Outcome
from lamofc_tools.benchmarks.budgets.comparison import slower_than
from lamofc_tools.benchmarks.budgets.listed import ARGUMENTS, BUDGETS
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names

COMMITTED = Path(__file__).parents[1] / "results" / "all.json"
COLUMNS = (
    Column("claim", "claim", "<40"),
    Column("budget", "budget", "<20"),
    Column("value", "measured", ">10.4g"),
    Column("of_limit", "of limit", ">9.2f"),
    Column("status", "", "<24"),
)
UNITS = {"value": "the unit of the row", "of_limit": "share of the machine's speed", "limits": "GB/s"}
_MODULES = {"records": "store", "store": "store", "startup": "store", "large": "store"}
"""Folder of each benchmark that is not among those of codecs."""
_SHOWN_ERROR = 60


def run_benchmark(name: str, arguments: Sequence[str], folder: Path) -> Mapping[str, Any] | str:
    """Run one benchmark in a process of its own; return its document, or the first words of its error."""
    output = folder / f"{name}.json"
    module = f"lamofc_tools.benchmarks.{_MODULES.get(name, 'codecs')}.{name}"
    ran = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--output", str(output)], capture_output=True, text=True, check=False
    )
    if ran.returncode or not output.exists():
        told = [line.rpartition("error: ")[2] for line in ran.stderr.splitlines() if "error: " in line]
        return (told[-1] if told else f"exit code {ran.returncode}")[:_SHOWN_ERROR]
    document: Mapping[str, Any] = json.loads(output.read_text())
    return document


def measure(chosen: Sequence[str], report: Report) -> dict[str, Any]:
    """Run the chosen benchmarks one after another, and print their budgets."""
    report.table(COLUMNS)
    outcomes: list[Outcome] = []
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as temporary:
        limits = Limits.measure(Path(temporary))
        for name in chosen:
            started = time.perf_counter()
            document = run_benchmark(name, ARGUMENTS[name], Path(temporary))
            seconds[name] = time.perf_counter() - started
            for budget in BUDGETS:
                if budget.benchmark == name:
                    outcome = _outcome(budget, document, limits)
                    outcomes.append(outcome)
                    report.row(outcome.row())
    return {"limits": vars(limits), "seconds": seconds, "rows": [outcome.row() for outcome in outcomes]}


def _outcome(budget: Budget, document: Mapping[str, Any] | str, limits: Limits) -> Outcome:
    """Compare a figure with its budget; one benchmark that failed, or has no such figure, spoils no other."""
    if isinstance(document, str):
        return Outcome(budget, None, document)
    try:
        return budget.outcome(document, limits)
    except (LookupError, TypeError, ValueError) as error:
        return Outcome(budget, None, f"no such figure: {error}"[:_SHOWN_ERROR])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument(
        "--only", type=names, default=",".join(ARGUMENTS), metavar="NAME,...", help="benchmarks to run, in this order"
    )
    parser.add_argument(
        "--against", type=Path, default=COMMITTED, metavar="FILE", help="compare with this run of another time"
    )


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure, then say what became slower than in another run."""
    unknown = [name for name in arguments.only if name not in ARGUMENTS]
    if unknown:
        raise BadArgument(f"{unknown[0]} has no budget here", Hint(f"give some of {', '.join(ARGUMENTS)} as [only]"))
    if arguments.against != COMMITTED and not arguments.against.exists():
        raise BadArgument(f"there is no file {arguments.against}", Hint("name the JSON document of a run as [against]"))
    before = json.loads(arguments.against.read_text()) if arguments.against.exists() else None
    figures = measure(arguments.only, report)
    if before is not None:
        report.line(f"against a run on {before['machine']} of commit {before['commit']}")
        for claim, ratio in slower_than(before, figures):
            report.line(f"{claim}: {ratio:.2f}x as slow or as large")
    return figures


BENCHMARK = Benchmark("all", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

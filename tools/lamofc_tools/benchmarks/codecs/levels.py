"""Compare levels placed by `lloydmax` with those of scikit-learn's KMeans.

Values are sampled to match given levels: a list of 256 in JSON, or a feature of a mapping.json; without a file, levels
whose distances grow outwards. The density of values about each level is the one for which the given levels are best.
The table shows squared errors with the nearest level and with the level to the left, and seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lamofc_codecs import decode, encode, fit, published_levels
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names
from lamofc_tools.machine import median_seconds

Array = NDArray[np.float32]
SEED = 1
LEVELS = 256
COLUMNS = (
    Column("how", "levels by", "<24"),
    Column("nearest", "mse, nearest", ">14.6g"),
    Column("floor", "mse, floor", ">14.6g"),
    Column("ratio", "floor/nearest", ">15.2f"),
    Column("seconds", "seconds", ">10.3f"),
)
UNITS = {"nearest": "mean squared error", "floor": "mean squared error", "seconds": "s"}


def sample_values(levels: Array, count: int) -> Array:
    """Sample values whose density falls with the cube of the distances of the levels, for which the levels are best."""
    generator = np.random.default_rng(SEED)
    gaps = np.diff(levels.astype(np.float64))
    share = gaps**-2.0
    cells = generator.choice(len(gaps), count, p=share / share.sum())
    values: Array = (levels[cells] + gaps[cells] * generator.random(count)).astype(np.float32)
    return values


def squared_error(values: Array, levels: Array, assign: str) -> float:
    """Measure the mean squared error of values after encoding and decoding."""
    source = torch.from_numpy(values).view(-1, 1)
    profile = fit("lloydmax", [], levels=levels.tolist(), assign=assign)
    decoded = decode([encode([source], profile)[0].data], profile)[0].numpy().reshape(-1)
    return float(np.square(decoded - values, dtype=np.float64).mean())


def measure(levels: Array, count: int, starts: Sequence[int | str], rounds: int) -> dict[str, Any]:
    """Measure `lloydmax`, the given levels, and KMeans with each number of starts."""
    from sklearn.cluster import KMeans

    values = sample_values(levels, count)
    samples = [torch.from_numpy(values).view(-1, 1)]
    fitted = fit("lloydmax", samples).tensors["levels"].numpy()
    rows = [_row("lloydmax", values, fitted), _row("the levels given", values, levels)]
    rows[0]["seconds"] = median_seconds(lambda: fit("lloydmax", samples), rounds)
    for start in starts:
        means = KMeans(LEVELS, random_state=42, n_init=start)
        # A warming round would take as long again.
        duration = median_seconds(partial(means.fit, values[:, None]), 1, warm=False)
        centres = np.sort(means.cluster_centers_[:, 0]).astype(np.float32)
        rows.append({**_row(f"KMeans, n_init={start}", values, centres), "seconds": duration})
    return {"values": count, "rows": rows}


def _row(how: str, values: Array, levels: Array) -> dict[str, Any]:
    return {"how": how, **{assign: squared_error(values, levels, assign) for assign in ("nearest", "floor")}}


def read_levels(path: Path | None, feature: str | None, family: str | None) -> Array:
    """Read the levels of a file; without one, return levels whose distances grow outwards."""
    if path is None:
        widening: Array = (np.sinh(np.linspace(-8, 8, LEVELS)) / 3).astype(np.float32)
        return widening
    patterns = published_levels(path, family)
    name = feature or next(iter(patterns))
    if name not in patterns:
        raise BadArgument(f"{path} has no pattern {name!r}", f"give --feature one of {', '.join(patterns)}")
    return np.array(patterns[name], np.float32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("mapping", nargs="?", type=Path, help="a list of levels, or a mapping.json")
    parser.add_argument("--family", help="family of a mapping.json whose levels to take")
    parser.add_argument("--feature", metavar="PATTERN", help="pattern of the mapping.json; the first by default")
    parser.add_argument("--values", type=int, default=1_000_000, metavar="N", help="number of sampled values")
    parser.add_argument("--starts", type=names, default="auto", metavar="N,...", help="values of n_init of KMeans")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds in which lloydmax is timed")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure one list of levels."""
    starts = [int(start) if start.isdigit() else start for start in arguments.starts]
    levels = read_levels(arguments.mapping, arguments.feature, arguments.family)
    figures = measure(levels, arguments.values, starts, arguments.rounds)
    report.line(f"{figures['values']} values, {LEVELS} levels")
    report.table(COLUMNS, ({**row, "ratio": row["floor"] / row["nearest"]} for row in figures["rows"]))
    return figures


BENCHMARK = Benchmark("levels", __doc__ or "", run, add_arguments, UNITS, SEED)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

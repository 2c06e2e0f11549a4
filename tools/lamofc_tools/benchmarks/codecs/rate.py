"""Measure bits against signal-to-noise ratio, on samples that no fit has seen.

`plain` is `klt` without transforms and layers: the same entropy coder, tables by channel and by token, and
rate-distortion optimised rounding. Against it the gain of the transform and of the token codebook is seen by itself.
The bytes of a profile are spread over 10 000 samples. All bits are per element.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lamofc_tools import plots
from lamofc_tools.benchmarks.frame import Benchmark, Report, numbers
from lamofc_tools.benchmarks.rate_points import (
    UNITS,
    RatePoint,
    add_source_arguments,
    measure_rates,
    print_rates,
    source_splits,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    add_source_arguments(parser)
    parser.add_argument(
        "--group", action="append", default=[], metavar="GLOB", help="code matching features together; repeatable"
    )
    parser.add_argument(
        "--aims", type=numbers, default="5,10,15,20,30", metavar="DB,...", help="signal-to-noise ratios, dB"
    )
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw rate against signal-to-noise ratio")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every feature and group of a source."""
    points: list[RatePoint] = []
    for split in source_splits(arguments):
        points.extend(measure_rates(split, arguments.aims))
        report.progress(split.name)
    document = print_rates(points, report)
    if arguments.png:
        plots.draw_rates([{**asdict(point), "total": point.total} for point in points], arguments.png)
    return document


BENCHMARK = Benchmark("rate", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

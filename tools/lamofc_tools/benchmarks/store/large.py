"""Measure the memory and the time that one large tensor takes to be ingested and to be read.

A tensor of float16, 4096 channels wide, is written to a file, ingested by the command line and read back, each in a
process of its own. The figure beside the tensor is the largest resident set of the process less the tensor, so that the
libraries count, too, and so does the fit of `klt`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names

_CHANNELS, _DIRECTIONS, _ROWS_AT_ONCE = 4096, 64, 4096
_TELL_PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
_INGEST = f"import sys; from lamofc_tools.cli import main; code = main(sys.argv[1:]); {_TELL_PEAK}; sys.exit(code)"
_READ = f"import sys, lamofc_store; lamofc_store.open(sys.argv[1]).get('tensor'); {_TELL_PEAK}"
COLUMNS = (
    Column("codec", "codec", "<8"),
    Column("verb", "verb", "<8"),
    Column("seconds", "s", ">8.1f"),
    Column("peak_gb", "peak, GB", ">9.2f"),
    Column("beside_gb", "beside the tensor", ">18.2f"),
)
UNITS = {
    "tensor_gb": "GB of float16",
    "seconds": "s of the process",
    "peak_gb": "GB of resident memory",
    "beside_gb": "GB of resident memory beside the tensor",
}


def write_tensor(path: Path, gigabytes: float) -> int:
    """Write a tensor whose channels depend on fewer directions; return its bytes."""
    rows = max(1, round(gigabytes * 1e9 / (2 * _CHANNELS)))
    draw = np.random.default_rng(0)
    mixing = 0.1 * draw.standard_normal((_DIRECTIONS, _CHANNELS), np.float32)
    tensor = np.lib.format.open_memmap(str(path), "w+", np.float16, (rows, _CHANNELS))  # type: ignore[no-untyped-call]
    for first in range(0, rows, _ROWS_AT_ONCE):
        count = min(_ROWS_AT_ONCE, rows - first)
        noise = 0.2 * draw.standard_normal((count, _CHANNELS), np.float32)
        tensor[first : first + count] = draw.standard_normal((count, _DIRECTIONS), np.float32) @ mixing + noise
    tensor.flush()
    return int(tensor.nbytes)


def rows_of(folder: Path, codecs: list[str], tensor_bytes: int) -> Iterator[dict[str, Any]]:
    """Ingest and read by each codec."""
    for codec in codecs:
        store = str(folder / f"{codec}.lamofc")
        quality = ["--snr", "10"] if codec != "raw" else []
        ingest = ["ingest", str(folder / "source"), store, "--codec", codec, *quality, "--no-progress"]
        for verb, program, arguments in (("ingest", _INGEST, ingest), ("read", _READ, [store])):
            started = time.perf_counter()
            peak = _peak_bytes(program, arguments)
            seconds = time.perf_counter() - started
            beside = (peak - tensor_bytes) / 1e9
            yield {"codec": codec, "verb": verb, "seconds": seconds, "peak_gb": peak / 1e9, "beside_gb": beside}


def _peak_bytes(program: str, arguments: list[str]) -> int:
    """Run a program that tells its peak in its last line."""
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return int(ran.stdout.splitlines()[-1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--gigabytes", type=float, default=0.5, metavar="GB", help="size of the tensor")
    parser.add_argument("--codecs", type=names, default="raw,klt", metavar="NAME,...", help="codecs")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure each codec."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as temporary:
        folder = Path(temporary)
        (folder / "source").mkdir()
        size = write_tensor(folder / "source" / "tensor.npy", arguments.gigabytes)
        report.line(f"{size / 1e9:.2f} GB of float16, {size // (2 * _CHANNELS)} x {_CHANNELS}")
        report.table(COLUMNS)
        for row in rows_of(folder, arguments.codecs, size):
            rows.append(row)
            report.row(row)
    return {"tensor_gb": size / 1e9, "rows": rows}


BENCHMARK = Benchmark("large", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

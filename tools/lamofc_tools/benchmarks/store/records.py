"""Measure records from page cache, the entropy coder, and ingest.

Every comparison is made in one run on one core: the same records through a sharded `zarr.Array`, the same symbols
through CompressAI's coder. Figures are medians of several rounds.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
import zarr.codecs

import lamofc_store as lamofc
from lamofc_codecs import fit
from lamofc_store import Quality, Sample
from lamofc_tools.benchmarks.entropy_coders import measure_entropy_coders
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report
from lamofc_tools.benchmarks.synthetic_features import random_tokens
from lamofc_tools.machine import median_seconds

SIZES = {200: 20_000, 8_000: 8_000, 1_000_000: 96}
"""Bytes of a record, and the number of such records."""
BATCH = 256
BUDGETS = {"records_a_second_at_8000": 150_000, "times_zarr_at_8000": 10.0, "decode_times_compressai": 15.0}
UNITS = {
    "store": "verified records per second",
    "zarr": "verified records per second",
    "encode": "symbols per second",
    "decode": "symbols per second",
    "ingest_gb_a_second": "GB/s of float32",
}
RECORD_COLUMNS = (
    Column("size", "bytes", ">10"),
    Column("store", "store /s", ">12,.0f"),
    Column("zarr", "zarr /s", ">12,.0f"),
    Column("times", "times", ">8.1f"),
)
CODER_COLUMNS = (
    Column("name", "rANS, one core", "<38"),
    Column("encode", "encode Msymbol/s", ">16.1f"),
    Column("decode", "decode Msymbol/s", ">16.1f"),
)
INGEST_COLUMNS = (Column("codec", "ingest, all cores", "<18"), Column("rate", "GB/s of source", ">14.3f"))
INGESTED: dict[str, Quality | None] = {
    "raw": None,
    "uniform": Quality(snr_db=10),
    "lloydmax": None,
    "klt": Quality(snr_db=10),
}
"""Codecs whose ingest is measured, each with its quality."""


def byte_samples(size: int, count: int) -> Iterator[Sample]:
    """Make samples of random bytes: no codec shortens them, so a record is as long as its source."""
    generator = np.random.default_rng(size)
    for number in range(count):
        data = generator.integers(0, 256, size, dtype=np.uint8)
        yield Sample(f"img_{number:07d}", {"bytes": torch.from_numpy(data)})


def store_rate(folder: Path, size: int, count: int, rounds: int) -> float:
    """Measure verified records a second, looked up by sample id in random order."""
    with lamofc.open(str(folder / f"{size}.lamofc"), "w") as store:
        store.ingest(byte_samples(size, count), codec="raw")
        dataset = store.dataset(["bytes"])
        ids = np.random.default_rng(0).choice(np.array(dataset.samples, object), min(count, 8_192)).tolist()

        def fetch() -> None:
            for first in range(0, len(ids), BATCH):
                dataset.packed(dataset.locate(ids[first : first + BATCH]))

        return len(ids) / median_seconds(fetch, rounds)


def zarr_rate(folder: Path, size: int, count: int, rounds: int) -> float:
    """Measure the same from a sharded Zarr array: each chunk is a record with a checksum."""
    array = zarr.create_array(
        str(folder / f"{size}.zarr"),
        shape=(count, size),
        chunks=(1, size),
        shards=(min(count, 4_096 if size < 100_000 else 32), size),
        dtype="uint8",
        compressors=zarr.codecs.Crc32cCodec(),
    )
    for first in range(0, count, array.shards[0] if array.shards else count):
        block = [sample.features["bytes"].numpy() for sample in byte_samples(size, min(count, first + 4_096))][first:]
        array[first : first + len(block)] = np.stack(block)
    opened = zarr.open_array(str(folder / f"{size}.zarr"), mode="r")
    indices = np.random.default_rng(0).integers(0, count, 256).tolist()
    return len(indices) / median_seconds(lambda: [opened[index] for index in indices], max(1, rounds // 2))


def ingest_rate(folder: Path, codec: str, quality: Quality | None, rounds: int) -> float:
    """Measure bytes of float32 a second into a store, 1029 x 1024 a sample, commit included; `klt` has a profile."""
    tensors = random_tokens(1024, 24, 1)
    samples = [Sample(str(number), {"x": tensor}) for number, tensor in enumerate(tensors)]
    profile = fit("klt", tensors[:8], quality) if codec == "klt" else None

    def ingest() -> None:
        with lamofc.open(str(folder / "ingest.lamofc"), "w") as store:
            store.ingest(samples, codec=codec, quality=quality, fit_samples=8, profile=profile)

    return sum(tensor.nbytes for tensor in tensors) / median_seconds(ingest, rounds)


def on_one_core(work: Callable[[], Any]) -> Any:
    """Run some work with one core and one torch thread."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {max(cores)})
    torch.set_num_threads(1)
    try:
        return work()
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def measure_records(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Measure the store and Zarr at every record size."""
    figures = {}
    for size, count in SIZES.items():
        store = on_one_core(partial(store_rate, folder, size, count, rounds))
        sharded = on_one_core(partial(zarr_rate, folder, size, count, rounds))
        figures[str(size)] = {"store": store, "zarr": sharded, "times": store / sharded}
    return figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds of each measurement")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure records, entropy coders and ingest."""
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as temporary:
        folder = Path(temporary)
        records = measure_records(folder, arguments.rounds)
        report.line("verified records by sample id, one core, page cache")
        report.table(RECORD_COLUMNS, ({"size": int(size), **row} for size, row in records.items()))
        coders = on_one_core(lambda: measure_entropy_coders(arguments.rounds))
        report.table(
            CODER_COLUMNS,
            (
                {"name": name, "encode": row["encode"] / 1e6, "decode": row["decode"] / 1e6}
                for name, row in coders.items()
            ),
        )
        ingest = {
            codec: ingest_rate(folder, codec, quality, max(3, arguments.rounds // 2)) / 1e9
            for codec, quality in INGESTED.items()
        }
        report.table(INGEST_COLUMNS, ({"codec": codec, "rate": rate} for codec, rate in ingest.items()))
    return {
        "budgets": BUDGETS,
        "python": platform.python_version(),
        "rounds": arguments.rounds,
        "records": records,
        "coder": coders,
        "ingest_gb_a_second": ingest,
    }


BENCHMARK = Benchmark("records", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

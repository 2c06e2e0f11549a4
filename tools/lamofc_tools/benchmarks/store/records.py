"""Records from page cache, the entropy coder, ingest: `tools/bench records`.

Every comparison is made in one run on one core: the same records through a sharded `zarr.Array`, the same symbols
through CompressAI's coder. Figures are medians of several rounds; the last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
from lamofc_tools.benchmarks.codecs import coder, cpu
from lamofc_tools.machine import machine

SIZES = {200: 20_000, 8_000: 8_000, 1_000_000: 96}
"""Bytes of a record, and how many of them."""
BATCH = 256
BUDGETS = {"records_a_second_at_8000": 150_000, "times_zarr_at_8000": 10.0, "decode_times_compressai": 15.0}


def median_rate(count: int, work: Callable[[], object], rounds: int) -> float:
    """How many a second: the median over rounds, after one that warms up."""
    work()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return count / statistics.median(seconds)


def samples_of(size: int, count: int) -> Iterator[Sample]:
    """Samples whose only feature is random bytes: no codec shortens them, so a record is as long as its source."""
    noise = np.random.default_rng(size)
    for number in range(count):
        data = noise.integers(0, 256, size, dtype=np.uint8)
        yield Sample(f"img_{number:07d}", {"bytes": torch.from_numpy(data)})


def fetch_rate(folder: Path, size: int, count: int, rounds: int) -> float:
    """Verified records a second, looked up by sample id in random order."""
    with lamofc.open(str(folder / f"{size}.lamofc"), "w") as store:
        store.ingest(samples_of(size, count), codec="raw")
        dataset = store.dataset(["bytes"])
        wanted = np.random.default_rng(0).choice(np.array(dataset.samples, object), min(count, 8_192)).tolist()

        def work() -> None:
            for first in range(0, len(wanted), BATCH):
                dataset.packed(dataset.locate(wanted[first : first + BATCH]))

        return median_rate(len(wanted), work, rounds)


def zarr_rate(folder: Path, size: int, count: int, rounds: int) -> float:
    """The same from a sharded Zarr array with a checksum on every chunk, a chunk a record."""
    array = zarr.create_array(
        str(folder / f"{size}.zarr"),
        shape=(count, size),
        chunks=(1, size),
        shards=(min(count, 4_096 if size < 100_000 else 32), size),
        dtype="uint8",
        compressors=zarr.codecs.Crc32cCodec(),
    )
    for first in range(0, count, array.shards[0] if array.shards else count):
        block = [sample.features["bytes"].numpy() for sample in samples_of(size, min(count, first + 4_096))][first:]
        array[first : first + len(block)] = np.stack(block)
    opened = zarr.open_array(str(folder / f"{size}.zarr"), mode="r")
    wanted = np.random.default_rng(0).integers(0, count, 256).tolist()
    return median_rate(len(wanted), lambda: [opened[index] for index in wanted], max(1, rounds // 2))


def ingest_rate(folder: Path, codec: str, quality: Quality | None, rounds: int) -> float:
    """Bytes of float32 source a second into a store, 1029 x 1024 a sample, commit included; `klt` with its profile."""
    tensors = cpu.features(1024, 24, 1)
    samples = [Sample(str(number), {"x": tensor}) for number, tensor in enumerate(tensors)]
    total = sum(tensor.nbytes for tensor in tensors)
    profile = fit("klt", tensors[:8], quality) if codec == "klt" else None

    def work() -> None:
        with lamofc.open(str(folder / "ingest.lamofc"), "w") as store:
            store.ingest(samples, codec=codec, quality=quality, fit_samples=8, profile=profile)

    return median_rate(total, work, rounds)


def on_one_core(work: Callable[[], Any]) -> Any:
    """Run with one core and one torch thread."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {max(cores)})
    torch.set_num_threads(1)
    try:
        return work()
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {"machine": machine(), "rounds": rounds, "records": {}}
    for size, count in SIZES.items():
        ours = on_one_core(partial(fetch_rate, folder, size, count, rounds))
        theirs = on_one_core(partial(zarr_rate, folder, size, count, rounds))
        found["records"][str(size)] = {"store": ours, "zarr": theirs, "times": ours / theirs}
    found["coder"] = on_one_core(lambda: coder.measure(rounds))
    found["ingest_gb_a_second"] = {
        name: ingest_rate(folder, name, quality, max(3, rounds // 2)) / 1e9
        for name, quality in (
            ("raw", None),
            ("uniform", Quality(snr_db=10)),
            ("lloydmax", None),
            ("klt", Quality(snr_db=10)),
        )
    }
    return found


def show(found: dict[str, Any]) -> None:
    """A table for people."""
    print(f"{found['machine']}; medians of {found['rounds']} rounds\n")
    print("verified records by sample id, one core, page cache")
    print(f"{'bytes':>10} {'store /s':>12} {'zarr /s':>12} {'times':>8}")
    for size, row in found["records"].items():
        print(f"{size:>10} {row['store']:>12,.0f} {row['zarr']:>12,.0f} {row['times']:>8.1f}")
    print("\nrANS, one core, millions of symbols a second")
    for name, row in found["coder"].items():
        print(f"  {name:<24} encode {row['encode'] / 1e6:>8.1f}   decode {row['decode'] / 1e6:>8.1f}")
    print("\ningest of 1029 x 1024 float32, all cores, GB/s of source")
    for name, rate in found["ingest_gb_a_second"].items():
        print(f"  {name:<12} {rate:.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and last one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lamofc-bench-") as folder:
        found = measure(Path(folder), given.rounds)
    show(found)
    print(json.dumps({"budgets": BUDGETS, "python": platform.python_version(), **found}))


if __name__ == "__main__":
    main()

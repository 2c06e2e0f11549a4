"""Measure a store of embeddings, one vector a sample, in records of their own and in blocks.

The table shows how fast vectors are ingested, how many bytes they take, and how fast they are read. Without a source
the vectors are synthetic: normalised, with a falling spectrum.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, whole_number

BATCH = 256
BLOCKS = (1, 64, 256)
_FITTED, _READ_IN_ORDER = 32_768, 65_536
_MAX_SINGLE_VECTORS = 4096
"""Most vectors that are stored in records of their own: that is slow, and the figures need no more."""
COLUMNS = (
    Column("block", "block", ">6"),
    Column("vectors", "vectors", ">8"),
    Column("bytes", "bytes", ">7.1f"),
    Column("snr_db", "SNR dB", ">7.2f"),
    Column("ingested", "in/s", ">8.0f"),
    Column("in_order", "read in order/s", ">16.0f"),
    Column("at_random", "at random/s", ">12.0f"),
    Column("uncached", "uncached/s", ">11.0f"),
    Column("opened_s", "open, s", ">8.2f"),
    Column("peak_gb", "peak, GB", ">9.2f"),
)
UNITS = {
    "bytes": "bytes per vector",
    "snr_db": "dB",
    "ingested": "vectors per second, made one after another, without the fit",
    "in_order": f"vectors per second, batches of {BATCH}",
    "at_random": f"vectors per second, a shuffled epoch in batches of {BATCH}, from its beginning",
    "uncached": f"vectors per second, shuffled batches of {BATCH}, no decoded block kept",
    "opened_s": "s from opening a store to its dataset",
    "peak_gb": "GB of resident memory, the largest so far",
}
Vectors = Callable[[], Iterator[Sample]]
"""Makes the vectors, one after another, anew."""


@dataclass(frozen=True)
class Row:
    """Figures of vectors in blocks of one size."""

    block: int
    vectors: int
    ingested: float
    """Vectors a second, without the fit."""
    bytes: float
    """Bytes of a vector."""
    snr_db: float
    in_order: float
    """Vectors read a second, in batches of 256."""
    at_random: float
    """Vectors read a second in a shuffled epoch, of which the first batches decode most blocks."""
    uncached: float
    """Vectors read a second in shuffled batches without a cache of decoded blocks."""
    opened_s: float
    """Seconds until a store that is opened has its dataset."""
    peak_gb: float
    """Most memory that the process has held so far, in GB."""


def synthetic_vectors(count: int, channels: int) -> Iterator[Sample]:
    """Generate vectors of length 1 whose directions fall in strength."""
    generator = torch.Generator().manual_seed(0)
    strength = torch.exp(-torch.arange(channels) / (channels / 4))
    mixing = torch.randn(channels, channels, generator=generator) * strength[:, None]
    for start in range(0, count, BATCH):
        rows = torch.nn.functional.normalize(torch.randn(BATCH, channels, generator=generator) @ mixing, dim=1)
        for place, row in enumerate(rows[: count - start]):
            yield Sample(f"v{start + place:08}", {"vector": row})


def read_vectors(source: str, count: int) -> Iterator[Sample]:
    """Read the first vectors of a source of embeddings."""
    for sample in islice(lamofc.sources.open(source), count):
        yield Sample(sample.id, {"vector": sample.features[min(sample.features)].reshape(-1)})


def measure(vectors: Vectors, block: int, quality: Quality, folder: Path) -> Row:
    """Measure one store."""
    profile = lamofc.fit_profiles(list(islice(vectors(), _FITTED)), quality=quality)["vector"]
    url = str(folder / f"{block}.lamofc")
    with lamofc.open(url, "w") as store:
        started = time.perf_counter()
        stored = vectors() if block > 1 else islice(vectors(), _MAX_SINGLE_VECTORS)
        samples = store.ingest(stored, profile=profile, quality=quality, block=block).samples
        seconds = time.perf_counter() - started
    started = time.perf_counter()
    with lamofc.open(url) as store:
        dataset = store.dataset("vector")
        opened = time.perf_counter() - started
        size, snr = store.sql("SELECT stored_bytes / samples, snr_db FROM features").fetchall()[0]
        count = samples // BATCH * BATCH
        order = np.random.default_rng(1).permutation(count)
        in_order = _vectors_per_second(dataset.__getitems__, np.arange(min(count, _READ_IN_ORDER)))
        shuffled = store.dataset("vector")
        started = time.perf_counter()
        for batch in order.reshape(-1, BATCH):
            shuffled.__getitems__(batch.tolist())
        at_random = count / (time.perf_counter() - started)
        uncached = _vectors_per_second(store.dataset("vector", block_cache=0).__getitems__, order[: 16 * BATCH])
    speeds = (samples / seconds, float(size), float(snr), in_order, at_random, uncached)
    return Row(block, samples, *speeds, opened, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def _vectors_per_second(read: Callable[[list[int]], object], indices: NDArray[np.int64]) -> float:
    """Return the median speed over batches, after one that warms up."""
    seconds = []
    for batch in indices.reshape(-1, BATCH):
        started = time.perf_counter()
        read(batch.tolist())
        seconds.append(time.perf_counter() - started)
    return BATCH / median(seconds[1:] or seconds)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("source", nargs="?", help="embeddings, such as a Parquet table; synthetic by default")
    parser.add_argument("--count", type=int, default=32_768, metavar="N", help="number of vectors")
    parser.add_argument("--channels", type=int, default=768, metavar="N", help="channels of synthetic vectors")
    parser.add_argument(
        "--blocks", type=_whole_numbers, default=",".join(map(str, BLOCKS)), metavar="N,...", help="vectors of a record"
    )
    parser.add_argument("--snr", type=float, default=12.0, metavar="DB", help="signal-to-noise ratio")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every block size."""
    vectors: Vectors = (
        partial(synthetic_vectors, arguments.count, arguments.channels)
        if arguments.source is None
        else partial(read_vectors, arguments.source, arguments.count)
    )
    channels = len(next(vectors()).features["vector"])
    report.line(f"{channels} channels, {arguments.snr:g} dB")
    report.table(COLUMNS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for block in arguments.blocks:
            rows.append(asdict(measure(vectors, block, Quality(snr_db=arguments.snr), Path(folder))))
            report.row(rows[-1])
    return {"channels": channels, "rows": rows}


def _whole_numbers(text: str) -> list[int]:
    return [whole_number(part) for part in text.split(",")]


BENCHMARK = Benchmark("vectors", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

"""Measure a store of embeddings, one vector a sample, in records of their own and in blocks.

The table shows how fast vectors are ingested, how many bytes they take, and how fast they are read. Without a source
the vectors are synthetic: normalised, with a falling spectrum.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report

BATCH = 256
BLOCKS = (1, 64, 256)
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
)
UNITS = {
    "bytes": "bytes per vector",
    "snr_db": "dB",
    "ingested": "vectors per second, without the fit",
    "in_order": f"vectors per second, batches of {BATCH}",
    "at_random": f"vectors per second, a shuffled epoch in batches of {BATCH}, from its beginning",
    "uncached": f"vectors per second, shuffled batches of {BATCH}, no decoded block kept",
}
Vectors = list[tuple[str, torch.Tensor]]


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


def synthetic_vectors(count: int, channels: int) -> Vectors:
    """Generate vectors of length 1 whose directions fall in strength."""
    generator = torch.Generator().manual_seed(0)
    strength = torch.exp(-torch.arange(channels) / (channels / 4))
    mixing = torch.randn(channels, channels, generator=generator) * strength[:, None]
    vectors: Vectors = []
    for start in range(0, count, BATCH):
        rows = torch.nn.functional.normalize(torch.randn(BATCH, channels, generator=generator) @ mixing, dim=1)
        vectors += [(f"v{start + place:08}", row) for place, row in enumerate(rows)]
    return vectors[:count]


def read_vectors(source: str, count: int) -> Vectors:
    """Read the first vectors of a source of embeddings."""
    vectors: Vectors = []
    for sample in lamofc.sources.open(source):
        if len(vectors) == count:
            break
        name = min(sample.features)
        vectors.append((sample.id, sample.features[name].reshape(-1)))
    return vectors


def samples(vectors: Vectors) -> Iterator[Sample]:
    """Make a sample of each vector."""
    for name, vector in vectors:
        yield Sample(name, {"vector": vector})


def measure(vectors: Vectors, block: int, quality: Quality, folder: Path) -> Row:
    """Measure one store."""
    stored = vectors if block > 1 else vectors[:_MAX_SINGLE_VECTORS]
    profile = lamofc.fit_profiles(list(samples(vectors)), quality=quality)["vector"]
    with lamofc.open(str(folder / f"{block}.lamofc"), "w") as store:
        started = time.perf_counter()
        store.ingest(samples(stored), profile=profile, quality=quality, block=block)
        seconds = time.perf_counter() - started
        size, snr = store.sql("SELECT stored_bytes / samples, snr_db FROM features").fetchall()[0]
        count = len(stored) // BATCH * BATCH
        order = np.random.default_rng(1).permutation(count)
        in_order = _vectors_per_second(store.dataset("vector").__getitems__, np.arange(count))
        shuffled = store.dataset("vector")
        started = time.perf_counter()
        for batch in order.reshape(-1, BATCH):
            shuffled.__getitems__(batch.tolist())
        at_random = count / (time.perf_counter() - started)
        uncached = _vectors_per_second(store.dataset("vector", block_cache=0).__getitems__, order[: 16 * BATCH])
    return Row(block, len(stored), len(stored) / seconds, float(size), float(snr), in_order, at_random, uncached)


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
    parser.add_argument("--snr", type=float, default=12.0, metavar="DB", help="signal-to-noise ratio")


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every block size."""
    synthetic = arguments.source is None
    vectors = (
        synthetic_vectors(arguments.count, arguments.channels)
        if synthetic
        else read_vectors(arguments.source, arguments.count)
    )
    channels = len(vectors[0][1])
    report.line(f"{channels} channels, {arguments.snr:g} dB")
    report.table(COLUMNS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for block in BLOCKS:
            rows.append(asdict(measure(vectors, block, Quality(snr_db=arguments.snr), Path(folder))))
            report.row(rows[-1])
    return {"channels": channels, "rows": rows}


BENCHMARK = Benchmark("vectors", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

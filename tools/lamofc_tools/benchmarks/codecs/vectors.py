"""A store of embeddings, one vector a sample: `tools/bench vectors`.

The same vectors in records of their own and in blocks: how fast they come in, what they take, how fast they are read.
Without a source the vectors are drawn, normalised, of a falling spectrum. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

import lamofc_store as lamofc
from lamofc_store import Quality, Sample
from lamofc_tools.machine import machine

BATCH = 256
BLOCKS = (1, 64, 256)
_FEW = 4096
"""Vectors that take a record each: they are slow, and a rate needs no more."""
Vectors = list[tuple[str, torch.Tensor]]


@dataclass(frozen=True)
class Row:
    """Vectors in blocks of one size."""

    block: int
    vectors: int
    ingested: float
    """Vectors a second, the fit apart."""
    bytes: float
    """Of a vector."""
    snr_db: float
    in_order: float
    """Vectors read a second, in batches of 256."""
    at_random: float


def drawn(count: int, channels: int) -> Vectors:
    """Vectors of length 1 whose directions fall in strength."""
    draw = torch.Generator().manual_seed(0)
    strength = torch.exp(-torch.arange(channels) / (channels / 4))
    mixing = torch.randn(channels, channels, generator=draw) * strength[:, None]
    found: Vectors = []
    for start in range(0, count, BATCH):
        rows = torch.nn.functional.normalize(torch.randn(BATCH, channels, generator=draw) @ mixing, dim=1)
        found += [(f"v{start + place:08}", row) for place, row in enumerate(rows)]
    return found[:count]


def opened(source: str, count: int) -> Vectors:
    """The first vectors of a source of embeddings."""
    found: Vectors = []
    for sample in lamofc.sources.open(source):
        if len(found) == count:
            break
        name = min(sample.features)
        found.append((sample.id, sample.features[name].reshape(-1)))
    return found


def samples(vectors: Vectors) -> Iterator[Sample]:
    """A sample for each."""
    for name, vector in vectors:
        yield Sample(name, {"vector": vector})


def measure(vectors: Vectors, block: int, quality: Quality, folder: Path) -> Row:
    """One store."""
    some = vectors if block > 1 else vectors[:_FEW]
    profile = lamofc.fit_profiles(list(samples(vectors)), quality=quality)["vector"]
    with lamofc.open(str(folder / f"{block}.lamofc"), "w") as store:
        started = time.perf_counter()
        store.ingest(samples(some), profile=profile, quality=quality, block=block)
        seconds = time.perf_counter() - started
        size, snr = store.sql("SELECT stored_bytes / samples, snr_db FROM features").fetchall()[0]
        dataset = store.dataset("vector")
        count = len(some) // BATCH * BATCH
        order = np.random.default_rng(1).permutation(count)
        in_order = _rate(dataset.__getitems__, np.arange(count))
        at_random = _rate(dataset.__getitems__, order[: 16 * BATCH])
    return Row(block, len(some), len(some) / seconds, float(size), float(snr), in_order, at_random)


def _rate(read: Callable[[list[int]], object], indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Vectors a second: the median over batches, after one that warms up."""
    seconds = []
    for batch in indices.reshape(-1, BATCH):
        started = time.perf_counter()
        read(batch.tolist())
        seconds.append(time.perf_counter() - started)
    return BATCH / median(seconds[1:] or seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench vectors", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("source", nargs="?", help="embeddings, such as a Parquet table; drawn, if there is none")
    parser.add_argument("--count", type=int, default=32_768, metavar="N", help="vectors")
    parser.add_argument("--channels", type=int, default=768, metavar="N", help="of vectors that are drawn")
    parser.add_argument("--snr", type=float, default=12.0, metavar="DB", help="signal to noise to aim at")
    chosen = parser.parse_args(arguments)
    vectors = opened(chosen.source, chosen.count) if chosen.source else drawn(chosen.count, chosen.channels)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(vectors, block, Quality(snr_db=chosen.snr), Path(folder)) for block in BLOCKS]
    print(f"{machine()}; {len(vectors[0][1])} channels, {chosen.snr:g} dB")
    print(f"{'block':>6}{'vectors':>9}{'bytes':>8}{'SNR dB':>8}{'in/s':>9}{'read in order/s':>17}{'at random/s':>13}")
    for row in rows:
        print(
            f"{row.block:>6}{row.vectors:>9}{row.bytes:>8.1f}{row.snr_db:>8.2f}{row.ingested:>9.0f}"
            f"{row.in_order:>17.0f}{row.at_random:>13.0f}"
        )
    print(json.dumps({"machine": machine(), "channels": len(vectors[0][1]), "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()

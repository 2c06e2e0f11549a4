"""Measure epochs of heads that read from a store and from other formats.

A linear head on pooled tokens and a small DPT head are trained for an epoch a round: from this store, read at several
rates, and from float16 in other formats; out of page cache, and through one token bucket that meters the bytes of every
reader. Every reader has one thread that prefetches, in one process; figures are medians of rounds. `memory` trains on
float16 in memory: the cost of the training itself. Features are synthetic pictures with similar neighbouring tokens, or
those of DATA, a safetensors file of one feature, samples x tokens x channels, and `label`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import lamofc_store as lamofc
from lamofc_codecs.testing import picture
from lamofc_store import FeatureLoader, Quality, Sample
from lamofc_tools.benchmarks.frame import Benchmark, Column, Report, names
from lamofc_tools.benchmarks.learning.loader_peers import PEERS, Peer
from lamofc_tools.benchmarks.learning.throttle import Bucket, ThrottledFileSystem, register
from lamofc_tools.heads import HEADS, Head, PooledHead, Task

PLACES: dict[str, tuple[float | None, float]] = {
    "page cache": (None, 0.0),
    "200 MB/s": (200e6, 0.0),
    "40 MB/s": (40e6, 0.0),
    "200 MB/s, 20 ms": (200e6, 0.02),
}
"""Bytes a second and latency in seconds of each place to read from."""
STORES: dict[str, tuple[str, Quality | None, tuple[tuple[str, Quality | None], ...]]] = {
    "klt 20 dB": (
        "klt",
        Quality(snr_db=20),
        (("", None), (" at 10", Quality(snr_db=10)), (" at 5", Quality(snr_db=5))),
    ),
    "klt 10 dB": ("klt", Quality(snr_db=10), (("", None), (" at 5", Quality(snr_db=5)))),
    "raw": ("raw", None, (("", None),)),
}
"""Codec and quality of each store, and the rates at which it is read."""
BATCH, FIT_SAMPLES, PREFETCHED_BATCHES = 8, 32, 2
COLUMNS = (
    Column("place", "place", "<17"),
    Column("reader", "reader", "<29"),
    Column("seconds", "epoch s", ">8.3f"),
    Column("samples_s", "samples/s", ">10.1f"),
    Column("read_mb", "MB read", ">9.2f"),
    Column("core_seconds", "core s", ">8.2f"),
    Column("of_memmap", "of memmap", ">9.2f"),
)
UNITS = {
    "seconds": "s per epoch",
    "samples_s": "samples per second",
    "core_seconds": "CPU seconds per epoch",
    "bytes": "bytes per epoch",
    "requests": "requests per epoch",
    "of_memmap": "seconds of the memory map, as a ratio",
}
Batches = Iterator[tuple[Sequence[Tensor], Tensor]]
"""Features of each layer, samples x tokens x channels, and targets."""
Epochs = Callable[[int], Batches]
"""The batches of one epoch, by its seed."""


@dataclass(frozen=True)
class Job:
    """A head and its training data."""

    name: str
    features: Tensor
    """Samples x layers x tokens x channels, float16."""
    labels: Tensor
    fit_features: Tensor
    """Other samples, on which the profiles of the stores are fitted."""
    make_head: Callable[[], Head]

    @property
    def layers(self) -> list[str]:
        """Names of the features."""
        return [f"layer.{number}" for number in range(self.features.shape[1])]


def linear_job(name: str, features: Tensor, labels: Tensor, fit_features: Tensor) -> Job:
    """Make the job of a linear head on mean-pooled tokens."""
    task = Task("classes", int(labels.max()) + 1)
    return Job(
        name, features[:, None], labels, fit_features[:, None], lambda: HEADS["linear"]([features.shape[2]], task)
    )


def pictures(numbers: range, side: int, channels: int, layers: int) -> Tensor:
    """Generate synthetic features: samples x layers x tokens x channels."""
    return torch.stack(
        [
            torch.stack([picture(side, side, channels, 10_000 * layer + number, first=1) for layer in range(layers)])
            for number in numbers
        ]
    ).half()


def jobs(data: Path | None, count: int, job_names: Sequence[str]) -> Iterator[Job]:
    """Make the jobs that are named, and one of DATA."""
    ranges = (range(count), range(count, count + FIT_SAMPLES))
    if "pictures" in job_names:
        features, others = (pictures(numbers, 32, 1024, 1)[:, 0] for numbers in ranges)
        yield linear_job(f"linear, {count} x {tuple(features.shape[1:])}", features, torch.arange(count) % 10, others)
    if data is not None:
        tensors = load_file(data)
        (name,) = (name for name in tensors if name != "label")
        features, is_even = tensors[name].half(), torch.arange(len(tensors[name])) % 2 == 0
        labels = tensors["label"].long()
        yield linear_job(f"linear, {data.stem}", features[is_even], labels[is_even], features[~is_even])
    if "dpt" in job_names:
        features, others = (pictures(numbers, 16, 384, 4) for numbers in ranges)
        maps = torch.stack([(features[number, 0, 1:, 0] > 0).reshape(16, 16) for number in range(count)]).long()
        task = Task("segments", 2)
        make_head = lambda: HEADS["dpt"]([384] * 4, task, prefix=1, inner=16)  # noqa: E731 - a name for a closure
        yield Job(f"dpt, {count} x 4 x {tuple(features.shape[2:])}", features, maps, others, make_head)


class Learner:
    """A head with its optimiser."""

    def __init__(self, job: Job) -> None:
        torch.manual_seed(0)
        self.head = job.make_head().train()
        self.optimiser = torch.optim.SGD(self.head.parameters(), 1e-3)

    def step(self, layers: Sequence[Tensor], labels: Tensor) -> None:
        """Take one step on a batch of each layer."""
        outputs = self.head([layer.float() for layer in layers])
        self.optimiser.zero_grad()
        self.head.task.loss(outputs, labels).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


def prefetch(batches: Batches) -> Batches:
    """Make two batches ahead, in a thread."""
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, batches, None) for _ in range(PREFETCHED_BATCHES))
        while (batch := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, batches, None))
            yield batch


def from_store(url: str, job: Job, quality: Quality | None, *, pooled: bool = False) -> Epochs:
    """Read epochs from a store: all tokens, or tokens pooled as the head pools them."""
    dataset = lamofc.open(url).dataset(job.layers, target="number", quality=quality)
    head = job.make_head()
    if pooled and isinstance(head, PooledHead):
        dataset = dataset.pooled(head.pool)

    def epoch(seed: int) -> Batches:
        for batch in FeatureLoader(dataset, BATCH, shuffle=True, seed=seed, prefetch=0, dtype=torch.float32):
            yield [batch[layer] for layer in job.layers], job.labels[batch["number"]]

    return epoch


def from_peer(peer: Peer, job: Job) -> Epochs:
    """Read epochs from a peer; labels are found by the number of the sample, since some are maps."""
    return lambda seed: ((features.unbind(1), job.labels[numbers]) for features, numbers in peer.epoch(BATCH, seed))


def from_memory(job: Job) -> Epochs:
    """Take epochs from memory: the cost of the training itself."""

    def epoch(seed: int) -> Batches:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(job.labels)))
        for arguments in torch.split(order, BATCH):
            yield job.features[arguments].unbind(1), job.labels[arguments]

    return epoch


def readers(job: Job, folder: Path, bucket: Bucket, *, slow: bool) -> Iterator[tuple[str, Epochs]]:
    """List every way to read the features of a job; what is read is written first where it does not exist."""
    yield "memory", from_memory(job)
    for peer_class in PEERS:
        place = folder / peer_class.name.replace(" ", "-")
        if not peer_class.available():
            continue
        exists = place.exists()
        peer = peer_class(place, bucket)
        if not exists:
            peer.write(job.features.numpy(), np.arange(len(job.labels)))
        yield peer_class.name, from_peer(peer, job)
    pooled_choices = (False, True) if isinstance(job.make_head(), PooledHead) else (False,)
    for name, (codec, quality, reads) in STORES.items():
        path = folder / name.replace(" ", "-")
        if not path.exists():
            fill_store(path, job, codec, quality)
        for suffix, rate in reads:
            for pooled in pooled_choices:
                url = f"throttled://{path}" if slow else str(path)
                yield f"store, {name}{suffix}{', pooled' * pooled}", from_store(url, job, rate, pooled=pooled)


def fill_store(path: Path, job: Job, codec: str, quality: Quality | None) -> None:
    """Create a store of the features of a job, with profiles fitted on other samples."""
    others = [
        Sample(f"f{number}", dict(zip(job.layers, layers, strict=True)))
        for number, layers in enumerate(job.fit_features)
    ]
    samples = [
        Sample(f"{number:06d}", dict(zip(job.layers, layers, strict=True)), {"number": number})
        for number, layers in enumerate(job.features)
    ]
    with lamofc.open(str(path), "a") as store:
        store.ingest(others, codec, quality, fit_samples=len(others))
        store.forget([sample.id for sample in others])
        store.ingest(samples, codec, quality)


def measure(job: Job, epochs: Epochs, bucket: Bucket, rounds: int) -> dict[str, Any]:
    """Measure seconds, CPU seconds and bytes of an epoch."""
    learner, seconds, core_seconds = Learner(job), [], []
    bucket.reset()
    for number in range(rounds + 1):
        started, core_started, count = time.perf_counter(), time.process_time(), 0
        for layers, labels in prefetch(epochs(number)):
            learner.step(layers, labels)
            count += len(labels)
        if count != len(job.labels):
            raise RuntimeError(f"an epoch gave {count} of {len(job.labels)} samples")
        seconds.append(time.perf_counter() - started)
        core_seconds.append(time.process_time() - core_started)
    median = statistics.median(seconds[1:])
    return {
        "seconds": median,
        "samples_s": len(job.labels) / median,
        "core_seconds": statistics.median(core_seconds[1:]),
        "bytes": bucket.bytes // (rounds + 1),
        "requests": bucket.requests // (rounds + 1),
    }


def rows_of(job: Job, folder: Path, places: Sequence[str], rounds: int) -> Iterator[dict[str, Any]]:
    """Measure every reader in every place."""
    for place in places:
        bucket = Bucket(*PLACES[place])
        ThrottledFileSystem.bucket = bucket
        for name, epochs in readers(job, folder, bucket, slow=place != "page cache"):
            yield {"job": job.name, "place": place, "reader": name, **measure(job, epochs, bucket, rounds)}


def place_names(text: str) -> list[str]:
    """Parse the argument of `--places`, whose names may contain commas."""
    return text.split(";")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this benchmark."""
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA", help="a file of features and labels")
    parser.add_argument("--count", type=int, default=64, metavar="N", help="synthetic samples")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="epochs that are timed, after one that is not"
    )
    parser.add_argument("--jobs", type=names, default="pictures,dpt", metavar="NAME,...", help="synthetic jobs")
    parser.add_argument(
        "--places", type=place_names, default=";".join(PLACES), metavar="PLACE;...", help="places to read from"
    )


def run(arguments: argparse.Namespace, report: Report) -> dict[str, Any]:
    """Measure every job."""
    register()
    rows: list[dict[str, Any]] = []
    for job in jobs(arguments.data, arguments.count, arguments.jobs):
        report.line(f"\n{job.name}, {job.features.nbytes / 1e6:.1f} MB of float16")
        report.table(COLUMNS)
        memmap_seconds = 1.0
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(job, Path(folder), arguments.places, arguments.rounds):
                memmap_seconds = row["seconds"] if row["reader"] == "npy memmap" else memmap_seconds
                row["of_memmap"] = memmap_seconds / row["seconds"]
                report.row({**row, "read_mb": row["bytes"] / 1e6})
                rows.append(row)
    return {"rounds": arguments.rounds, "rows": rows}


BENCHMARK = Benchmark("train", __doc__ or "", run, add_arguments, UNITS)

if __name__ == "__main__":
    sys.exit(BENCHMARK.main())

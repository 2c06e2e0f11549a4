"""Epochs of heads from a store and from other formats: `tools/bench train [DATA]`.

A linear head on pooled tokens and a small DPT head are trained for an epoch a round, from this store read at several
rates and from float16 in other formats, out of page cache and through one token bucket that all take their bytes from.
Every reader has one thread ahead of the training, in one process; figures are medians of rounds. `memory` trains on
float16 that lies in memory: what training itself takes. Features are drawn pictures (neighbours are alike), or DATA: a
safetensors file of samples x tokens x channels and `label`. The last line is one JSON document.
"""

from __future__ import annotations

import argparse
import json
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
from lamofc_tools.benchmarks.learning.loader_peers import PEERS, Peer
from lamofc_tools.benchmarks.learning.throttle import Bucket, ThrottledFileSystem, register
from lamofc_tools.heads import HEADS, Head, PooledHead, Task
from lamofc_tools.machine import machine

PLACES: dict[str, tuple[float | None, float]] = {
    "page cache": (None, 0.0),
    "200 MB/s": (200e6, 0.0),
    "40 MB/s": (40e6, 0.0),
    "200 MB/s, 20 ms": (200e6, 0.02),
}
STORES: dict[str, tuple[str, Quality | None, tuple[tuple[str, Quality | None], ...]]] = {
    "klt 20 dB": (
        "klt",
        Quality(snr_db=20),
        (("", None), (" at 10", Quality(snr_db=10)), (" at 5", Quality(snr_db=5))),
    ),
    "klt 10 dB": ("klt", Quality(snr_db=10), (("", None), (" at 5", Quality(snr_db=5)))),
    "raw": ("raw", None, (("", None),)),
}
"""Codec and quality of each store, and at which rates it is read."""
Epoch = Iterator[tuple[Sequence[Tensor], Tensor]]
"""Batches: of each layer samples x tokens x channels, and targets."""
BATCH, FITTED = 8, 32


@dataclass(frozen=True)
class Job:
    """A head, what it is trained on, and how large that is."""

    name: str
    features: Tensor
    """Samples x layers x tokens x channels, float16."""
    labels: Tensor
    fitted: Tensor
    """Other samples, which the store's profiles are fitted on."""
    make: Callable[[], Head]

    @property
    def layers(self) -> list[str]:
        """Names of the features."""
        return [f"layer.{number}" for number in range(self.features.shape[1])]


def linear_job(name: str, features: Tensor, labels: Tensor, fitted: Tensor) -> Job:
    """A linear head on mean-pooled tokens."""
    task = Task("classes", int(labels.max()) + 1)
    return Job(name, features[:, None], labels, fitted[:, None], lambda: HEADS["linear"]([features.shape[2]], task))


def pictures(numbers: range, side: int, channels: int, layers: int) -> Tensor:
    """Drawn features: samples x layers x tokens x channels."""
    return torch.stack(
        [
            torch.stack([picture(side, side, channels, 10_000 * layer + number, first=1) for layer in range(layers)])
            for number in numbers
        ]
    ).half()


def jobs(data: Path | None, count: int, names: Sequence[str]) -> Iterator[Job]:
    """Those asked for."""
    if "pictures" in names:
        drawn, others = (
            pictures(numbers, 32, 1024, 1)[:, 0] for numbers in (range(count), range(count, count + FITTED))
        )
        yield linear_job(f"linear, {count} x {tuple(drawn.shape[1:])}", drawn, torch.arange(count) % 10, others)
    if data is not None:
        tensors = load_file(data)
        (name,) = (name for name in tensors if name != "label")
        features, seen = tensors[name].half(), torch.arange(len(tensors[name])) % 2 == 0
        yield linear_job(f"linear, {data.stem}", features[seen], tensors["label"].long()[seen], features[~seen])
    if "dpt" in names:
        drawn, others = (pictures(numbers, 16, 384, 4) for numbers in (range(count), range(count, count + FITTED)))
        maps = torch.stack([(drawn[number, 0, 1:, 0] > 0).reshape(16, 16) for number in range(count)]).long()
        task = Task("segments", 2)
        make = lambda: HEADS["dpt"]([384] * 4, task, prefix=1, inner=16)  # noqa: E731 - a name for a closure
        yield Job(f"dpt, {count} x 4 x {tuple(drawn.shape[2:])}", drawn, maps, others, make)


class Learner:
    """A head that takes steps."""

    def __init__(self, job: Job) -> None:
        torch.manual_seed(0)
        self.head = job.make().train()
        self.optimiser = torch.optim.SGD(self.head.parameters(), 1e-3)

    def step(self, layers: Sequence[Tensor], labels: Tensor) -> None:
        """One, on a batch of each layer."""
        outputs = self.head([layer.float() for layer in layers])
        self.optimiser.zero_grad()
        self.head.task.loss(outputs, labels).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()


def ahead(batches: Epoch) -> Epoch:
    """Two batches made before they are asked for."""
    with ThreadPoolExecutor(1) as thread:
        made = deque(thread.submit(next, batches, None) for _ in range(2))
        while (batch := made.popleft().result()) is not None:
            made.append(thread.submit(next, batches, None))
            yield batch


def from_store(url: str, job: Job, quality: Quality | None, *, pooled: bool = False) -> Callable[[int], Epoch]:
    """Epochs of a store, whole tokens or what their head makes of them."""
    dataset = lamofc.open(url).dataset(job.layers, target="number", quality=quality)
    head = job.make()
    if pooled and isinstance(head, PooledHead):
        dataset = dataset.pooled(head.pool)

    def epoch(seed: int) -> Epoch:
        for batch in FeatureLoader(dataset, BATCH, shuffle=True, seed=seed, prefetch=0, dtype=torch.float32):
            yield [batch[layer] for layer in job.layers], job.labels[batch["number"]]

    return epoch


def from_peer(peer: Peer, job: Job) -> Callable[[int], Epoch]:
    """Epochs of a peer; labels that are maps are found by the sample's number."""
    return lambda seed: ((features.unbind(1), job.labels[numbers]) for features, numbers in peer.epoch(BATCH, seed))


def from_memory(job: Job) -> Callable[[int], Epoch]:
    """What the training itself takes."""

    def epoch(seed: int) -> Epoch:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(job.labels)))
        for chosen in torch.split(order, BATCH):
            yield job.features[chosen].unbind(1), job.labels[chosen]

    return epoch


def readers(job: Job, folder: Path, bucket: Bucket, *, slow: bool) -> Iterator[tuple[str, Callable[[int], Epoch]]]:
    """Every way to read a job's features."""
    ways = (False, True) if isinstance(job.make(), PooledHead) else (False,)
    yield "memory", from_memory(job)
    for kind in PEERS:
        place = folder / kind.name.replace(" ", "-")
        if not kind.usable():
            continue
        written = place.exists()
        peer = kind(place, bucket)
        if not written:
            peer.write(job.features.numpy(), np.arange(len(job.labels)))
        yield kind.name, from_peer(peer, job)
    for name, (codec, quality, reads) in STORES.items():
        url = folder / name.replace(" ", "-")
        if not url.exists():
            filled(url, job, codec, quality)
        for suffix, rate in reads:
            for pooled in ways:
                there = f"throttled://{url}" if slow else str(url)
                yield f"store, {name}{suffix}{', pooled' * pooled}", from_store(there, job, rate, pooled=pooled)


def filled(url: Path, job: Job, codec: str, quality: Quality | None) -> None:
    """A store of a job's features."""
    others = [Sample(f"f{number}", dict(zip(job.layers, one, strict=True))) for number, one in enumerate(job.fitted)]
    samples = [
        Sample(f"{number:06d}", dict(zip(job.layers, one, strict=True)), {"number": number})
        for number, one in enumerate(job.features)
    ]
    with lamofc.open(str(url), "a") as store:
        store.ingest(others, codec, quality, fit_samples=len(others))
        store.forget([sample.id for sample in others])
        store.ingest(samples, codec, quality)


def measured(job: Job, epoch: Callable[[int], Epoch], bucket: Bucket, rounds: int) -> dict[str, Any]:
    """Seconds, bytes and seconds of cores of an epoch."""
    learner, taken, cores = Learner(job), [], []
    bucket.empty()
    for number in range(rounds + 1):
        started, used, seen = time.perf_counter(), time.process_time(), 0
        for layers, labels in ahead(epoch(number)):
            learner.step(layers, labels)
            seen += len(labels)
        if seen != len(job.labels):
            raise RuntimeError(f"{seen} samples came of {len(job.labels)}")
        taken.append(time.perf_counter() - started)
        cores.append(time.process_time() - used)
    middle = statistics.median(taken[1:])
    return {
        "seconds": middle,
        "samples_s": len(job.labels) / middle,
        "core_seconds": statistics.median(cores[1:]),
        "bytes": bucket.bytes // (rounds + 1),
        "requests": bucket.requests // (rounds + 1),
    }


def rows_of(job: Job, folder: Path, places: Sequence[str], rounds: int) -> Iterator[dict[str, Any]]:
    """Every reader in every place."""
    for place in places:
        bucket = Bucket(*PLACES[place])
        ThrottledFileSystem.bucket = bucket
        for name, epoch in readers(job, folder, bucket, slow=place != "page cache"):
            yield {"job": job.name, "place": place, "reader": name, **measured(job, epoch, bucket, rounds)}


def shown(row: dict[str, Any], raw: float) -> str:
    """A line of the table."""
    cells = f"{row['place']:18}{row['reader']:30}{row['seconds']:>9.3f}{row['samples_s']:>11.1f}"
    return f"{cells}{row['bytes'] / 1e6:>10.2f}{row['core_seconds']:>9.2f}{raw / row['seconds']:>10.2f}x"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(prog="tools/bench train", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA")
    parser.add_argument("--count", type=int, default=64, metavar="N", help="drawn samples")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--jobs", default="pictures,dpt", metavar="NAME,...", help="pictures, dpt")
    parser.add_argument("--places", default=";".join(PLACES), metavar="PLACE;...")
    chosen = parser.parse_args(arguments)
    register()
    print(machine())
    rows: list[dict[str, Any]] = []
    for job in jobs(chosen.data, chosen.count, chosen.jobs.split(",")):
        print(f"\n{job.name}, {job.features.nbytes / 1e6:.1f} MB of float16")
        print(f"{'place':18}{'reader':30}{'epoch s':>9}{'samples/s':>11}{'MB read':>10}{'core s':>9}{'of memmap':>11}")
        raw = 1.0
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(job, Path(folder), chosen.places.split(";"), chosen.rounds):
                raw = row["seconds"] if row["reader"] == "npy memmap" else raw
                row["of_memmap"] = raw / row["seconds"]
                print(shown(row, raw), flush=True)
                rows.append(row)
    print(json.dumps({"machine": machine(), "rounds": chosen.rounds, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

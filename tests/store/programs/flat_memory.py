"""Peak memory of an ingest and of reading it back: `flat_memory.py STORE CODEC MEGABYTES BATCH_BYTES`.

Prints one JSON line: `imports` is the resident set before any work, `warm` the peak after a few batches in another
store, `peak` the one after all, `more` the bytes that came in between.
"""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.ingest import batches

TOKENS, CHANNELS = 257, 256
SAMPLE_BYTES = TOKENS * CHANNELS * 4
WARM_BATCHES = 5


def samples(size: int) -> Iterator[Sample]:
    noise = torch.Generator().manual_seed(0)
    for number in range(size // SAMPLE_BYTES):
        yield Sample(f"s{number:06d}", {"x": torch.randn(TOKENS, CHANNELS, generator=noise)})


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(url: str, codec: str, size: int) -> None:
    with lamofc.open(url, "w") as store:
        store.ingest(samples(size), codec=codec, segment_bytes=batches.BATCH_BYTES)
        dataset = store.dataset(["x"])
        for first in range(0, len(dataset), 8):
            dataset.__getitems__(list(range(first, min(first + 8, len(dataset)))))


def main(url: str, codec: str, megabytes: str, batch_bytes: str) -> None:
    batches.BATCH_BYTES = int(batch_bytes)
    before, warm_bytes, size = resident(), WARM_BATCHES * batches.BATCH_BYTES, int(megabytes) * 1_000_000
    work(f"{url}.warm", codec, warm_bytes)
    warm = peak()
    work(url, codec, size)
    print(json.dumps({"imports": before, "warm": warm, "peak": peak(), "more": size - warm_bytes}))


if __name__ == "__main__":
    main(*sys.argv[1:])

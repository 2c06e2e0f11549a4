"""Peak memory of taking in and reading back: `flat_memory.py STORE MEGABYTES`. Prints one JSON line.

Memory is the resident set over what the process has after a warm-up of three batches in another store.
"""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.ingest.run import BATCH_BYTES

TOKENS, CHANNELS = 1029, 1024
SAMPLE = TOKENS * CHANNELS * 4


def samples(megabytes: int) -> Iterator[Sample]:
    noise = torch.Generator().manual_seed(0)
    for number in range(megabytes * 1_000_000 // SAMPLE):
        yield Sample(f"s{number:06d}", {"x": torch.randn(TOKENS, CHANNELS, generator=noise)})


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(url: str, megabytes: int) -> None:
    with lamofc.open(url, "w") as store:
        store.ingest(samples(megabytes), codec="lloydmax", segment_bytes=32 << 20)
        dataset = store.dataset(["x"])
        for first in range(0, len(dataset), 8):
            dataset.__getitems__(list(range(first, min(first + 8, len(dataset)))))


def main(url: str, megabytes: str) -> None:
    batches = 3 * BATCH_BYTES // 1_000_000
    before = resident()
    work(f"{url}.warm", batches)
    warm = peak()
    work(url, int(megabytes))
    print(json.dumps({"imports": before, "warm": warm, "peak": peak(), "batch": BATCH_BYTES}))


if __name__ == "__main__":
    main(*sys.argv[1:])

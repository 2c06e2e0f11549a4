"""One of several processes at work on one store: `contender.py URL OPTIONS NUMBER ROLES SECONDS`.

Prints one JSON line for each deed that was acknowledged, with its commit: the test knows from them what must be there.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.errors import Conflict, Expired, NotFound, StoreError
from lamofc_store.storage import local

Deed = dict[str, Any]


def _sample(name: str, value: float) -> Sample:
    return Sample(name, {"x": torch.full((2, 4), float(value))}, {"value": float(value)})


def _ingest(store: lamofc.Store, number: int, step: int) -> Iterator[Deed]:
    """Samples of its own, and one that all processes bring with equal content."""
    own = f"p{number}-{step:04d}"
    report = store.ingest([_sample(own, number * 10_000 + step), _sample(f"common-{step:04d}", step)], codec="raw")
    yield {"verb": "ingest", "samples": [own, f"common-{step:04d}"], "commits": report.commits, "head": store.head}


def _oppose(store: lamofc.Store, number: int, step: int) -> Iterator[Deed]:
    """Other content under an id that is there: a conflict."""
    try:
        store.ingest([_sample("first", -1.0)], codec="raw")
        yield {"verb": "broken", "what": "a conflict went unnoticed"}
    except Conflict as error:
        yield {"verb": "conflict", "exit_code": error.exit_code}


def _forget(store: lamofc.Store, number: int, step: int) -> Iterator[Deed]:
    store.refresh()
    own = [sample for sample in store if sample.startswith("p0-")]
    if own:
        samples = random.Random(step).sample(own, min(2, len(own)))
        store.forget(samples)
        yield {"verb": "forget", "samples": samples, "head": store.head}


def _tidy(store: lamofc.Store, number: int, step: int) -> Iterator[Deed]:
    done = store.compact(live=1.0, small=1 << 20)
    yield {"verb": "compact", "head": store.head, "segments": done.segments}
    if step % 3 == 2:
        store.gc("0s")


def _read(store: lamofc.Store, number: int, step: int) -> Iterator[Deed]:
    """What a reader sees at one snapshot does not change while that snapshot is kept."""
    store.refresh()
    try:
        names = list(store)
        for name in names[:5]:
            value = store[name, "x"][0, 0].item()
            rows = store.sql("SELECT value FROM samples WHERE sample = ?", [name]).fetchall()
            if rows != [(value,)]:
                yield {"verb": "broken", "what": f"{name} reads {value}, its row has {rows}"}
        yield {"verb": "read", "head": store.head, "count": len(names)}
    except (StoreError, NotFound) as error:  # collected while it was read: the next snapshot must be readable
        yield {"verb": "overtaken", "what": str(error)}


ROLES = {"ingest": _ingest, "oppose": _oppose, "forget": _forget, "tidy": _tidy, "read": _read}


def contend(
    url: str, options: dict[str, Any], number: int, roles: list[str], is_over: Callable[[int], bool]
) -> Iterator[Deed]:
    """Play roles in turn, one a step, until it is over; gives the deeds."""
    if number == 1:  # a clock that is years wrong
        right = time.time
        time.time = lambda: right() + 1e8
    if number == 2:  # it waits for nobody, so that commits meet at exclusive create
        local.COMMIT_LOCK_SECONDS = 0.0
    with lamofc.open(url, "r+", storage_options=options) as store:
        step = 0
        while not is_over(step):
            try:
                yield from ROLES[roles[step % len(roles)]](store, number, step)
            except Expired:
                store.refresh()
            step += 1


def main(url: str, options: str, number: str, roles: str, seconds: str) -> None:
    with lamofc.open("memory://warm", "w") as warm:  # compiled code is loaded before the race begins
        warm.ingest([_sample("a", 0)], codec="raw")
        assert warm["a", "x"].shape == (2, 4)
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + float(seconds)
    deeds = contend(url, json.loads(options), int(number), roles.split(","), lambda step: time.monotonic() > end)
    for deed in deeds:
        print(json.dumps(deed), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

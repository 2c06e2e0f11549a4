"""One of several processes at work on one store: `contender.py URL OPTIONS NUMBER ROLE SECONDS`.

Prints one JSON line a deed: what was acknowledged, with the commit, so that the judge can tell what must be there.
"""

import json
import random
import sys
import time

import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.errors import Conflict, Expired, NotFound, StoreError


def _sample(name: str, value: float) -> Sample:
    return Sample(name, {"x": torch.full((2, 4), float(value))}, {"value": float(value)})


def _tell(**deed: object) -> None:
    print(json.dumps(deed), flush=True)


def _ingest(store: lamofc.Store, number: int, step: int) -> None:
    """Samples of its own, and one that all processes bring with equal content."""
    own = f"p{number}-{step:04d}"
    report = store.ingest([_sample(own, number * 10_000 + step), _sample(f"common-{step:04d}", step)], codec="raw")
    _tell(verb="ingest", samples=[own, f"common-{step:04d}"], commits=report.commits, head=store.head)


def _oppose(store: lamofc.Store, number: int, step: int) -> None:
    """Other content under an id that is there: it must be told so."""
    try:
        store.ingest([_sample("first", -1.0)], codec="raw")
        _tell(verb="broken", what="a conflict went unnoticed")
    except Conflict as error:
        _tell(verb="conflict", exit_code=error.exit_code)


def _forget(store: lamofc.Store, number: int, step: int) -> None:
    store.refresh()
    own = [sample for sample in store if sample.startswith("p0-")]
    if own:
        gone = random.Random(step).sample(own, min(2, len(own)))
        store.forget(gone)
        _tell(verb="forget", samples=gone, head=store.head)


def _tidy(store: lamofc.Store, number: int, step: int) -> None:
    done = store.compact(live=1.0, small=1 << 20)
    _tell(verb="compact", head=store.head, segments=done.segments)
    if step % 3 == 2:
        store.gc("0s")


def _read(store: lamofc.Store, number: int, step: int) -> None:
    """What a reader sees at one snapshot does not change while that snapshot is kept."""
    store.refresh()
    try:
        names = list(store)
        for name in names[:5]:
            value = store[name, "x"][0, 0].item()
            told = store.sql("SELECT value FROM samples WHERE sample = ?", [name]).fetchall()
            if told != [(value,)]:
                _tell(verb="broken", what=f"{name} reads {value}, its row says {told}")
        _tell(verb="read", head=store.head, count=len(names))
    except (StoreError, NotFound) as error:  # collected under our feet: the next snapshot must be readable
        _tell(verb="overtaken", what=str(error))


ROLES = {"ingest": _ingest, "oppose": _oppose, "forget": _forget, "tidy": _tidy, "read": _read}


def main(url: str, options: str, number: str, role: str, seconds: str) -> None:
    if number == "1":  # a clock that is years wrong
        wrong = time.time
        time.time = lambda: wrong() + 1e8
    with lamofc.open("memory://warm", "w") as warm:  # compiled code is loaded before the race begins
        warm.ingest([_sample("a", 0)], codec="raw")
        assert warm["a", "x"].shape == (2, 4)
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + float(seconds)
    with lamofc.open(url, "r+", storage_options=json.loads(options)) as store:
        step = 0
        while time.monotonic() < end:
            try:
                ROLES[role](store, int(number), step)
            except Expired:
                store.refresh()
            step += 1


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A child that ends like any program, not by `os._exit`: `forking.py STORE [tensors]`. Its parent goes on reading.

Torch is loaded for `tensors` alone, as it takes seconds.
"""

import os
import sys

import lamofc_store as lamofc
from lamofc_store.storage import Range, paths


def read(store: lamofc.Store, tensors: bool) -> int:
    """Query the catalog and read from an open file; gives the number of records."""
    (segment,) = store.snapshot.segments
    assert len(store.storage.read_ranges([Range(paths.payload(segment), 0, 40)])[0]) == 40
    if tensors:
        assert store["s/0003", "hidden"].shape == (1, 6, 24)
    return int(store.sql("SELECT count(*) FROM records").fetchall()[0][0])


def main(url: str, tensors: str = "") -> int:
    store = lamofc.open(url)
    read(store, bool(tensors))
    child = os.fork()
    if child == 0:
        print("child read", read(store, bool(tensors)), flush=True)
        return 0
    print("child ended with", os.waitpid(child, 0)[1], flush=True)
    print("parent read", read(store, bool(tensors)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""A child that ends like any program, not by `os._exit`: `forking.py STORE`. Its parent goes on reading."""

import os
import sys

import torch

import lamofc_store as lamofc
from lamofc_store import Sample


def main(url: str) -> int:
    store = lamofc.open(url, "a")
    store.ingest([Sample("a", {"x": torch.ones(2, 4)})], codec="raw")
    assert store.sql("SELECT sum(elements) FROM records").fetchall() == [(8,)]
    child = os.fork()
    if child == 0:
        assert store.sql("SELECT count(*) FROM records").fetchall() == [(1,)]
        print("child read", store["a", "x"][0, 0].item(), flush=True)
        return 0
    print("child ended with", os.waitpid(child, 0)[1], flush=True)
    assert store.sql("SELECT count(*) FROM records").fetchall() == [(1,)]
    print("parent read", store["a", "x"][0, 0].item(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Ingest a folder in small segments: `ingest_folder.py SOURCE STORE [VERB]`. Says `ready` once imports are done."""

import os
import sys

import numba  # noqa: F401 - the slow imports come before `ready`
import torch  # noqa: F401

import lamofc_store as lamofc
from lamofc_store.ingest import planning  # noqa: F401
from lamofc_store.maintenance import verification  # noqa: F401


def main(source: str, url: str, verb: str = "ingest") -> None:
    print("ready", flush=True)
    with lamofc.open(url, "a") as store:
        if verb == "compact":
            store.compact(live=1.0)
            store.gc("0s")
        else:
            store.ingest(source, codec="lloydmax", segment_bytes=20_000, fit_samples=2)
    print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Ingest or compact in a process of its own for each line `[SOURCE, STORE, VERB]` of JSON that comes in.

The imports, which take longer than the work, are made once; each process is forked from this one. It says the id of the
process, and later the code that it ended with.
"""

import json
import os
import sys

import numba  # noqa: F401 - the slow imports come before the first fork
import torch  # noqa: F401

import lamofc_store as lamofc
from lamofc_store.ingest import planning  # noqa: F401
from lamofc_store.maintenance import verification  # noqa: F401


def work(source: str, url: str, verb: str) -> None:
    """Ingest in small segments, or compact and collect."""
    with lamofc.open(url, "a") as store:
        if verb == "compact":
            store.compact(live=1.0)
            store.gc("0s")
        else:
            store.ingest(source, codec="lloydmax", segment_bytes=6000, fit_samples=2)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            work(*json.loads(line))
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

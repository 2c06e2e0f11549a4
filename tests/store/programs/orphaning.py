"""Prints the ids of its workers and then waits to be killed: `orphaning.py URL START`."""

import sys
import time

import lamofc_store as lamofc


def main(url: str, start: str) -> None:
    store = lamofc.open(url)
    loader = lamofc.FeatureLoader(store.dataset(["pooled"]), 2, workers=2, start=start, timeout=60)  # type: ignore[arg-type]
    batches = iter(loader)
    next(batches)
    print(*loader.pids(), flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(*sys.argv[1:])

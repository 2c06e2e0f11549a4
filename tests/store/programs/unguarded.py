"""Starts workers where no `__main__` guard is: `unguarded.py URL START`."""

import sys

import lamofc_store as lamofc

store = lamofc.open(sys.argv[1])
loader = lamofc.FeatureLoader(store.dataset(["pooled"]), 4, workers=1, start=sys.argv[2], timeout=60)
print(sum(len(batch["sample"]) for batch in loader))

"""Loads a store in one way and prints what came: `loading.py URL OPTIONS START WORKERS READ`."""

import hashlib
import json
import sys

import lamofc_store as lamofc


def main(url: str, options: str, start: str, workers: str, read: str) -> None:
    with lamofc.open(url, storage_options=json.loads(options)) as store:
        dataset = store.dataset(["hidden", "pooled"], target="label")
        if read == "read":
            for item in dataset.__getitems__([3, 0]):
                assert item["pooled"].dim() == 1
        told = hashlib.sha256()
        loader = lamofc.FeatureLoader(
            dataset, 5, shuffle=True, ragged="list", workers=int(workers), start=start, timeout=60
        )
        for _ in range(2):
            for batch in loader:
                for number, sample in enumerate(batch["sample"]):
                    told.update(repr((sample, batch["label"][number].item())).encode())
                    told.update(batch["hidden"][number].numpy().tobytes())
        loader.close()
    print(told.hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])

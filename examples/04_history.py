"""Forget, look back, and take the bytes away: every change is a commit, and old states can be read until collected."""

import torch

import lamofc_store as lamofc

samples = [lamofc.Sample(f"s{number}", {"layer.1": torch.randn(50, 64)}) for number in range(10)]

with lamofc.open("history.lamofc", mode="w") as store:
    store.ingest(samples)
    before = store.head

    store.annotate({"s3": {"label": "cat"}, "s4": {"label": "dog"}})  # columns may come later
    assert store.find("label = 'cat'") == ["s3"]

    store.forget(["s3"])
    assert "s3" not in store
    assert "s3" in store.as_of(before)

    for commit in store.log():
        print(commit["n"], commit["verb"], commit["records"])

    store.compact(live=1.0)  # live records move to a new segment
    print(store.gc(keep="0s"))  # and what no kept snapshot needs is deleted
    assert store.verify().ok

    try:
        store.as_of(before)
    except lamofc.errors.Expired as error:
        print(f"error: {error}\ntry: {error.cure}")

"""An iteration that ends amid an exchange with a worker: its workers end too, and a later iteration has others."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lamofc_store as lamofc
from lamofc_store import FeatureLoader
from lamofc_store.errors import BadArgument

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _never(sample: str) -> int:
    time.sleep(3600)
    return 0


@pytest.mark.parametrize("call", ["readv", "write"])
def test_an_interrupt_amid_a_message_ends_the_workers(
    store: lamofc.Store, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = store.dataset(["pooled"])
    loader = FeatureLoader(dataset, 2, workers=2, start="fork", prefetch=0, timeout=60)
    batches = iter(loader)
    seen = next(batches)["sample"]
    pids, complete = loader.pids(), getattr(os, call)

    def interrupted(*arguments: Any) -> None:
        complete(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, call, interrupted)
        next(batches)
    assert loader.pids() == [] and not any(Path(f"/proc/{pid}").exists() for pid in pids)
    loader.load_state_dict(loader.state_dict())
    assert seen + [sample for batch in loader for sample in batch["sample"]] == dataset.samples


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_loader_that_is_closed_within_an_iteration_says_so(store: lamofc.Store, prefetch: int) -> None:
    dataset = store.dataset(["pooled"])
    loader = FeatureLoader(dataset, 1, workers=2, start="fork", prefetch=prefetch, timeout=60)
    batches = iter(loader)
    seen = next(batches)["sample"]
    loader.close()
    with pytest.raises(BadArgument, match="the loader was closed within this iteration") as closed:
        for batch in batches:  # some may have been made in advance
            seen += batch["sample"]
    assert "resume from state_dict()" in closed.value.cure
    loader.load_state_dict(loader.state_dict())
    assert seen + [sample for batch in loader for sample in batch["sample"]] == dataset.samples


def test_closing_does_not_wait_for_a_worker_that_hangs(store: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamofc_store.loading.worker_pool._EXIT_SECONDS", 0.2)
    loader = FeatureLoader(store.dataset(["pooled"], target=_never), 2, workers=1, start="fork", timeout=60)
    with ThreadPoolExecutor(1) as thread:
        batch = thread.submit(next, iter(loader))
        while not loader.pids():
            time.sleep(0.01)
        time.sleep(0.1)
        loader.close()
        with pytest.raises(BadArgument, match="the loader was closed within this iteration"):
            batch.result(timeout=10)

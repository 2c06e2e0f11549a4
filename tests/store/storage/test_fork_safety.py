"""A store that was opened and read, then used by forked children: it works, and never hangs."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.storage import local
from lamofc_store.storage.local import LocalStorage
from lamofc_store.storage.ulid import new_ulid
from lamofc_store.testing.forked_process import run_forked, start_forked

PROGRAM = Path(__file__).parents[1] / "programs" / "forking.py"
Make = Callable[..., list[Sample]]
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module", params=["local", "memory", "s3"])
def used(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_samples: Make
) -> Iterator[lamofc.Store]:
    """A store in every place, everything about it opened and used already."""
    options = request.getfixturevalue("s3") if request.param == "s3" else {}
    places = {"local": str(tmp_path_factory.mktemp("used")), "memory": "memory://", "s3": "s3://lamofc"}
    with lamofc.open(f"{places[request.param]}/{new_ulid()}", "a", storage_options=options) as store:
        store.ingest(make_samples(8), codec="raw", segment_bytes=3000)
        _look(store)
        torch.randn(500, 500) @ torch.randn(500, 500)  # torch's own threads are started
        yield store


def _look(store: lamofc.Store) -> dict[str, Any]:
    """Everything that reads."""
    dataset = store.dataset(["hidden", "pooled"], target="label")
    return {
        "samples": list(store),
        "one": store["s/0003", "hidden"].numpy(),
        "all": {name: tensor.view(torch.uint8).numpy() for name, tensor in store["s/0005"].items()},
        "sql": store.sql("SELECT feature, count(*) FROM records GROUP BY 1 ORDER BY 1").fetchall(),
        "locked": store.sql("SELECT count(*) FROM samples", locked=True).fetchall(),
        "items": [item["hidden"].numpy() for item in dataset.__getitems__([3, 0])],
    }


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return pickle.dumps(one) == pickle.dumps(other)


def test_a_child_reads_everything_that_its_parent_reads(used: lamofc.Store) -> None:
    expected = _look(used)
    read, verified = run_forked(lambda: (_look(used), used.verify().ok))
    assert _same(read, expected)
    assert verified
    assert _same(_look(used), expected)


def test_a_child_writes_and_its_parent_sees_it(used: lamofc.Store, make_samples: Make) -> None:
    if used.url.startswith("memory://"):
        pytest.skip("memory is each process's own")
    count = len(used)
    added = run_forked(lambda: used.ingest(make_samples(count + 2, count), codec="raw").samples)
    assert added == 2
    assert len(used) == count
    assert len(used.refresh()) == count + 2
    assert used.verify().ok
    used.ingest(make_samples(count + 4, count + 2), codec="raw")
    assert len(used) == count + 4


def test_what_a_child_closes_stays_open_in_its_parent(used: lamofc.Store) -> None:
    expected = _look(used)
    run_forked(used.close)
    assert _same(_look(used), expected)
    assert used.storage.scratch_dir() != run_forked(used.storage.scratch_dir)
    assert used.storage.scratch_dir().is_dir()


def test_a_dataset_opened_by_the_parent_is_read_by_children_at_once(used: lamofc.Store) -> None:
    dataset = used.dataset(["hidden"])
    expected = [item["hidden"].numpy() for item in dataset.__getitems__(list(range(8)))]
    rounds = 1 if used.url.startswith("s3://") else 5

    def read(seed: int) -> list[bool]:
        order = [(index * 3 + seed) % 8 for index in range(8)] * rounds
        return [bool((dataset.__getitems__([at])[0]["hidden"].numpy() == expected[at]).all()) for at in order]

    children = [start_forked(partial(read, seed)) for seed in range(2)]
    assert all(read(2))
    assert all(all(child.result()) for child in children)


def test_locked_sql_is_locked_in_a_child_too(store: lamofc.Store, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    catalog = store.catalog.locked()
    assert catalog.sql("SELECT count(*) FROM samples").fetchall() == [(12,)]

    def attack() -> str:
        assert catalog.sql("SELECT count(*) FROM samples").fetchall() == [(12,)]
        try:
            return str(catalog.sql(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')").fetchall())
        except Exception as error:
            return type(error).__name__

    assert run_forked(attack) == "BadQuery"


def test_a_child_forked_during_a_turn_does_not_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "COMMIT_LOCK_SECONDS", 60.0)
    storage = LocalStorage(str(tmp_path))
    with storage.commit_lock():
        asleep = os.fork()
        if asleep == 0:
            time.sleep(60)
            os._exit(0)
    started = time.monotonic()
    try:
        with LocalStorage(str(tmp_path)).commit_lock():
            assert time.monotonic() - started < 30
    finally:
        os.kill(asleep, signal.SIGKILL)
        os.waitpid(asleep, 0)


def _fork_beside_readers(store: lamofc.Store, forks: int) -> None:
    """Fork children that read while three threads of their parent read."""
    # A module that a thread is importing stays locked in a child: Python's own limit. So all are loaded before.
    store.sql("SELECT 1").fetchall()
    assert store["s/0003", "hidden"].shape == (1, 6, 24)
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            store["s/0003", "hidden"]
            store.sql("SELECT count(*) FROM records").fetchall()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(forks):
            count, shape = run_forked(
                lambda: (store.sql("SELECT count(*) FROM samples").fetchall(), store["s/0003", "hidden"].shape)
            )
            assert (count, tuple(shape)) == ([(12,)], (1, 6, 24))
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_a_child_forked_while_other_threads_read_does_not_wait_for_them(store: lamofc.Store) -> None:
    _fork_beside_readers(store, 3)


@pytest.mark.slow
def test_forty_children_forked_while_other_threads_read(store: lamofc.Store) -> None:
    _fork_beside_readers(store, 40)


def _end_as_programs_do(store: lamofc.Store, *arguments: str) -> None:
    command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", str(PROGRAM), store.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    expected = "child read 72\nchild ended with 0\nparent read 72\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_a_child_that_ends_as_programs_do_ends_well(store: lamofc.Store) -> None:
    _end_as_programs_do(store)


@pytest.mark.slow
def test_a_child_that_has_read_tensors_ends_well(store: lamofc.Store) -> None:
    _end_as_programs_do(store, "tensors")

"""A store that was opened and read, then used by forked children: it works, and never hangs."""

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.storage import local
from lamofc_store.storage.local import LocalStorage

PROGRAM = Path(__file__).parents[1] / "programs" / "forking.py"
Make = Callable[..., list[Sample]]
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def _in_child(work: Callable[[], Any], seconds: float = 60) -> Any:
    """What `work` gives in a forked child; a child that hangs is killed."""
    return _collect(_start(work), seconds)


def _start(work: Callable[[], Any]) -> tuple[int, int]:
    """The child's process id, and the pipe that its result comes through."""
    result, into = os.pipe()
    child = os.fork()
    if child == 0:
        told: tuple[bool, Any]
        try:
            told = True, work()
        except BaseException:
            told = False, traceback.format_exc()
        with os.fdopen(into, "wb") as out:
            pickle.dump(told, out)
        os._exit(0)
    os.close(into)
    return child, result


def _collect(started: tuple[int, int], seconds: float) -> Any:
    child, result = started
    with os.fdopen(result, "rb") as pipe:
        if not select.select([pipe], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail(f"the child hung for {seconds} s")
        data = pipe.read()
    status = os.waitpid(child, 0)[1]
    assert data, f"the child died with status {status}"
    worked, told = pickle.loads(data)  # noqa: S301 - our own bytes
    assert worked, told
    return told


@pytest.fixture
def used(place: tuple[str, dict[str, object]], make_samples: Make) -> Any:
    """A store in every place, everything about it opened and used already."""
    url, options = place
    with lamofc.open(url, "a", storage_options=options) as store:
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
        "ok": store.verify().ok,
    }


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return pickle.dumps(one) == pickle.dumps(other)


def test_a_child_reads_everything_that_its_parent_reads(used: lamofc.Store) -> None:
    expected = _look(used)
    assert expected["ok"]
    assert _same(_in_child(lambda: _look(used)), expected)
    assert _same(_look(used), expected)


def test_a_child_writes_and_its_parent_sees_it(used: lamofc.Store, make_samples: Make) -> None:
    if used.url.startswith("memory://"):
        pytest.skip("memory is each process's own")
    added = _in_child(lambda: used.ingest(make_samples(10, 8), codec="raw").samples)
    assert added == 2
    assert len(used) == 8
    assert len(used.refresh()) == 10
    assert used.verify().ok
    used.ingest(make_samples(12, 10), codec="raw")
    assert len(used) == 12


def test_what_a_child_closes_stays_open_in_its_parent(used: lamofc.Store) -> None:
    expected = _look(used)
    _in_child(used.close)
    assert _same(_look(used), expected)
    assert used.storage.scratch_dir() != _in_child(used.storage.scratch_dir)
    assert used.storage.scratch_dir().is_dir()


def test_a_dataset_opened_by_the_parent_is_read_by_children_at_once(used: lamofc.Store) -> None:
    dataset = used.dataset(["hidden"])
    expected = [item["hidden"].numpy() for item in dataset.__getitems__(list(range(8)))]

    def read(order: list[int]) -> list[bool]:
        found = [dataset.__getitems__([index])[0]["hidden"].numpy() for _ in range(5) for index in order]
        return [bool((found[at] == expected[index]).all()) for at, index in enumerate(order * 5)]

    children = [_start(lambda seed=seed: read([(index * 3 + seed) % 8 for index in range(8)])) for seed in range(3)]
    assert all(read(list(range(8))))
    assert all(all(_collect(child, 60)) for child in children)


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

    assert _in_child(attack) == "BadQuery"


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


def test_a_child_forked_while_other_threads_read_does_not_wait_for_them(store: lamofc.Store) -> None:
    store.sql("SELECT 1").fetchall()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            store["s/0003", "hidden"]
            store.sql("SELECT count(*) FROM records").fetchall()

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            assert _in_child(lambda: store.sql("SELECT count(*) FROM samples").fetchall()) == [(12,)]
            assert _in_child(lambda: tuple(store["s/0003", "hidden"].shape)) == (1, 6, 24)
    finally:
        stop.set()
        for reader in readers:
            reader.join()


def test_a_child_that_ends_as_programs_do_ends_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path / "s")], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "child read 1.0\nchild ended with 0\nparent read 1.0\n"), done.stderr

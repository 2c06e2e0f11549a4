"""Loading however it is started and whatever happens meanwhile: the same batches, or an error, and never a hang."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import FeatureLoader, Sample
from lamofc_store.errors import BadArgument, CorruptStore, WorkerLost
from lamofc_store.storage import paths
from lamofc_store.storage.ulid import new_ulid

PROGRAMS = Path(__file__).parents[1] / "programs"
Make = Callable[..., list[Sample]]
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def _run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", str(PROGRAMS / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _started(program: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, str(PROGRAMS / program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module", params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: Any, make_samples: Make) -> tuple[str, str, str]:
    """A store, its storage options, and what a program prints that loads it without workers."""
    options: dict[str, Any] = request.getfixturevalue("s3") if request.param == "s3" else {}
    url = f"s3://lamofc/{new_ulid()}" if options else str(tmp_path_factory.mktemp("loaded") / "s")
    with lamofc.open(url, "w-", storage_options=options) as store:
        store.ingest(make_samples(23), codec="raw", segment_bytes=3000)
    told = json.dumps(options)
    done = _run("loading.py", url, told, "forkserver", 0, "fresh")
    assert done.returncode == 0, done.stderr
    return url, told, done.stdout


SOON = {("forkserver", 2, "read")}
MATRIX = [
    pytest.param(start, workers, read, marks=() if (start, workers, read) in SOON else pytest.mark.slow)
    for start in ("forkserver", "spawn", "fork")
    for workers in (2, 4)
    for read in ("fresh", "read")
]


@pytest.mark.parametrize(("start", "workers", "read"), MATRIX)
def test_workers_of_every_kind_give_the_same_batches(
    loaded: tuple[str, str, str], start: str, workers: int, read: str
) -> None:
    url, options, expected = loaded
    done = _run("loading.py", url, options, start, workers, read)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


@pytest.mark.parametrize("start", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_a_program_without_a_guard_is_told_the_two_lines(store: lamofc.Store, start: str) -> None:
    done = _run("unguarded.py", store.url, start)
    assert done.returncode == 1
    assert "under `if __name__ == '__main__':`" in done.stderr, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("start", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_a_killed_worker_is_an_error_and_the_epoch_can_be_gone_on_with(
    tmp_path: Path, make_samples: Make, start: Any
) -> None:
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        store.ingest(make_samples(60), codec="raw")
        dataset = store.dataset(["pooled"], target=_slowly)
        loader = FeatureLoader(dataset, 2, shuffle=True, workers=2, start=start, prefetch=1, timeout=60)
        seen: list[str] = []
        with pytest.raises(WorkerLost, match="a worker is gone: killed by SIGKILL") as lost:
            for batch in loader:
                seen += batch["sample"]
                if len(seen) == 6:
                    os.kill(next(iter(loader.pids())), signal.SIGKILL)
        assert "resume from state_dict()" in lost.value.cure
        assert 6 <= len(seen) < 60
        other = FeatureLoader(dataset, 2, shuffle=True)
        other.load_state_dict(loader.state_dict())
        seen += [sample for batch in other for sample in batch["sample"]]
        assert seen == [sample for batch in FeatureLoader(dataset, 2, shuffle=True) for sample in batch["sample"]]


def _slowly(sample: str) -> int:
    time.sleep(0.02)
    return 0


def _never(sample: str) -> int:
    time.sleep(3600)
    return 0


def test_a_worker_that_never_answers_is_an_error(store: lamofc.Store) -> None:
    loader = FeatureLoader(store.dataset(["pooled"], target=_never), 2, workers=1, start="fork", timeout=1)
    with pytest.raises(WorkerLost, match="gave nothing for 1 s"):
        next(iter(loader))
    assert loader.pids() == []


def test_a_stopped_worker_is_an_error_and_the_loader_goes_on_with_others(store: lamofc.Store) -> None:
    dataset = store.dataset(["pooled"])
    loader = FeatureLoader(dataset, 2, workers=1, start="fork", prefetch=0, timeout=1)
    batches = iter(loader)
    seen = next(batches)["sample"]
    (pid,) = loader.pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerLost, match="gave nothing for 1 s"):
        for batch in batches:  # one may have been sent already
            seen += batch["sample"]
    assert _has_ended(pid)
    loader.load_state_dict(loader.state_dict())
    assert seen + [sample for batch in loader for sample in batch["sample"]] == dataset.samples


def _raises(sample: str) -> int:
    if sample == "s/0005":
        raise RuntimeError("no label for s/0005")
    return 0


def _gives_what_cannot_be_sent(sample: str) -> Any:
    return lambda: sample


def test_an_error_of_a_target_comes_with_the_workers_traceback(store: lamofc.Store) -> None:
    loader = FeatureLoader(store.dataset(["pooled"], target=_raises), 2, workers=2, start="fork", timeout=60)
    seen: list[str] = []
    with pytest.raises(RuntimeError, match="no label for s/0005") as raised:
        for batch in loader:
            seen += batch["sample"]
    assert len(seen) == 4
    assert "raised in a worker process" in raised.value.__notes__[0] and "in _raises" in raised.value.__notes__[0]
    loader = FeatureLoader(store.dataset(["pooled"], target=_gives_what_cannot_be_sent), 2, workers=1, start="fork")
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError), match=r"pickle|local object"):
        next(iter(loader))


def test_batches_larger_than_a_pipe_come_from_workers_that_are_ahead(tmp_path: Path) -> None:
    samples = [Sample(f"{number:02d}", {"x": torch.full((1 << 19,), float(number))}) for number in range(12)]
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        store.ingest(samples, codec="raw")
        loader = FeatureLoader(store.dataset(["x"]), 2, workers=2, start="fork", prefetch=3, timeout=60)
        for _ in range(2):
            found = {sample: x for batch in loader for sample, x in zip(batch["sample"], batch["x"], strict=True)}
            assert len(found) == 12
            assert all(torch.equal(found[sample.id], sample.features["x"]) for sample in samples)


def test_an_iteration_that_is_broken_off_leaves_nothing_for_the_next(store: lamofc.Store) -> None:
    dataset = store.dataset(["pooled"])
    loader = FeatureLoader(dataset, 2, shuffle=True, workers=2, start="fork", timeout=60)
    batches = iter(loader)
    next(batches)
    pids = loader.pids()
    with pytest.raises(BadArgument, match="serve another iteration"):
        for _ in loader:  # while the first iteration goes on
            list(batches)
    for epoch in (4, 2):
        loader.set_epoch(epoch)
        expected = [dataset.samples[index] for index in loader.batch_sampler.order.indices(epoch)]
        assert [sample for batch in loader for sample in batch["sample"]] == expected
    assert loader.pids() == pids
    loader.close()
    assert all(map(_has_ended, pids))


def test_a_target_that_cannot_be_pickled_is_named(store: lamofc.Store) -> None:
    loader = FeatureLoader(store.dataset(["pooled"], target=lambda sample: 0), 2, workers=1, start="spawn")
    with pytest.raises(BadArgument, match=r"target=.*<lambda> cannot be pickled for a worker: ") as refused:
        next(iter(loader))
    assert "at the top level of a module, or 0 workers=" in refused.value.cure


def _has_ended(pid: int) -> bool:
    """Whether a process is gone, within seconds; a zombie is."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("start", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_workers_end_when_their_program_is_killed(store: lamofc.Store, start: str) -> None:
    program = _started("orphaning.py", store.url, start)
    assert program.stdout is not None
    pids = [int(pid) for pid in program.stdout.readline().split()]
    assert len(pids) == 2
    program.kill()
    program.communicate(timeout=60)
    assert all(map(_has_ended, pids))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_damaged_record_is_an_error_that_names_it_and_nothing_wrong_comes(
    tmp_path: Path, make_samples: Make, workers: int
) -> None:
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        store.ingest(make_samples(40), codec="raw")
        dataset = store.dataset(["pooled"])
        good = {sample: store[sample, "pooled"] for sample in store}
        row = store.sql(
            "SELECT segment, \"offset\" FROM records WHERE sample = 's/0017' AND feature = 'pooled'"
        ).fetchall()
        payload = tmp_path / "s" / paths.payload(row[0][0])
        data = bytearray(payload.read_bytes())
        data[row[0][1] + 40] ^= 4
        payload.write_bytes(data)
    loader = FeatureLoader(dataset, 4, shuffle=True, workers=workers, timeout=60)
    seen = []
    with pytest.raises(CorruptStore, match=f"{row[0][0]}.* at byte {row[0][1]}"):
        for batch in loader:
            assert all((batch["pooled"][at] == good[sample]).all() for at, sample in enumerate(batch["sample"]))
            seen += batch["sample"]
    order = [dataset.samples[at] for at in loader.batch_sampler.order.indices(0)]
    assert seen == order[: order.index("s/0017") // 4 * 4]
    rest = FeatureLoader(store.dataset(["pooled"], where="sample <> 's/0017'"), 4)
    assert sum(len(batch["sample"]) for batch in rest) == 39


@pytest.mark.slow
def test_two_processes_train_to_the_weights_of_one(store: lamofc.Store) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = _run("parallel.py", store.url, 0, 1, port, 4)
    assert alone.returncode == 0, alone.stderr
    ranks = [_started("parallel.py", store.url, rank, 2, port + 1, 4) for rank in range(2)]
    told = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], told
    one, two = ([float(number) for number in text.split()] for text in (alone.stdout, told[0][0]))
    assert len(one) == 48 and max(abs(a - b) for a, b in zip(one, two, strict=True)) < 1e-9

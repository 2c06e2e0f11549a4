"""A real process killed with SIGKILL at random moments: a store opens at its last commit; another run completes it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import lamofc_store as lamofc

PROGRAM = Path(__file__).parents[1] / "programs" / "ingest_folder.py"
SAMPLES = 96


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    noise = torch.Generator().manual_seed(1)
    for number in range(SAMPLES):
        tensors = {"a": torch.randn(20 + number % 7, 64, generator=noise), "b": torch.randn(64, generator=noise).half()}
        save_file(tensors, folder / f"{number:03d}.safetensors")
    return folder


class Worker:
    """A program that forks a process for each task, so that a task begins at once and can be killed."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._program = subprocess.Popen(
            [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, url: Path, verb: str = "ingest", kill_after: float | None = None) -> float:
        """Run a task, and kill its process that long after it began; gives the seconds that it ran."""
        assert self._program.stdin is not None and self._program.stdout is not None
        print(json.dumps([str(self._source), str(url), verb]), file=self._program.stdin, flush=True)
        process, started = int(self._program.stdout.readline()), time.monotonic()
        killing = threading.Timer(kill_after or 0, os.kill, (process, signal.SIGKILL))
        if kill_after is not None:
            killing.start()
        code = int(self._program.stdout.readline())
        killing.cancel()
        assert code in ((0,) if kill_after is None else (0, -signal.SIGKILL))
        return time.monotonic() - started

    def close(self) -> None:
        """End the program."""
        self._program.communicate()


@pytest.fixture(scope="module")
def worker(source: Path) -> Iterator[Worker]:
    worker = Worker(source)
    yield worker
    worker.close()


def _content(url: Path) -> dict[tuple[str, str], torch.Tensor]:
    with lamofc.open(str(url)) as store:
        found = store.verify()
        assert found.ok, found.problems
        return {(sample, feature): tensor for sample in store for feature, tensor in store[sample].items()}


def _equal(one: dict[tuple[str, str], torch.Tensor], other: dict[tuple[str, str], torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _killed_and_completed(worker: Worker, folder: Path, kills: int, seed: int) -> list[tuple[float, int]]:
    """Kill ingests until that many kills have hit; gives the moment of each and the features found there after it."""
    worker.run(folder / "whole")
    takes = worker.run(folder / "timed")  # compiled kernels are cached by now
    whole = _content(folder / "whole")
    assert len(whole) == 2 * SAMPLES
    moments, hits, stores = random.Random(seed), [], 0
    url = folder / "store0"
    for _ in range(8 * kills):
        ran = worker.run(url, kill_after=moments.uniform(0, takes))
        if not (url / "lamofc.json").exists():
            continue
        partly = _content(url)
        assert all(torch.equal(tensor, whole[key]) for key, tensor in partly.items())
        if len(partly) < len(whole):
            hits.append((ran, len(partly)))
        else:  # it was too quick for the kill, which is to come sooner
            takes = min(takes, ran)
        if len(partly) > len(whole) // 2:  # begin anew, so that kills hit early commits, too
            stores += 1
            url = folder / f"store{stores}"
        if len(hits) == kills:
            break
    worker.run(url)
    assert _equal(_content(url), whole)
    return hits


@pytest.mark.timeout(600)
def test_two_kills(worker: Worker, tmp_path: Path) -> None:
    assert len(_killed_and_completed(worker, tmp_path, 2, seed=5)) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_kills(worker: Worker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits = _killed_and_completed(worker, tmp_path, 30, seed=30)
    with capsys.disabled():
        print("\nkilled after (s), features found:", ", ".join(f"{moment:.2f}: {found}" for moment, found in hits))
    assert len({found for _, found in hits}) > 5


@pytest.mark.timeout(600)
def test_kills_of_compact_and_gc_lose_nothing(worker: Worker, tmp_path: Path) -> None:
    url = tmp_path / "s"
    worker.run(url)
    whole = _content(url)
    for moment in (0.02, 0.08, 0.2):
        worker.run(url, "compact", kill_after=moment)
        assert _equal(_content(url), whole)
    worker.run(url, "compact")
    assert _equal(_content(url), whole)

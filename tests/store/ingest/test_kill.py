"""A real process killed with SIGKILL at random moments: a store opens at its last commit; another run completes it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import lamofc_store as lamofc

PROGRAM = Path(__file__).parents[1] / "programs" / "ingest_folder.py"
SAMPLES = 160


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    noise = torch.Generator().manual_seed(1)
    for number in range(SAMPLES):
        tensors = {"a": torch.randn(20 + number % 7, 64, generator=noise), "b": torch.randn(64, generator=noise).half()}
        save_file(tensors, folder / f"{number:03d}.safetensors")
    return folder


def _run(source: Path, url: Path, verb: str, kill_after: float | None) -> float:
    """Run the program, kill it so long after it said `ready`; gives the seconds from there to its end."""
    command = [sys.executable, str(PROGRAM), str(source), str(url), verb]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        seconds = time.monotonic() - started
        assert process.wait() in ((0,) if kill_after is None else (0, -signal.SIGKILL))
        return seconds


def _content(url: Path) -> dict[tuple[str, str], torch.Tensor]:
    with lamofc.open(str(url)) as store:
        found = store.verify()
        assert found.ok, found.problems
        return {(sample, feature): tensor for sample in store for feature, tensor in store[sample].items()}


def _equal(one: dict[tuple[str, str], torch.Tensor], other: dict[tuple[str, str], torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def _killed_and_completed(source: Path, folder: Path, kills: int, seed: int) -> list[tuple[float, int]]:
    """Kill ingests until that many kills have hit; gives the moment of each and the features found there after it."""
    _run(source, folder / "whole", "ingest", None)
    takes = _run(source, folder / "timed", "ingest", None)  # compiled kernels are cached by now
    whole = _content(folder / "whole")
    assert len(whole) == 2 * SAMPLES
    moments, hits, stores = random.Random(seed), [], 0
    url = folder / "store0"
    for _ in range(8 * kills):
        ran = _run(source, url, "ingest", moments.uniform(0, takes))
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
    _run(source, url, "ingest", None)
    assert _equal(_content(url), whole)
    return hits


@pytest.mark.timeout(600)
def test_three_kills(source: Path, tmp_path: Path) -> None:
    assert len(_killed_and_completed(source, tmp_path, 3, seed=5)) == 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_kills(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hits = _killed_and_completed(source, tmp_path, 30, seed=30)
    with capsys.disabled():
        print("\nkilled after (s), features found:", ", ".join(f"{moment:.2f}: {found}" for moment, found in hits))
    assert len({found for _, found in hits}) > 5


@pytest.mark.timeout(600)
def test_kills_of_compact_and_gc_lose_nothing(source: Path, tmp_path: Path) -> None:
    url = tmp_path / "s"
    _run(source, url, "ingest", None)
    whole = _content(url)
    for moment in (0.02, 0.08, 0.2):
        _run(source, url, "compact", moment)
        assert _equal(_content(url), whole)
    _run(source, url, "compact", None)
    assert _equal(_content(url), whole)

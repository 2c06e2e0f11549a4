"""Processes at one store: no gap, nothing lost, nothing forgotten that comes back, conflicts refused."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import log
from lamofc_store.storage import LocalStorage
from lamofc_store.storage.ulid import new_ulid
from lamofc_store.testing.forked_process import start_forked
from tests.store.programs.contender import contend

PROGRAM = Path(__file__).parents[1] / "programs" / "contender.py"
THREE = (["ingest"], ["ingest", "oppose", "read"], ["ingest", "forget", "tidy"])
EIGHT = ("ingest", "ingest", "ingest", "ingest", "oppose", "forget", "tidy", "read")
Deeds = list[dict[str, Any]]
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _create(url: str, options: dict[str, object]) -> None:
    with lamofc.open(url, "a", storage_options=options) as store:
        store.ingest([Sample("first", {"x": torch.ones(2, 4)}, {"value": 1.0})], codec="raw")


def _contend_forked(url: str, options: dict[str, object], steps: int) -> Deeds:
    """Let three forks of this process work for some steps, so that none has to import torch; gives their deeds."""
    _create(url, options)
    before = list(contend(url, options, 0, ["ingest"], lambda step: step == 1))  # there is something to forget

    def work(number: int) -> Deeds:
        return list(contend(url, options, number, THREE[number], lambda step: step == steps))

    children = [start_forked(partial(work, number)) for number in range(len(THREE))]
    return before + [deed for child in children for deed in child.result()]


def _contend(url: str, options: dict[str, object], seconds: float) -> Deeds:
    """Let one program of each of eight roles work for a while; gives their deeds."""
    _create(url, options)
    command = [sys.executable, str(PROGRAM), url, json.dumps(options)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([*command, str(number), role, str(seconds)], text=True, **pipes)
        for number, role in enumerate(EIGHT)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    with ThreadPoolExecutor(len(processes)) as pool:  # pipes are emptied at once: a full one would stall its process
        ends = list(pool.map(lambda process: process.communicate(timeout=seconds + 240), processes))
    assert [process.returncode for process in processes] == [0] * len(EIGHT), [errors[-2000:] for _, errors in ends]
    return [json.loads(line) for lines, _ in ends for line in lines.splitlines()]


def _check(url: str, options: dict[str, object], deeds: Deeds) -> None:
    counts = {verb: sum(deed["verb"] == verb for deed in deeds) for verb in sorted({deed["verb"] for deed in deeds})}
    print(counts)
    assert {"ingest", "conflict", "forget", "compact", "read"} <= set(counts)
    assert [deed for deed in deeds if deed["verb"] == "broken"] == []
    assert {deed["exit_code"] for deed in deeds if deed["verb"] == "conflict"} == {4}
    with lamofc.open(url, storage_options=options) as store:
        assert log.commit_numbers(store.storage) == range(store.head + 1)
        acknowledged = {commit for deed in deeds if deed["verb"] == "ingest" for commit in deed["commits"]}
        assert acknowledged <= set(range(store.head + 1))
        forgotten = {sample for deed in deeds if deed["verb"] == "forget" for sample in deed["samples"]}
        brought = {sample for deed in deeds if deed["verb"] == "ingest" for sample in deed["samples"]} | {"first"}
        assert set(store) == brought - forgotten
        assert store.sql("SELECT count(*) - count(DISTINCT sample || feature) FROM records").fetchall() == [(0,)]
        for sample in store:
            value = 1.0 if sample == "first" else _value(sample)
            assert torch.equal(store[sample, "x"], torch.full((2, 4), value))
        times = [commit["time"] for commit in store.log()]
        assert times == sorted(times, reverse=True)
        assert store.verify().ok
        for deed in deeds:
            if deed["verb"] == "read" and deed["head"] >= store.snapshot.expired:
                assert len(store.as_of(deed["head"])) == deed["count"]


def _value(sample: str) -> float:
    """The value that a contender writes under a name."""
    process, step = sample.split("-")
    return float(step) if process == "common" else int(process[1:]) * 10_000 + float(step)


def test_three_processes_on_a_disk(tmp_path: Path) -> None:
    url = str(tmp_path / "s")
    _check(url, {}, _contend_forked(url, {}, steps=6))


@pytest.mark.slow
def test_three_processes_on_s3(s3: dict[str, object]) -> None:
    url = f"s3://lamofc/{new_ulid()}"
    _check(url, s3, _contend_forked(url, s3, steps=4))


def test_a_storage_without_exclusive_create_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: a commit that overwrites another one loses what was acknowledged."""

    def overwrite(self: LocalStorage, path: str, data: bytes) -> bool:
        self.write(path, data)
        return True

    url = str(tmp_path / "s")
    _create(url, {})
    with lamofc.open(url, "r+") as one, lamofc.open(url, "r+") as other:
        deeds = list(contend(url, {}, 0, ["ingest", "oppose"], lambda step: step == 2))
        monkeypatch.setattr(LocalStorage, "create", overwrite)
        monkeypatch.setattr(log, "catch_up", lambda storage, snapshot: snapshot)
        for number, store in enumerate((one, other)):
            sample = Sample(f"p{number}-0009", {"x": torch.ones(2, 4)})
            report = store.ingest([sample], codec="raw")
            deeds.append({"verb": "ingest", "samples": [sample.id], "commits": report.commits, "head": store.head})
    deeds += [{"verb": verb, "samples": [], "head": 0, "count": 0} for verb in ("forget", "compact", "read")]
    with pytest.raises((AssertionError, lamofc.errors.CorruptStore)):
        _check(url, {}, deeds)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seconds", [8, 60])
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_eight_processes(where: str, seconds: float, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    options = request.getfixturevalue("s3") if where == "s3" else {}
    url = f"s3://lamofc/{new_ulid()}" if where == "s3" else str(tmp_path / "s")
    _check(url, options, _contend(url, options, seconds))

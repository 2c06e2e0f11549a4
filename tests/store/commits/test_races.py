"""Eight processes at one store: no gap, nothing lost, nothing risen from the dead, conflicts told."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import log
from lamofc_store.storage.ulid import new_ulid

PROGRAM = Path(__file__).parents[1] / "programs" / "contender.py"
ROLES = ("ingest", "ingest", "ingest", "ingest", "oppose", "forget", "tidy", "read")
Deeds = list[dict[str, Any]]


def _contend(url: str, options: dict[str, object], seconds: float) -> Deeds:
    """Let one process of each role work for a while; gives what they told."""
    with lamofc.open(url, "a", storage_options=options) as store:
        store.ingest([Sample("first", {"x": torch.ones(2, 4)}, {"value": 1.0})], codec="raw")
    command = [sys.executable, str(PROGRAM), url, json.dumps(options)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([*command, str(number), role, str(seconds)], text=True, **pipes)
        for number, role in enumerate(ROLES)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    with ThreadPoolExecutor(
        len(processes)
    ) as pool:  # all pipes are emptied at once, or a talkative process would stall
        told = list(pool.map(lambda process: process.communicate(timeout=seconds + 240), processes))
    assert [process.returncode for process in processes] == [0] * len(ROLES), [errors[-2000:] for _, errors in told]
    return [json.loads(line) for lines, _ in told for line in lines.splitlines()]


def _judge(url: str, options: dict[str, object], deeds: Deeds) -> None:
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
        assert store["first", "x"][0, 0] == 1.0
        times = [commit["time"] for commit in store.log()]
        assert times == sorted(times, reverse=True)
        assert store.verify().ok
        for deed in deeds:
            if deed["verb"] == "read" and deed["head"] >= store.snapshot.expired:
                assert len(store.as_of(deed["head"])) == deed["count"]


def _value(sample: str) -> float:
    """What a contender writes under a name."""
    process, step = sample.split("-")
    return float(step) if process == "common" else int(process[1:]) * 10_000 + float(step)


def _counts(deeds: Deeds) -> dict[str, int]:
    return {verb: sum(deed["verb"] == verb for deed in deeds) for verb in sorted({deed["verb"] for deed in deeds})}


@pytest.mark.timeout(600)
def test_eight_processes_on_a_disk(tmp_path: Path) -> None:
    deeds = _contend(str(tmp_path / "s"), {}, seconds=8)
    _judge(str(tmp_path / "s"), {}, deeds)
    print(_counts(deeds))
    assert {"ingest", "conflict", "forget", "compact", "read"} <= set(_counts(deeds))


@pytest.mark.timeout(600)
def test_eight_processes_on_s3(s3: dict[str, object]) -> None:
    url = f"s3://lamofc/{new_ulid()}"
    deeds = _contend(url, s3, seconds=10)
    _judge(url, s3, deeds)
    assert {"ingest", "conflict"} <= set(_counts(deeds))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_eight_processes_for_a_minute(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    options = request.getfixturevalue("s3") if where == "s3" else {}
    url = f"s3://lamofc/{new_ulid()}" if where == "s3" else str(tmp_path / "s")
    deeds = _contend(url, options, seconds=60)
    _judge(url, options, deeds)
    print(where, _counts(deeds))

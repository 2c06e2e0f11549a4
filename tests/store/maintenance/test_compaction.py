"""Compaction, forgetting and checkpoints in one another's way: nothing is lost and nothing rises from the dead."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import checkpoint
from lamofc_store.maintenance import compaction
from lamofc_store.storage import local

Make = Callable[..., list[lamofc.Sample]]


def _one(number: int) -> Sample:
    return Sample(f"s{number:03d}", {"x": torch.full((1, 2), float(number))}, {"n": number})


def _filled(url: str, count: int) -> lamofc.Store:
    store = lamofc.open(url, "a")
    for number in range(count):
        store.ingest([_one(number)], codec="raw")
    return store


@pytest.fixture(autouse=True)
def _no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another writer commit while a change is worked out, as it can on an object store."""
    monkeypatch.setattr(local, "COMMIT_LOCK_SECONDS", 0.0)


def test_a_forget_that_comes_during_a_compaction_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "s")
    moved = compaction._replace_segments

    with _filled(url, 6) as store:

        def late(*arguments: object) -> object:
            monkeypatch.setattr(compaction, "_replace_segments", moved)
            with lamofc.open(url, "r+") as other:
                other.forget(["s002", "s004"])
            return moved(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(compaction, "_replace_segments", late)
        store.compact(live=1.0)
        assert list(store) == ["s000", "s001", "s003", "s005"]
        assert store.sql("SELECT count(*) FROM records").fetchall() == [(4,)]
        store.gc("0s")
        assert store.verify().ok
        assert store["s003", "x"].tolist() == [[3.0, 3.0]]


def test_of_two_compactions_at_once_one_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(tmp_path / "s")
    moved = compaction._replace_segments
    with _filled(url, 6) as store:

        def late(*arguments: object) -> object:
            monkeypatch.setattr(compaction, "_replace_segments", moved)
            with lamofc.open(url, "r+") as other:
                other.compact(live=1.0)
            return moved(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(compaction, "_replace_segments", late)
        store.compact(live=1.0)
        assert len(store.snapshot.segments) == 1
        assert store.sql("SELECT count(*) FROM records").fetchall() == [(6,)]


def test_rows_of_compacted_segments_leave_merged_rows_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 8)
    with _filled(str(tmp_path / "s"), 7) as store:
        assert store.snapshot.runs == {}
        with lamofc.open(store.url, "r+") as other:
            assert other.snapshot.runs
            other.compact(live=1.0)
            assert len(other.snapshot.dropped["records"]) == 7
            for number in range(7, 14):
                other.ingest([_one(number)], codec="raw")
        with lamofc.open(store.url) as last:
            assert last.snapshot.n == 15
            assert last.snapshot.dropped == {}
            assert [(sample, last[sample, "x"][0, 0].item()) for sample in last] == [
                (f"s{n:03d}", n) for n in range(14)
            ]


def test_a_store_emptied_of_all_samples_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 4)
    with _filled(str(tmp_path / "s"), 3) as store:
        store.forget(list(store))
        store.compact()
        store.gc("0s")
        for number in range(8):
            store.annotate({"s100": {"k": number}}) if number else store.ingest([_one(100)], codec="raw")
        store.forget(["s100"])
        assert (len(store), list(store), store.features) == (0, [], [])
        assert store.verify().ok
    with lamofc.open(str(tmp_path / "s")) as opened:
        assert len(opened) == 0
        assert opened.verify().ok

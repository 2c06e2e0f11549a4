"""Checkpoints: opening reads few objects, and what they hold can always be made again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import checkpoint
from lamofc_store.storage import paths

Make = Callable[..., list[lamofc.Sample]]


def _many_commits(url: str, count: int) -> lamofc.Store:
    """A store with forgets, overwrites, annotations and compactions among its commits."""
    store = lamofc.open(url, "a")
    for number in range(count):
        store.ingest([Sample(f"s{number:03d}", {"x": torch.full((1, 2), float(number))}, {"n": number})], codec="raw")
        if number % 7 == 3:
            store.forget([f"s{number - 2:03d}"])
        if number % 11 == 5:
            store.annotate({f"s{number:03d}": {"note": f"n{number}"}})
        if number % 23 == 20:
            store.compact()
        if number % 13 == 12:
            changed = Sample(f"s{number:03d}", {"x": torch.full((1, 2), -1.0)})
            store.ingest([changed], codec="raw", overwrite=True)
    return store


def _state(store: lamofc.Store) -> tuple[dict[str, list[float]], list[tuple[object, ...]]]:
    values = {sample: store[sample, "x"].flatten().tolist() for sample in store}
    return values, store.sql("SELECT * FROM samples ORDER BY 1").fetchall()


@pytest.fixture(scope="module")
def long_store(tmp_path_factory: pytest.TempPathFactory) -> lamofc.Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 8)
        return _many_commits(str(tmp_path_factory.mktemp("long") / "s"), 26)


def test_checkpoints_are_made_as_often_as_told(long_store: lamofc.Store) -> None:
    found = long_store.storage.names(paths.CHECKPOINTS)
    assert [int(name) for name in found] == list(range(7, long_store.head + 1, 8))
    assert all(checkpoint.read(long_store.storage, int(name)).tail == {} for name in found)


def test_the_state_is_the_same_with_and_without_checkpoints(long_store: lamofc.Store, tmp_path: Path) -> None:
    expected = _state(long_store)
    with lamofc.open(long_store.url) as opened:
        assert opened.snapshot.runs
        assert _state(opened) == expected
    shutil.copytree(long_store.url, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "checkpoints")
    with lamofc.open(str(tmp_path / "copy")) as opened:
        assert not opened.snapshot.runs
        assert _state(opened) == expected


def test_every_old_snapshot_reads_the_same_from_a_checkpoint_and_from_the_log(
    long_store: lamofc.Store, tmp_path: Path
) -> None:
    shutil.copytree(long_store.url, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "checkpoints")
    with lamofc.open(str(tmp_path / "copy")) as plain:
        for commit in (0, 6, 7, 8, 9, 22, 23, 24, long_store.head):
            assert _state(long_store.as_of(commit)) == _state(plain.as_of(commit))


def test_a_damaged_checkpoint_is_passed_over_and_told_by_verify(long_store: lamofc.Store, tmp_path: Path) -> None:
    shutil.copytree(long_store.url, tmp_path / "copy")
    newest = max(checkpoint.path_of(int(name)) for name in long_store.storage.names(paths.CHECKPOINTS))
    (tmp_path / "copy" / newest).write_bytes(b"{}")
    with lamofc.open(str(tmp_path / "copy")) as opened:
        assert _state(opened) == _state(long_store)
        assert [problem.object for problem in opened.verify().problems] == [newest]


def test_compact_and_gc_keep_what_a_kept_snapshot_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 8)
    with _many_commits(str(tmp_path / "s"), 24) as store:
        expected = _state(store)
        store.compact(live=1.0)
        middle = _state(store.as_of(14))
        store.gc("7d")
        assert _state(store.as_of(14)) == middle
        assert _state(store) == expected
        store.gc("0s")
        assert _state(store) == expected
        assert store.verify().ok
        with pytest.raises(lamofc.errors.Expired, match="snapshot 14 has expired"):
            store.as_of(14)
    with lamofc.open(str(tmp_path / "s")) as opened:
        assert _state(opened) == expected

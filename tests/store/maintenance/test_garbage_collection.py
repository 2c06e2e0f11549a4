"""Compaction and gc beside readers and writers: whoever is overtaken is told so, never that the store is damaged."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import changes, checkpoint, log
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore, Expired
from lamofc_store.maintenance import compaction, garbage_collection
from lamofc_store.opening import Mode
from lamofc_store.storage import local, paths
from lamofc_store.storage.local import LocalStorage

Make = Callable[..., list[Sample]]


def _sample(number: int) -> Sample:
    return Sample(f"s{number:04d}", {"x": torch.full((2, 4), float(number))}, {"value": float(number)})


@pytest.fixture
def small(quick_place: tuple[str, dict[str, object]]) -> Iterator[lamofc.Store]:
    """Five commits, a sample and a segment each."""
    url, options = quick_place
    with lamofc.open(url, "a", storage_options=options) as store:
        for number in range(5):
            store.ingest([_sample(number)], codec="raw")
        yield store


def _again(store: lamofc.Store, mode: Mode = "r") -> lamofc.Store:
    return lamofc.open(store.url, mode, storage_options=getattr(store.storage, "options", None))


def _collect(store: lamofc.Store) -> None:
    with _again(store, "r+") as other:
        assert other.compact(live=1.0).segments > 1
        assert other.gc("0s").objects > 20


def test_readers_of_a_snapshot_that_was_given_up_are_told_so_and_go_on_when_refreshed(small: lamofc.Store) -> None:
    reads: list[Callable[[lamofc.Store], object]] = [
        len,
        list,
        lambda store: store["s0001", "x"],
        lambda store: store.get("s0001"),
        lambda store: "s0001" in store,
        lambda store: store.dataset(["x"], target="value"),
        lambda store: store.info(),
        lambda store: store.features,
        lambda store: store.verify(),
    ]
    fresh, used = _again(small), _again(small)
    for read in reads:
        read(used)
    dataset = _again(small).dataset(["x"])
    _collect(small)
    for read in reads:
        with pytest.raises(Expired, match="expired while it was read"):
            read(fresh)
        with contextlib.suppress(Expired):  # what was looked up before may still be known; nothing is called damaged
            read(used)
    with pytest.raises(Expired, match="snapshot 5 expired"):
        dataset[0]
    with pytest.raises(Expired, match="snapshot 5 expired"):
        dataset.packed([0])
    for store in (fresh, used):
        for read in reads:
            read(store.refresh())
        assert store["s0003", "x"][0, 0] == 3.0
        store.close()


def test_what_is_really_missing_is_still_damage(small: lamofc.Store) -> None:
    (segment, *_) = small.snapshot.segments
    small.storage.delete([paths.payload(segment)])
    with pytest.raises(CorruptStore, match="missing"):
        for sample in list(small):
            small[sample, "x"]


def test_a_writer_goes_on_after_its_snapshot_was_given_up(small: lamofc.Store) -> None:
    assert "s0001" in small
    _collect(small)
    report = small.ingest([_sample(2), _sample(7)], codec="raw")
    assert (report.records, report.already) == (1, 1)
    assert len(small) == 6
    assert small.verify().ok


def test_a_change_is_worked_out_anew_when_its_snapshot_is_given_up_meanwhile(
    small: lamofc.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "COMMIT_LOCK_SECONDS", 0.0)
    again = _again(small, "r+")
    calls = []

    def build(head: Snapshot) -> object:
        calls.append(head.n)
        if len(calls) == 1:
            _collect(small)
            again._catalog = None
        return changes.forget(again.context, ["s0002"], head)

    again.publish(build)  # type: ignore[arg-type]
    assert len(calls) == 2
    assert list(again) == ["s0000", "s0001", "s0003", "s0004"]


def test_of_two_compactions_at_once_one_does_the_work(small: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, calls = compaction._copy_live_records, []

    def overtaken(store: lamofc.Store, chosen: list[str]) -> Iterator[object]:
        calls.append(store.head)
        if len(calls) == 1:
            _collect(small)  # by another process, between choosing and copying
        yield from moved(store, chosen)

    monkeypatch.setattr(compaction, "_copy_live_records", overtaken)
    with _again(small, "r+") as store:
        store.compact(live=1.0)
        assert list(store) == [f"s{number:04d}" for number in range(5)]
        assert store.verify().ok


def test_a_relation_outlives_the_snapshot_that_it_came_from(store: lamofc.Store, make_samples: Make) -> None:
    early = store.sql("SELECT count(*) FROM samples")
    store.ingest(make_samples(14, 12), codec="raw")
    late = store.sql("SELECT count(*) FROM samples")
    store.log()
    assert (early.fetchall(), late.fetchall()) == ([(12,)], [(14,)])


def test_a_commit_that_a_listing_left_out_is_looked_for(small: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = type(small.storage).names
    hidden = Path(paths.commit(3)).name
    monkeypatch.setattr(
        type(small.storage), "names", lambda self, folder: [name for name in listed(self, folder) if name != hidden]
    )
    if isinstance(small.storage, LocalStorage):
        assert log.commit_numbers(small.storage) == range(6)
        assert _again(small).head == 5
    small.storage.delete([paths.commit(3)])
    with pytest.raises(CorruptStore, match=r"commits/0{19}3\.json is missing"):
        log.commit_numbers(small.storage)


def _aged(root: Path, days: float) -> None:
    for file in root.rglob("*"):
        if file.is_file():
            status = file.stat()
            os.utime(file, (status.st_atime - days * 86400, status.st_mtime - days * 86400))


def test_the_checkpoint_that_the_oldest_kept_snapshot_is_read_from_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 8)
    url = str(tmp_path / "s")
    with lamofc.open(url, "a") as store:
        store.ingest([_sample(number) for number in range(100)], codec="raw")
        while store.head < 7:
            store.ingest([_sample(1000 + store.head)], codec="raw")
        _aged(tmp_path / "s", days=2)
        while store.head < 39:
            store.ingest([_sample(1000 + store.head)], codec="raw")
        for number in range(20):  # commits before the one numbered 20 were overtaken ten hours ago
            file = tmp_path / "s" / paths.commit(number)
            os.utime(file, (file.stat().st_mtime - 36_000,) * 2)
        expected = {number: list(store.as_of(number)) for number in range(20, 40)}
        store.gc("6h")
        assert store.snapshot.expired in (19, 20)
        for number in range(20, 40):
            assert list(store.as_of(number)) == expected[number]


def test_checkpoints_that_were_never_finished_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "COMMITS_PER_CHECKPOINT", 2)
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        for number in range(4):
            store.ingest([_sample(number)], codec="raw")
        newest = max(store.storage.names(paths.CHECKPOINTS))
        (tmp_path / "s" / paths.CHECKPOINTS / newest / "state.json").unlink()
        assert store.verify().ok
        assert len(lamofc.open(store.url)) == 4


def test_gc_deletes_what_names_others_first(store: lamofc.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.forget(list(store)[:6])
    store.compact(live=1.0)
    order: list[str] = []
    monkeypatch.setattr(type(store.storage), "delete", lambda self, gone: order.extend(gone))
    monkeypatch.setattr(garbage_collection, "GRACE_SECONDS", -1.0)
    store.gc("0s")
    kinds = [path.endswith(".json") for path in order]
    assert True in kinds
    assert kinds == sorted(kinds, reverse=True)


def test_threads_that_read_more_segments_than_files_stay_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file must not be closed, and its number given to another, while a thread reads through it."""
    monkeypatch.setattr(local, "MAX_OPEN_FILES", 2)
    wrong: list[object] = []
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest((_sample(number) for number in range(24)), codec="raw", segment_bytes=1)
        assert len(store.snapshot.segments) == 24
        dataset = store.dataset(["x"])

        def read(seed: int) -> None:
            try:
                for step in range(150):
                    index = (seed * 5 + step * 7) % 24
                    if dataset[index]["x"][0, 0] != index:
                        wrong.append(index)
            except Exception as error:
                wrong.append(error)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for index in range(24):
            dataset[index]
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
    assert wrong == []


def test_a_creation_that_was_cut_short_is_completed(quick_place: tuple[str, dict[str, object]]) -> None:
    url, options = quick_place
    lamofc.create(url, storage_options=options).close()
    with lamofc.open(url, storage_options=options) as store:
        store.storage.delete(["segments/zarr.json"])
        assert [problem.object for problem in store.verify().problems] == ["segments/zarr.json"]
    with lamofc.open(url, "a", storage_options=options) as store:
        assert store.verify().ok


def test_a_store_copied_without_tmp_is_a_store(store: lamofc.Store, tmp_path: Path) -> None:
    shutil.copytree(store.url, tmp_path / "copy", ignore=shutil.ignore_patterns("tmp"))
    with lamofc.open(str(tmp_path / "copy"), "r+") as copy:
        assert copy.verify().ok
        copy.forget([next(iter(copy))])
        assert len(copy) == 11

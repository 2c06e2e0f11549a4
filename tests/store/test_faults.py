"""Failures at every step of a write: what was committed stays readable, and running again completes."""

import errno
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store.commits import log
from lamofc_store.errors import StoreError
from lamofc_store.storage import paths
from lamofc_store.storage.local import LocalStorage
from lamofc_store.store import Store

Make = Callable[..., list[lamofc.Sample]]


class Faulty(LocalStorage):
    """Fails at one of its writes, and counts them."""

    def __init__(self, root: str, fail_at: int, error: int, snapshots: Path | None = None) -> None:
        super().__init__(root)
        self.writes = 0
        self.fail_at = fail_at
        self.error = error
        self.failed = ""
        self.snapshots = snapshots

    def _count(self, path: str) -> None:
        if self.snapshots is not None:
            target = self.snapshots / str(self.writes)
            shutil.copytree(self.root, target, ignore=shutil.ignore_patterns("tmp"))
        if self.writes == self.fail_at:
            self.fail_at, self.failed = -1, path
            if self.error == errno.ENOSPC:
                raise StoreError(f"{self.root} cannot be written: the disk is full")
            raise OSError(self.error, "injected")
        self.writes += 1

    def write(self, path: str, content: bytes | Path) -> None:
        self._count(path)
        super().write(path, content)

    def create(self, path: str, data: bytes) -> bool:
        self._count(path)
        return super().create(path, data)


def _ingest(storage: LocalStorage, samples: list[lamofc.Sample]) -> Store:
    store = Store(storage, log.load(storage), "a")
    store.ingest(samples, codec="uniform", segment_bytes=500)
    return store


def _content(store: Store) -> dict[tuple[str, str], torch.Tensor]:
    return {(sample, feature): tensor for sample in store for feature, tensor in store[sample].items()}


def _equal(one: dict[tuple[str, str], torch.Tensor], other: dict[tuple[str, str], torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_failure_at_any_write_leaves_the_last_commit(tmp_path: Path, make_samples: Make, error: int) -> None:
    samples = make_samples(8)
    lamofc.create(str(tmp_path / "whole")).close()
    counting = Faulty(str(tmp_path / "whole"), -1, error)
    whole = _content(_ingest(counting, samples))
    assert counting.writes > 30
    for fail_at in range(0, counting.writes, 9):
        url = str(tmp_path / f"{fail_at}")
        lamofc.create(url).close()
        faulty = Faulty(url, fail_at, error)
        try:
            _ingest(faulty, samples)
        except (OSError, StoreError) as raised:
            assert re.search(r"injected|disk is full", str(raised))
            assert faulty.failed != paths.NEWEST
        else:
            assert faulty.failed == paths.NEWEST  # the commit was made, and its note is a lower bound
        with lamofc.open(url) as store:
            assert store.verify().ok
            partly = _content(store)
            assert all(torch.equal(partly[key], whole[key]) for key in partly)
        assert _equal(_content(_ingest(LocalStorage(url), samples)), whole)
        shutil.rmtree(url)


def test_what_lies_there_after_any_write_opens_at_a_commit(tmp_path: Path, make_samples: Make) -> None:
    url = str(tmp_path / "s")
    lamofc.create(url).close()
    (tmp_path / "after").mkdir()
    storage = Faulty(url, -1, 0, snapshots=tmp_path / "after")
    whole = _content(_ingest(storage, make_samples(6)))
    heads = []
    for number in range(storage.writes):
        with lamofc.open(str(tmp_path / "after" / str(number))) as store:
            assert store.verify().ok
            partly = _content(store)
            assert all(torch.equal(partly[key], whole[key]) for key in partly)
            heads.append(store.head)
    assert heads == sorted(heads)
    assert len(set(heads)) > 3


def test_an_interrupted_ingest_leaves_nothing_unfinished(tmp_path: Path, make_samples: Make) -> None:
    url = str(tmp_path / "s")

    def interrupt(progress: object) -> None:
        raise KeyboardInterrupt

    with lamofc.open(url, "a") as store:
        with pytest.raises(KeyboardInterrupt):
            store.ingest(make_samples(6), codec="raw", progress=interrupt)
        unfinished = tmp_path / "s" / "tmp"
        assert [left.name for left in unfinished.rglob("*") if left.is_file()] == ["turn"]
    assert [left.name for left in unfinished.iterdir()] == ["turn"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, make_samples: Make) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises((StoreError, NotADirectoryError)):
        lamofc.open(str(tmp_path / "file" / "store"), "a")

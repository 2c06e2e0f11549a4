"""The log: one order for all writers, no gaps, nothing lost, clocks without a say."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamofc_store.commits import log, newest, store_marker
from lamofc_store.commits.commit import Change
from lamofc_store.commits.snapshot import Snapshot
from lamofc_store.errors import CorruptStore, Expired, NewerFormat, NotFound, StoreError
from lamofc_store.storage import local, paths
from lamofc_store.storage.factory import open_storage
from lamofc_store.storage.interface import Storage
from lamofc_store.storage.local import LocalStorage
from lamofc_store.storage.sealed_json import decode_document, encode_document
from lamofc_store.storage.ulid import new_ulid


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    url = str(tmp_path / "s") if request.param == "local" else f"memory://{new_ulid()}"
    opened = open_storage(url)
    store_marker.create(opened)
    yield opened
    opened.close()


def _note(text: str) -> log.ChangeBuilder:
    return lambda head: Change(verb="annotate", note={"text": text})


def _publish(storage: Storage, count: int) -> Snapshot:
    head = Snapshot()
    for number in range(count):
        head = log.publish(storage, head, _note(str(number)))
    return head


def test_commits_are_numbered_from_zero_without_gaps(storage: Storage) -> None:
    head = _publish(storage, 5)
    assert head.n == 4
    assert log.commit_numbers(storage) == range(5)
    assert [commit.change.note["text"] for commit, _ in log.replay(storage, 4)] == list("01234")
    assert log.load(storage) == head


def test_publishing_from_an_old_snapshot_takes_the_next_number(storage: Storage) -> None:
    _publish(storage, 3)
    seen = []
    head = log.publish(storage, Snapshot(), lambda snapshot: seen.append(snapshot.n) or Change(verb="fit"))
    assert seen == [2]
    assert head.n == 3


def test_threads_that_race_all_win_in_the_end(storage: Storage) -> None:
    def work(worker: int) -> None:
        for number in range(10):
            log.publish(storage, Snapshot(), _note(f"{worker}.{number}"))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [commit.change.note["text"] for commit, _ in log.replay(storage, 39)]
    assert sorted(told) == sorted(f"{worker}.{number}" for worker in range(4) for number in range(10))
    assert all(told.index(f"{worker}.{n}") < told.index(f"{worker}.{n + 1}") for worker in range(4) for n in range(9))


def test_a_lost_answer_after_success_counts_as_success(tmp_path: Path) -> None:
    class Lossy(LocalStorage):
        def create(self, path: str, data: bytes) -> bool:
            super().create(path, data)
            raise ConnectionResetError("the answer got lost")

    store_marker.create(LocalStorage(str(tmp_path / "s")))
    lossy = Lossy(str(tmp_path / "s"))
    assert log.publish(lossy, Snapshot(), _note("once")).n == 0
    assert log.commit_numbers(lossy) == range(1)


def test_a_failure_before_the_write_is_raised(tmp_path: Path) -> None:
    class Broken(LocalStorage):
        def create(self, path: str, data: bytes) -> bool:
            raise ConnectionResetError("no way there")

    store_marker.create(LocalStorage(str(tmp_path / "s")))
    with pytest.raises(ConnectionResetError):
        log.publish(Broken(str(tmp_path / "s")), Snapshot(), _note("never"))


def test_a_gap_is_corruption(storage: Storage) -> None:
    _publish(storage, 4)
    storage.delete([paths.commit(2)])
    with pytest.raises(CorruptStore, match=r"0002\.json is missing, yet .*0003"):
        log.load(storage)


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_lost_newest_commits_are_corruption(storage: Storage, lost: int) -> None:
    _publish(storage, 4)
    storage.delete([paths.commit(number) for number in range(4 - lost, 4)])
    for as_of in (None, 0):
        with pytest.raises(CorruptStore, match=rf"0003\.json is missing: .* is {3 - lost}") as raised:
            log.load(storage, as_of=as_of)
        assert f"restore the {lost} newest commits" in str(raised.value.cure)
    storage.delete([paths.NEWEST])
    assert log.load(storage).n == 3 - lost


def test_an_exchanged_newest_commit_is_corruption(storage: Storage) -> None:
    _publish(storage, 3)
    body = decode_document(storage.read(paths.commit(2)), "2")
    storage.delete([paths.commit(2)])
    storage.write(paths.commit(2), encode_document({**body, "note": {"text": "another"}}))
    with pytest.raises(CorruptStore, match=r"0002\.json is not the commit that commits/head names"):
        log.load(storage)


def test_the_note_of_the_newest_commit_may_be_late(storage: Storage) -> None:
    """A writer was stopped before it noted its commit, or overtaken by another."""
    _publish(storage, 2)
    early = storage.read(paths.NEWEST)
    _publish(storage, 2)
    storage.write(paths.NEWEST, early)
    assert log.load(storage).n == 3
    assert newest.noted(storage) == (1, log.read_commit(storage, 1)[1])


def test_a_commit_whose_note_cannot_be_written_is_made(tmp_path: Path) -> None:
    class CreatesOnly(LocalStorage):
        def write(self, path: str, content: bytes | Path) -> None:
            raise StoreError(f"{path} cannot be replaced")

    store_marker.create(LocalStorage(str(tmp_path / "s")))
    assert log.publish(CreatesOnly(str(tmp_path / "s")), Snapshot(), _note("made")).n == 0
    assert log.load(LocalStorage(str(tmp_path / "s"))).n == 0


@pytest.mark.parametrize("body", [{}, {"n": "1", "checksum": 2}, {"n": 1, "checksum": None}, [1, 2]])
def test_a_note_that_names_no_commit_is_corruption(storage: Storage, body: object) -> None:
    _publish(storage, 1)
    data = encode_document(body) if isinstance(body, dict) else b"[1,2]\n"
    storage.write(paths.NEWEST, data)
    with pytest.raises(CorruptStore, match="commits/head") as raised:
        log.load(storage)
    assert str(raised.value.cure).startswith("remove commits/head")


def test_a_commit_between_the_note_and_the_listing_is_no_loss(tmp_path: Path) -> None:
    """A listing may leave out what was committed while it was made."""

    class Late(LocalStorage):
        def names(self, folder: str) -> list[str]:
            return [name for name in super().names(folder) if name != f"{2:020d}.json"]

    store_marker.create(LocalStorage(str(tmp_path / "s")))
    _publish(LocalStorage(str(tmp_path / "s")), 3)
    assert log.load(Late(str(tmp_path / "s"))).n == 1


def test_an_exchanged_commit_is_corruption(storage: Storage) -> None:
    _publish(storage, 3)
    body = decode_document(storage.read(paths.commit(1)), "1")
    storage.delete([paths.commit(1)])
    storage.write(paths.commit(1), encode_document({**body, "note": {"text": "another"}}))
    with pytest.raises(CorruptStore, match="does not follow commit 1"):
        log.load(storage)


def test_a_commit_of_a_later_format_is_refused_and_not_misread(storage: Storage) -> None:
    head = _publish(storage, 1)
    body = {"format": 2, "requires": ["ranges"], "n": 1, "previous": head.crc32c}
    storage.create(paths.commit(1), encode_document(body))
    with pytest.raises(NewerFormat, match="needs format 2 with ranges; this version reads format 1"):
        log.load(storage)


def test_every_flipped_bit_of_a_document_is_noticed() -> None:
    data = encode_document({"n": 1, "text": "ä"})
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(CorruptStore, match="doc is damaged"):
                decode_document(bytes(damaged), "doc")


def test_a_clock_set_back_changes_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    head = _publish(storage, 1)
    future = Snapshot(n=head.n, crc32c=head.crc32c, time="2999-01-01T00:00:00+00:00")
    assert log.publish(storage, future, _note("after")).time == "2999-01-01T00:00:00+00:00"


def test_snapshots_before_an_expiry_are_refused(storage: Storage) -> None:
    head = _publish(storage, 4)
    log.publish(storage, head, lambda snapshot: Change(verb="expire", expires=2))
    assert log.load(storage, as_of=2).n == 2
    with pytest.raises(Expired, match="snapshot 1 has expired; the oldest kept is 2"):
        log.load(storage, as_of=1)
    with pytest.raises(NotFound, match="there is no commit 9: the newest is 4"):
        log.load(storage, as_of=9)


def test_a_build_that_finds_nothing_to_do_commits_nothing(storage: Storage) -> None:
    head = _publish(storage, 2)
    assert log.publish(storage, head, lambda snapshot: None) == head
    assert log.commit_numbers(storage) == range(2)


def test_a_commit_is_canonical_json(storage: Storage) -> None:
    _publish(storage, 1)
    text = storage.read(paths.commit(0))
    assert text.endswith(b"\n")
    assert {"format", "requires", "n", "previous", "writer", "time", "verb", "adds", "drops", "crc32c"} <= set(
        json.loads(text)
    )


def test_nobody_waits_for_ever_for_a_writer_who_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "COMMIT_LOCK_SECONDS", 0.1)
    store_marker.create(LocalStorage(str(tmp_path / "s")))
    stopped, other = LocalStorage(str(tmp_path / "s")), LocalStorage(str(tmp_path / "s"))
    with stopped.commit_lock():
        assert log.publish(other, Snapshot(), _note("past it")).n == 0

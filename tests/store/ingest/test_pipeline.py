"""An ingest reads ahead and writes behind while it codes, and does so in the order and memory of one that does not."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.commits import log
from lamofc_store.errors import StoreError
from lamofc_store.ingest import batches
from lamofc_store.storage.local import LocalStorage
from lamofc_store.store import Store

TIMEOUT = 20


def sample(number: int, *features: str) -> Sample:
    noise = torch.Generator().manual_seed(number)
    return Sample(f"s{number:03d}", {name: torch.randn(50, 16, generator=noise) for name in features or ("x",)})


class Given:
    """A source, read once, that tells which samples were read, and on which threads."""

    reiterable = False

    def __init__(self, *samples: Sample) -> None:
        self.samples = samples
        self.read: list[str] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        for one in self.samples:
            self.read.append(one.id)
            self.threads.add(threading.current_thread().name)
            yield one

    def describe(self) -> str:
        return f"{len(self)} samples"


class AnyThread(Given):
    any_thread = True


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", 2 * 50 * 16 * 4)


def numbered(count: int) -> list[Sample]:
    return [sample(number) for number in range(count)]


def unfinished(store: Path) -> list[Path]:
    return [path for path in (store / "tmp").rglob("*") if path.is_file() and path.name != "turn"]


def read_while_coding(source: Given, url: str) -> list[int]:
    """Ingest; return how many samples were read at the latest when each batch was stored."""
    counts: list[int] = []

    def wait_for_reader(progress: lamofc.Progress) -> None:
        expected = min(progress.samples + 2, len(source)) if isinstance(source, AnyThread) else progress.samples
        for _ in range(100 * TIMEOUT):
            if len(source.read) >= expected:
                break
            threading.Event().wait(0.01)
        counts.append(len(source.read))

    with lamofc.open(url, "a") as store:
        store.ingest(source, "raw", progress=wait_for_reader)
        assert list(store) == [one.id for one in source.samples]
    return counts


def test_one_batch_is_read_while_another_is_coded(tmp_path: Path) -> None:
    source = AnyThread(*numbered(7))
    assert read_while_coding(source, str(tmp_path / "s")) == [4, 6, 7, 7]
    assert len(source.threads) == 1 and source.threads != {threading.current_thread().name}


def test_a_source_of_the_caller_is_read_on_the_callers_thread(tmp_path: Path) -> None:
    source = Given(*numbered(7))
    assert read_while_coding(source, str(tmp_path / "s")) == [2, 4, 6, 7]
    assert source.threads == {threading.current_thread().name}


def test_nothing_is_read_beside_a_huge_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MAX_HELD_BYTES", 1)
    source, counts = AnyThread(*numbered(6)), []
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(source, "raw", progress=lambda now: counts.append(len(source.read)))
    assert counts == [2, 4, 6]


def test_samples_before_one_that_stops_a_source_that_is_read_ahead_are_kept(tmp_path: Path) -> None:
    class Broken(AnyThread):
        def __iter__(self) -> Iterator[Sample]:
            yield from super().__iter__()
            raise StoreError("the sixth sample cannot be read")

    with lamofc.open(str(tmp_path / "s"), "a") as store:
        with pytest.raises(StoreError, match="sixth"):
            store.ingest(Broken(*numbered(5)), "raw", segment_bytes=5000)
        assert list(store) == ["s000", "s001", "s002", "s003"]
    assert not unfinished(tmp_path / "s")


class Held(LocalStorage):
    """Holds the payload of the first segment back until it is let go, or fails to write it."""

    def __init__(self, root: str, error: Exception | None = None) -> None:
        super().__init__(root)
        self.let_go = threading.Event()
        self.error = error
        self.written: list[str] = []

    def write(self, path: str, content: bytes | Path) -> None:
        if path.endswith("payload/c/0"):
            if not self.written:
                assert self.let_go.wait(TIMEOUT)
            if self.error is not None:
                raise self.error
            self.written.append(path)
        super().write(path, content)


def held(tmp_path: Path, error: Exception | None = None) -> tuple[Held, Store]:
    lamofc.create(str(tmp_path / "s")).close()
    storage = Held(str(tmp_path / "s"), error)
    return storage, Store(storage, log.load(storage), "a")


def let_go_before(storage: Held, last: int, count: int) -> Iterator[Sample]:
    """Yield samples, and let the storage go before the last of those that are read while a segment is written."""
    for number in range(count):
        if number == last:
            storage.let_go.set()
        yield sample(number)


def test_a_segment_is_written_while_the_next_is_coded(tmp_path: Path) -> None:
    storage, store = held(tmp_path)
    report = store.ingest(let_go_before(storage, 3, 8), "raw", segment_bytes=5000)
    assert len(report.commits) == len(storage.written) == 4
    assert report.commits == sorted(report.commits)
    assert list(store) == [f"s{number:03d}" for number in range(8)]
    assert store.verify().ok


def test_a_sample_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    storage, store = held(tmp_path)
    storage.let_go.set()
    given = [sample(0, "x"), sample(1, "x"), sample(0, "y"), sample(1, "x")]
    report = store.ingest(Given(*given), "raw", segment_bytes=5000)
    assert (report.samples, report.records, report.already) == (3, 3, 1)
    assert set(store["s000"]) == {"x", "y"}
    assert store.verify().ok


@pytest.mark.parametrize("last", [0, 3])
def test_a_segment_that_cannot_be_written_stops_the_ingest(tmp_path: Path, last: int) -> None:
    storage, store = held(tmp_path, StoreError("the disk is full"))
    with pytest.raises(StoreError, match="disk is full"):
        store.ingest(let_go_before(storage, last, 6), "raw", segment_bytes=5000)
    assert list(lamofc.open(str(tmp_path / "s"))) == []
    assert not unfinished(tmp_path / "s")


def test_a_segment_that_is_being_written_is_committed_when_a_later_sample_fails(tmp_path: Path) -> None:
    storage, store = held(tmp_path)

    def samples() -> Iterator[Sample]:
        yield from let_go_before(storage, 2, 3)
        raise StoreError("no more")

    with pytest.raises(StoreError, match="no more"):
        store.ingest(samples(), "raw", segment_bytes=5000)
    assert list(lamofc.open(str(tmp_path / "s"))) == ["s000", "s001"]
    assert not unfinished(tmp_path / "s")

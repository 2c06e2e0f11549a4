"""An ingest reads ahead and writes behind while it codes, and does so in the order and memory of one that does not."""

import threading
from collections.abc import Callable, Iterator
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


def let_go_at(storage: Held, samples: int) -> Callable[[lamofc.Progress], None]:
    return lambda now: storage.let_go.set() if now.samples >= samples else None


def test_a_segment_is_written_while_the_next_is_coded(tmp_path: Path) -> None:
    """The first segment, of two batches, is written only after the third batch is coded."""
    storage, store = held(tmp_path)
    source = AnyThread(*numbered(12))
    report = store.ingest(source, "raw", segment_bytes=10_000, progress=let_go_at(storage, 6))
    assert len(report.commits) == len(storage.written) == 3
    assert report.commits == sorted(report.commits)
    assert list(store) == [one.id for one in source.samples]
    assert store.verify().ok


def test_a_segment_of_a_source_of_the_caller_is_committed_before_the_next_sample_is_awaited(tmp_path: Path) -> None:
    url, seen = str(tmp_path / "s"), []

    def samples() -> Iterator[Sample]:
        for one in numbered(6):
            with lamofc.open(url) as reader:
                seen.append(len(reader))
            yield one

    with lamofc.open(url, "a") as store:
        store.ingest(samples(), "raw", segment_bytes=5000)
    assert seen == [0, 0, 2, 2, 4, 4]


def test_a_sample_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    storage, store = held(tmp_path)
    storage.let_go.set()
    given = [sample(0, "x"), sample(1, "x"), sample(0, "y"), sample(1, "x")]
    report = store.ingest(Given(*given), "raw", segment_bytes=5000)
    assert (report.samples, report.records, report.already) == (3, 3, 1)
    assert set(store["s000"]) == {"x", "y"}
    assert store.verify().ok


@pytest.mark.parametrize("source", [Given, AnyThread])
@pytest.mark.parametrize("late", [0, 6])
def test_a_segment_that_cannot_be_written_stops_the_ingest(tmp_path: Path, source: type[Given], late: int) -> None:
    storage, store = held(tmp_path, StoreError("the disk is full"))
    if source is Given or not late:
        storage.let_go.set()
    with pytest.raises(StoreError, match="disk is full"):
        store.ingest(source(*numbered(12)), "raw", segment_bytes=10_000, progress=let_go_at(storage, late))
    assert list(lamofc.open(str(tmp_path / "s"))) == []
    assert not unfinished(tmp_path / "s")


def test_a_segment_that_is_being_written_is_committed_when_a_later_sample_fails(tmp_path: Path) -> None:
    class Broken(AnyThread):
        def __iter__(self) -> Iterator[Sample]:
            yield from super().__iter__()
            storage.let_go.set()
            raise StoreError("no more")

    storage, store = held(tmp_path)
    with pytest.raises(StoreError, match="no more"):
        store.ingest(Broken(*numbered(5)), "raw", segment_bytes=10_000)
    assert list(lamofc.open(str(tmp_path / "s"))) == ["s000", "s001", "s002", "s003"]
    assert not unfinished(tmp_path / "s")


def test_an_interrupt_does_not_wait_for_a_batch_to_be_read_to_its_end(tmp_path: Path) -> None:
    going_on = threading.Event()

    class Slow(AnyThread):
        def __iter__(self) -> Iterator[Sample]:
            for number, one in enumerate(super().__iter__()):
                if number > 2:
                    going_on.wait(TIMEOUT)
                yield one

    source = Slow(*numbered(2000))

    def interrupt(progress: lamofc.Progress) -> None:
        batches.BATCH_BYTES = 1 << 30  # the batch that is read now would take all samples
        threading.Timer(0.2, going_on.set).start()
        raise KeyboardInterrupt

    with lamofc.open(str(tmp_path / "s"), "a") as store, pytest.raises(KeyboardInterrupt):
        store.ingest(source, "raw", progress=interrupt)
    assert len(source.read) < 10


def test_a_source_may_say_that_it_wants_the_callers_thread(tmp_path: Path) -> None:
    source = AnyThread(*numbered(3))
    source.any_thread = False
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(source, "raw")
    assert source.threads == {threading.current_thread().name}

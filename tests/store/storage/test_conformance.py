"""Every storage keeps the promises of the interface; a storage that breaks one is told which."""

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import SkipTest

import fsspec
import pytest

from lamofc_store.errors import BadArgument
from lamofc_store.storage import LocalStorage, Range, Storage, StoredObject, new_ulid, open_storage
from lamofc_store.storage.remote import RemoteStorage
from lamofc_store.testing import StorageConformance

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class TestLocalStorage(StorageConformance):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def new_storage(self) -> Storage:
        return LocalStorage(str(self.folder / new_ulid()))

    def raw_read(self, storage: Storage, path: str) -> bytes:
        return Path(storage.url, path).read_bytes()

    def raw_write(self, storage: Storage, path: str, data: bytes) -> None:
        file = Path(storage.url, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class Fsspec(StorageConformance):
    """Raw access by a filesystem of its own."""

    options: Mapping[str, Any] = MappingProxyType({})

    def raw_read(self, storage: Storage, path: str) -> bytes:
        filesystem, root = self._filesystem(storage)
        return bytes(filesystem.cat_file(f"{root}/{path}"))

    def raw_write(self, storage: Storage, path: str, data: bytes) -> None:
        filesystem, root = self._filesystem(storage)
        filesystem.pipe_file(f"{root}/{path}", data)

    def _filesystem(self, storage: Storage) -> tuple[Any, str]:
        filesystem, root = fsspec.core.url_to_fs(storage.url, **self.options)
        return filesystem, root


class TestMemoryStorage(Fsspec):
    shared = False

    def new_storage(self) -> Storage:
        return open_storage(f"memory://{new_ulid()}")


class TestS3Storage(Fsspec):
    rounds = 2

    @pytest.fixture(autouse=True)
    def _server(self, s3: dict[str, Any]) -> None:
        self.options = {**s3, "skip_instance_cache": True, "use_listings_cache": False}

    def new_storage(self) -> Storage:
        options = {name: value for name, value in self.options.items() if name in ("key", "secret", "client_kwargs")}
        return RemoteStorage(f"s3://lamofc/{new_ulid()}", options)


class DictStorage(Storage):
    """The methods that a storage must have, and no others."""

    def __init__(self, url: str = "dict") -> None:
        super().__init__(url)
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.lock = threading.Lock()

    def read(self, path: str) -> bytes:
        try:
            return self.objects[path][0]
        except KeyError:
            raise FileNotFoundError(path) from None

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        return [self.read(part.path)[part.start : part.start + part.length] for part in ranges]

    def write(self, path: str, content: bytes | Path) -> None:
        if isinstance(content, Path):
            data = content.read_bytes()
            content.unlink()
        else:
            data = content
        self.objects[path] = data, self.clock()

    def create(self, path: str, data: bytes) -> bool:
        with self.lock:
            if path in self.objects:
                return False
            self.objects[path] = data, self.clock()
            return True

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return sorted({path[len(start) :].split("/")[0] for path in self.objects if path.startswith(start)})

    def walk(self, folder: str) -> Iterator[StoredObject]:
        start = f"{folder}/" if folder else ""
        for path, (data, modified) in list(self.objects.items()):
            if path.startswith(start):
                yield StoredObject(path, len(data), modified)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.objects.pop(path, None)

    def clock(self) -> float:
        return time.time()


class TestOwnStorage(StorageConformance):
    shared = False

    def new_storage(self) -> Storage:
        return DictStorage()

    def raw_read(self, storage: Storage, path: str) -> bytes:
        assert isinstance(storage, DictStorage)
        return storage.objects[path][0]

    def raw_write(self, storage: Storage, path: str, data: bytes) -> None:
        assert isinstance(storage, DictStorage)
        storage.objects[path] = data, time.time()


class Overwriting(DictStorage):
    def create(self, path: str, data: bytes) -> bool:
        self.write(path, data)
        return True


class Racing(DictStorage):
    def create(self, path: str, data: bytes) -> bool:
        missing = path not in self.objects
        time.sleep(0.01)
        if missing:
            self.write(path, data)
        return missing


class KeyErrors(DictStorage):
    def read(self, path: str) -> bytes:
        return self.objects[path][0]


class Uninitialised(DictStorage):
    def __init__(self) -> None:
        self.objects = {}


class Padding(DictStorage):
    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        return [data.ljust(part.length) for part, data in zip(ranges, super().read_ranges(ranges), strict=True)]


class Unordered(DictStorage):
    def names(self, folder: str) -> list[str]:
        return super().names(folder)[::-1]


class ByPrefix(DictStorage):
    def walk(self, folder: str) -> Iterator[StoredObject]:
        return (stored for stored in super().walk("") if stored.path.startswith(folder))


class Lazy(DictStorage):
    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            del self.objects[path]


class WrongClock(DictStorage):
    def walk(self, folder: str) -> Iterator[StoredObject]:
        return (StoredObject(found.path, found.size, found.modified + 60) for found in super().walk(folder))


class Unverifying(DictStorage):
    def verified_file(self, path: str, verify: Any) -> Path:
        return super().verified_file(path, len)


class SharedScratch(DictStorage):
    def reset_after_fork(self) -> None:
        pass


class Forgetful(DictStorage):
    def close(self) -> None:
        super().close()
        self.objects = {}


class Piecewise(DictStorage):
    def write(self, path: str, content: bytes | Path) -> None:
        if isinstance(content, bytes) and len(content) > 1000:
            super().write(path, content[:1000])
            time.sleep(0.001)
        super().write(path, content)


@pytest.mark.parametrize(
    ("storage", "test", "promise"),
    [
        (Overwriting, "test_create_writes_once", "create: False where there is an object"),
        (Racing, "test_one_of_many_threads_creates", r"create: True for \d of 8 concurrent calls"),
        (
            KeyErrors,
            "test_a_missing_object_is_file_not_found",
            r"read of a missing object: FileNotFoundError is expected, the error was KeyError\('missing'\)",
        ),
        (Uninitialised, "test_objects_come_back", r"Uninitialised.__init__: it must call super\(\).__init__\(url\)"),
        (Padding, "test_ranges_end_where_the_object_ends", r"read_ranges: 5 bytes at 8 of 10 are b'89', not b'89   '"),
        (Unordered, "test_listing", "names: direct names of a folder, sorted"),
        (ByPrefix, "test_listing", "walk: objects under a folder, no others"),
        (Lazy, "test_delete", r"delete of objects, .* missing: no error is expected, the error was KeyError"),
        (WrongClock, "test_clock_stamps_objects", "both must be the same clock"),
        (Unverifying, "test_a_verified_file_is_verified_once", "verified_file whose check fails: ArithmeticError"),
        (SharedScratch, "test_a_forked_child_works_beside_its_parent", "the child needs a scratch folder of its own"),
        (Forgetful, "test_it_works_on_after_close", "read after close: no error is expected, .* FileNotFoundError"),
        (Piecewise, "test_nobody_reads_half_an_object", "write: a reader saw an object half written"),
    ],
)
def test_a_broken_storage_is_told_its_promise(storage: type[DictStorage], test: str, promise: str) -> None:
    class Broken(TestOwnStorage):
        def new_storage(self) -> Storage:
            return storage()

    with pytest.raises(AssertionError, match=promise):
        getattr(Broken(), test)()


@pytest.mark.parametrize("method", ["new_storage", "raw_read", "raw_write"])
def test_a_subclass_that_lacks_a_method_is_told_its_purpose(method: str) -> None:
    lacking = type("Lacking", (TestOwnStorage,), {method: getattr(StorageConformance, method)})
    with pytest.raises(NotImplementedError, match=rf"Lacking has no method {method}\(self.*\): "):
        lacking().test_objects_come_back()


def test_a_class_that_is_no_storage_is_told() -> None:
    foreign = type("Foreign", (TestOwnStorage,), {"new_storage": lambda self: {}})
    with pytest.raises(AssertionError, match=r"new_storage: dict is no subclass of lamofc_store.storage.Storage"):
        foreign().test_objects_come_back()


def test_checks_that_need_other_processes_are_skipped_by_name() -> None:
    left_out = {}
    for name in (name for name in dir(TestOwnStorage) if "process" in name or "pickled" in name or "wrote" in name):
        with pytest.raises(SkipTest, match=r"TestOwnStorage.shared is False, so this is not checked: ") as skipped:
            getattr(TestOwnStorage(), name)()
        left_out[name] = str(skipped.value).partition(": ")[2]
    assert left_out == {
        "test_a_parent_reads_what_its_forked_child_wrote": "a parent reads what its forked child wrote",
        "test_a_pickled_copy_is_the_same_place": "a pickled copy sees the same objects",
        "test_one_of_many_processes_creates": "of several processes exactly one creates an object",
    }


@pytest.mark.parametrize("url", ["s3://bucket//store", "s3://bucket/a///b", "simplecache::s3://bucket//store"])
def test_a_folder_without_a_name_is_refused(url: str) -> None:
    with pytest.raises(BadArgument, match="folder without a name") as raised:
        open_storage(url)
    assert raised.value.cure == f"give {re.sub('(?<=[^:])/+', '/', url)!r}"
    for sound in ("memory:///a/b", "memory://a", "zip://a.zip::s3://bucket/store"):
        assert open_storage(sound).url == sound

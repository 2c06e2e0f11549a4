# ruff: noqa: S101, D102
"""A storage shared by threads, processes and forked children; its local files and its end."""

from __future__ import annotations

import contextlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lamofc_store.storage import Range, Storage
from lamofc_store.testing.forked_process import run_forked, start_forked
from lamofc_store.testing.place import OBJECT, THREADS, Place, must_raise, must_return


class SharingTests(Place):
    """Tests of several users of one storage, and of one user's local files."""

    # Exclusive create

    def test_create_writes_once(self) -> None:
        storage = self.empty_storage()
        assert storage.create(OBJECT, b"first") is True, "create: True where there was no object"
        assert storage.create(OBJECT, b"second") is False, "create: False where there is an object"
        assert self.raw_read(storage, OBJECT) == b"first", "create: it must not change an existing object"
        self.raw_write(storage, "other", b"raw")
        assert storage.create("other", b"ours") is False, "create: False for an object that another writer wrote"
        storage.delete([OBJECT])
        assert storage.create(OBJECT, b"third") is True, "create: True after the object was deleted"

    def test_one_of_many_threads_creates(self) -> None:
        storage = self.empty_storage()
        for number in range(self.rounds):
            path, contents = f"commits/{number}", [bytes([thread]) for thread in range(THREADS)]
            with ThreadPoolExecutor(THREADS) as pool:
                created = list(pool.map(partial(storage.create, path), contents))
            self._check_race(storage, path, created)

    def test_one_of_many_processes_creates(self) -> None:
        self.need_sharing("of several processes exactly one creates an object")
        storage = self.empty_storage()
        storage.write("begin", b"")

        def race(process: int) -> list[bool]:
            return [storage.create(f"commits/{number}", bytes([process])) for number in range(self.rounds)]

        children = [start_forked(partial(race, process)) for process in range(3)]
        results = [child.result() for child in children]
        for number in range(self.rounds):
            self._check_race(storage, f"commits/{number}", [created[number] for created in results])

    def _check_race(self, storage: Storage, path: str, created: list[bool]) -> None:
        """Demand one winner, whose bytes are the object's."""
        assert created.count(True) == 1, (
            f"create: True for {created.count(True)} of {len(created)} concurrent calls; exactly one commits"
        )
        assert self.raw_read(storage, path) == bytes([created.index(True)]), "create: the object is another caller's"

    # Local files

    def test_scratch_files_are_no_objects(self) -> None:
        storage = self.empty_storage()
        with ThreadPoolExecutor(THREADS) as pool:
            folders = set(pool.map(lambda _: storage.scratch_dir(), range(THREADS)))
        assert len(folders) == 1, "scratch_dir: the same folder for all threads, which else lose their files"
        (folder,) = folders
        (folder / "unfinished").write_bytes(b"x")
        objects = [stored.path for stored in storage.walk("") if not stored.path.startswith("tmp/")]
        assert objects == [], f"scratch_dir: its files are listed as objects: {objects}"
        storage.clear_scratch_dir()
        assert not folder.exists(), "clear_scratch_dir: the folder must be gone"
        assert storage.scratch_dir().is_dir(), "scratch_dir: a new folder after the old one was cleared"

    def test_a_verified_file_is_verified_once(self) -> None:
        storage = self.empty_storage()
        storage.write(OBJECT, b"data")
        verified: list[bytes] = []

        def refuse(data: bytes) -> None:
            raise ArithmeticError

        must_raise(ArithmeticError, "verified_file whose check fails", storage.verified_file, OBJECT, refuse)
        files = {storage.verified_file(OBJECT, verified.append) for _ in range(3)}
        assert verified == [b"data"], "verified_file: the check must see the object's bytes, once"
        assert [file.read_bytes() for file in files] == [b"data"], "verified_file: one file with the object's bytes"
        missing = ("missing", verified.append)
        must_raise(FileNotFoundError, "verified_file of a missing object", storage.verified_file, *missing)

    def test_a_local_path_is_the_object(self) -> None:
        storage = self.empty_storage()
        storage.write(OBJECT, b"data")
        local = storage.local_path(OBJECT)
        assert local is None or local.read_bytes() == b"data", "local_path: None, or the file that is the object"

    # Life

    def test_it_works_on_after_close(self) -> None:
        storage = self.empty_storage()
        storage.write(OBJECT, b"data")
        scratch = storage.scratch_dir()
        storage.close()
        assert not scratch.exists(), "close: the scratch folder must be gone"
        content = must_return("read after close", storage.read, OBJECT)
        assert content == b"data", "close: objects must stay, and be readable again"
        storage.write("later", b"more")
        assert self.raw_read(storage, "later") == b"more", "write: it must work after close"

    def test_the_commit_lock_is_freed(self) -> None:
        storage = self.empty_storage()
        for _ in range(2):
            with contextlib.suppress(ArithmeticError), storage.commit_lock():
                raise ArithmeticError
        with storage.commit_lock():
            assert storage.create(OBJECT, b"data"), "commit_lock: create must work while it is held"

    def test_a_pickled_copy_is_the_same_place(self) -> None:
        self.need_sharing("a pickled copy sees the same objects")
        storage = self.empty_storage()
        storage.write(OBJECT, b"data")
        copy = pickle.loads(pickle.dumps(storage))  # noqa: S301 - made on this line
        assert copy.read(OBJECT) == b"data", "pickle: a copy must see the same objects; workers of loaders get one"
        assert copy.scratch_dir() != storage.scratch_dir(), "pickle: a copy needs a scratch folder of its own"

    def test_a_forked_child_works_beside_its_parent(self) -> None:
        storage = self.empty_storage()
        storage.write(OBJECT, b"data" * 1000)
        storage.read_ranges([Range(OBJECT, 4, 4)])
        scratch = storage.scratch_dir()

        def child() -> tuple[bytes, str]:
            content, folder = storage.read_ranges([Range(OBJECT, 4, 4)])[0], str(storage.scratch_dir())
            storage.close()
            return bytes(content), folder

        content, folder = run_forked(child)
        assert content == b"data", "fork: the child reads other bytes than its parent"
        assert folder != str(scratch), "fork: the child needs a scratch folder of its own"
        assert scratch.is_dir(), "fork: the child removed its parent's scratch folder"
        assert storage.read(OBJECT) == b"data" * 1000, "fork: the parent no longer reads after its child closed"

    def test_a_parent_reads_what_its_forked_child_wrote(self) -> None:
        self.need_sharing("a parent reads what its forked child wrote")
        storage = self.empty_storage()
        storage.write(OBJECT, b"data")
        run_forked(partial(storage.write, "child", b"of the child"))
        assert storage.read("child") == b"of the child", "fork: the parent does not see what its child wrote"

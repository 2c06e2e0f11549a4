# ruff: noqa: S101, D102
"""Objects of a storage: reading, writing, listing, deleting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from lamofc_store.storage import Range
from lamofc_store.testing.place import OBJECT, THREADS, Place, must_raise, must_return


class ObjectTests(Place):
    """Tests of one process that reads and writes objects."""

    # Objects

    def test_objects_come_back(self) -> None:
        storage = self.empty_storage()
        for number, data in enumerate((b"", b"\0", b"text", bytes(range(256)) * 5000)):
            path = f"folder/{number}/deep/object"
            storage.write(path, data)
            assert self.raw_read(storage, path) == data, "write: it returned before the object was there"
            assert storage.read(path) == data, "read: not the bytes that were written"
        self.raw_write(storage, OBJECT, b"from elsewhere")
        assert storage.read(OBJECT) == b"from elsewhere", "read: it does not see an object that another writer wrote"

    def test_a_local_file_is_written_and_gone(self) -> None:
        storage = self.empty_storage()
        file = storage.scratch_dir() / "unfinished"
        file.write_bytes(b"from a file")
        storage.write(OBJECT, file)
        assert self.raw_read(storage, OBJECT) == b"from a file", "write: not the bytes of the file"
        assert not file.exists(), "write: the local file must be removed or moved into place"

    def test_a_write_replaces_an_object(self) -> None:
        storage = self.empty_storage()
        for data in (b"long and old", b"new"):
            storage.write(OBJECT, data)
            assert storage.read(OBJECT) == data, "write: it must replace the object whole"

    def test_nobody_reads_half_an_object(self) -> None:
        storage, stop = self.empty_storage(), Event()
        contents = [letter * 300_000 for letter in (b"a", b"b")]
        storage.write(OBJECT, contents[0])

        def rewrite() -> None:
            for number in range(40):
                storage.write(OBJECT, contents[number % 2])
            stop.set()

        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(rewrite)
            while not stop.is_set() and not writer.done():
                assert storage.read(OBJECT) in contents, "write: a reader saw an object half written"
            writer.result()

    def test_a_missing_object_is_file_not_found(self) -> None:
        storage = self.empty_storage()
        storage.write("there/object", b"data")
        for path in ("missing", "there/missing", "there/object2", "missing/object"):
            must_raise(FileNotFoundError, "read of a missing object", storage.read, path)
            must_raise(FileNotFoundError, "read_ranges of a missing object", storage.read_ranges, [Range(path, 0, 1)])
            assert not storage.exists(path), f"exists: there is no {path}"
        assert storage.exists("there/object"), "exists: an object that was written is not found"

    # Ranges

    def test_ranges_come_in_the_order_of_the_request(self) -> None:
        storage, data = self.empty_storage(), bytes(range(200))
        storage.write("a", data)
        storage.write("b", data[::-1])
        ranges = [("b", 10, 5), ("a", 0, 200), ("a", 150, 20), ("a", 160, 20), ("a", 150, 20), ("b", 0, 1)]
        contents = storage.read_ranges([Range(*part) for part in ranges])
        for (path, start, length), content in zip(ranges, contents, strict=True):
            expected = (data if path == "a" else data[::-1])[start : start + length]
            assert bytes(content) == expected, f"read_ranges: wrong bytes for {path}, {start}, {length}"
        assert storage.read_ranges([]) == [], "read_ranges: no range, no bytes"

    def test_ranges_end_where_the_object_ends(self) -> None:
        storage, data = self.empty_storage(), b"0123456789"
        storage.write(OBJECT, data)
        for start, length in ((5, 0), (0, 0), (8, 2), (8, 5), (0, 1000), (10, 1), (10, 0), (50, 3)):
            (content,) = storage.read_ranges([Range(OBJECT, start, length)])
            expected = data[start : start + length]
            assert bytes(content) == expected, (
                f"read_ranges: {length} bytes at {start} of {len(data)} are {expected!r}, not {bytes(content)!r}"
            )

    def test_threads_read_at_once(self) -> None:
        storage = self.empty_storage()
        for number in range(THREADS):
            storage.write(f"objects/{number}", bytes([number]) * 1000)

        def read(seed: int) -> bool:
            numbers = [(seed + step * 3) % THREADS for step in range(10)]
            contents = storage.read_ranges([Range(f"objects/{number}", number, 100) for number in numbers])
            return [bytes(content) for content in contents] == [bytes([number]) * 100 for number in numbers]

        with ThreadPoolExecutor(THREADS) as pool:
            assert all(pool.map(read, range(2 * THREADS))), "read_ranges: wrong bytes while other threads read"

    # Listing and deleting

    def test_listing(self) -> None:
        storage = self.empty_storage()
        assert (storage.names(""), list(storage.walk(""))) == ([], []), "a new storage must have no objects"
        paths = ["a/2", "a/1", "a/deep/er/1", "ab/1", "top", "a/%20 ü+=~@,()"]
        for path in paths:
            storage.write(path, path.encode())
        objects = {stored.path: stored.size for stored in storage.walk("") if not stored.path.startswith("tmp/")}
        assert objects == {path: len(path.encode()) for path in paths}, "walk: every object with its path and size"
        under_a = {stored.path for stored in storage.walk("a")}
        assert under_a == {path for path in paths if path.startswith("a/")}, "walk: objects under a folder, no others"
        assert storage.names("a") == ["%20 ü+=~@,()", "1", "2", "deep"], "names: direct names of a folder, sorted"
        assert {"a", "ab", "top"} <= set(storage.names("")), "names: folders and objects at the root"
        assert storage.names("missing") == [], "names: nothing for a folder that is not there"
        assert list(storage.walk("missing")) == [], "walk: nothing for a folder that is not there"

    def test_delete(self) -> None:
        storage = self.empty_storage()
        for path in ("a/1", "a/2", "a/deep/1", "b"):
            storage.write(path, b"data")
        paths = (path for path in ("a/1", "missing", "a/deep/1", "missing/too"))
        must_return("delete of objects, of which some are missing", storage.delete, paths)
        assert [stored.path for stored in storage.walk("a")] == ["a/2"], "delete: these objects and no others"
        must_raise(FileNotFoundError, "read of a deleted object", storage.read, "a/1")
        storage.delete(["a/2"])
        assert storage.names("a") == [], "names: nothing is left of a folder whose objects were deleted"
        assert storage.read("b") == b"data", "delete: it removed an object that was not named"

    def test_clock_stamps_objects(self) -> None:
        storage = self.empty_storage()
        before = storage.clock()
        storage.write(OBJECT, b"data")
        after = storage.clock()
        (modified,) = (stored.modified for stored in storage.walk("rows"))
        assert before - 2 <= modified <= after + 2, (
            f"clock: an object written from {before} to {after} is stamped {modified}; both must be the same clock"
        )
        assert [stored.path for stored in storage.walk("")] == [OBJECT], "clock: it must leave no object"

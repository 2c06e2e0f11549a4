"""Pages of remote payloads kept in a local folder, as many as it may hold; any number of processes share them.

A page is marked as there after it was written. What a crash leaves half done is not marked, or fails the checksum of
its record, which is then read from the store. What is given up is unlinked: who reads it at that moment reads on.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from lamofc_store.errors import BadArgument
from lamofc_store.storage.interface import Range, Storage

PAGE = 4096
_DATA, _MARKS = ".data", ".marks"
_LOOK_EVERY = 1 << 24
"""Bytes that a process writes before it looks again how much is there."""
_SPARE = 0.9
"""To what share of the bound a full cache is emptied."""


class Cache:
    """Ranges of a storage's objects, from here where they are, else from there and kept."""

    def __init__(self, folder: str | Path, most: int) -> None:
        if most < PAGE:
            raise BadArgument(f"cache_bytes={most!r}", "give a number of bytes, such as 50 * 2**30")
        self.folder = Path(folder).expanduser().absolute()
        self.most = most
        self._written = 0

    def over(self, storage: Storage) -> "Cached":
        """A storage's ranges by way of this cache."""
        return Cached(self, storage)

    def forget(self, storage: Storage, paths: Iterable[str]) -> None:
        """Give up what is kept of objects."""
        for path in paths:
            for kind in (_MARKS, _DATA):
                self._file(storage, path, kind).unlink(missing_ok=True)

    def read(self, storage: Storage, wanted: list[Range]) -> list[bytes]:
        """Ranges of a storage's objects: what is not here is fetched and kept."""
        self._fill(storage, wanted)
        for path in {one.path for one in wanted}:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._file(storage, path, _DATA))
        return [self._held(storage, one) for one in wanted]

    def size(self) -> int:
        """What the folder takes on its disk."""
        return sum(size for _, size, _ in self._listed())

    def _fill(self, storage: Storage, wanted: Sequence[Range]) -> None:
        missing = list(dict.fromkeys(page for one in wanted for page in self._missing(storage, one)))
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for one, data in zip(missing, storage.read_ranges(missing), strict=True):
            self._keep(storage, one, data)
            self._written += len(data)
        if self._written >= min(_LOOK_EVERY, self.most // 8):
            self._written = 0
            self._give_up()

    def _missing(self, storage: Storage, one: Range) -> Iterator[Range]:
        first, stop = one.start // PAGE, -(-(one.start + one.length) // PAGE)
        try:
            marks = _read(self._file(storage, one.path, _MARKS), first, stop - first)
        except FileNotFoundError:
            marks = b""
        marks = marks.ljust(stop - first, b"\0")
        at = 0
        while (at := marks.find(b"\0", at)) >= 0:
            end = marks.find(b"\1", at)
            end = stop - first if end < 0 else end
            yield Range(one.path, (first + at) * PAGE, (end - at) * PAGE)
            at = end

    def _keep(self, storage: Storage, one: Range, data: bytes) -> None:
        _write(self._file(storage, one.path, _DATA), one.start, data)
        _write(self._file(storage, one.path, _MARKS), one.start // PAGE, b"\1" * -(-len(data) // PAGE))

    def _held(self, storage: Storage, one: Range) -> bytes:
        try:
            data = _read(self._file(storage, one.path, _DATA), one.start, one.length)
        except FileNotFoundError:
            data = b""
        # Another process may have given it up since we looked.
        return data if len(data) == one.length else storage.read_ranges([one])[0]

    def _file(self, storage: Storage, path: str, kind: str) -> Path:
        return self.folder / (xxhash.xxh3_128_hexdigest(f"{storage.url}\0{path}".encode()) + kind)

    def _listed(self) -> list[tuple[float, int, Path]]:
        found = []
        for data in self.folder.glob(f"*{_DATA}"):
            with contextlib.suppress(FileNotFoundError):
                status = data.stat()
                found.append((status.st_mtime, status.st_blocks * 512, data))
        return found

    def _give_up(self) -> None:
        """Objects go that were read longest ago, until what stays is well within the bound."""
        held = sorted(self._listed())
        total = sum(size for _, size, _ in held)
        if total <= self.most:
            return
        for _, size, data in held:
            if total <= _SPARE * self.most:
                break
            data.with_suffix(_MARKS).unlink(missing_ok=True)
            data.unlink(missing_ok=True)
            total -= size


@dataclass(frozen=True)
class Cached:
    """A storage behind a cache."""

    cache: Cache
    storage: Storage

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """As `Storage.read_ranges`."""
        return self.cache.read(self.storage, ranges)


def _read(file: Path, start: int, length: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)


def _write(file: Path, start: int, data: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(descriptor, data[done:], start + done)
    finally:
        os.close(descriptor)

"""Pages of remote payloads in a local folder of bounded size, which any number of processes share.

Each object has a data file and a file of marks, one byte a page. A page is marked after it was written, so a crash
leaves it unmarked. A page that is damaged fails the checksum of its record, which is then read from the storage.
Evicted files are unlinked. A reader that has one open keeps reading it.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import xxhash

from lamofc_store.errors import BadArgument
from lamofc_store.storage.interface import Range, Storage

PAGE_BYTES = 4096
_DATA, _MARKS = ".data", ".marks"
_BYTES_BETWEEN_SIZE_CHECKS = 1 << 24
"""Bytes that a process writes before it compares the folder's size with the bound again."""
_SHARE_AFTER_EVICTION = 0.9
"""Share of the bound that a full cache is reduced to."""


class Cache:
    """A local cache of ranges of remote objects, of at most `most` bytes."""

    def __init__(self, folder: str | Path, most: int) -> None:
        if most < PAGE_BYTES:
            raise BadArgument(
                f"most={most!r}: a cache holds at least one page of {PAGE_BYTES} bytes",
                "give a number of bytes, such as 50 * 2**30",
            )
        self.folder = Path(folder).expanduser().absolute()
        self.most = most
        self._written = 0

    def over(self, storage: Storage) -> "CachedRanges":
        """Put this cache in front of a storage."""
        return CachedRanges(self, storage)

    def forget(self, storage: Storage, paths: Iterable[str]) -> None:
        """Remove the pages of some objects."""
        for path in paths:
            for suffix in (_MARKS, _DATA):
                self._file(storage, path, suffix).unlink(missing_ok=True)

    def read(self, storage: Storage, ranges: list[Range]) -> list[bytes]:
        """Read ranges of a storage's objects; pages that are not in the cache are read from there and added."""
        self._add_missing(storage, ranges)
        for path in {part.path for part in ranges}:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._file(storage, path, _DATA))
        return [self._read(storage, part) for part in ranges]

    def size(self) -> int:
        """Count the bytes that the folder takes on its disk."""
        return sum(size for _, size, _ in self._usage())

    def _add_missing(self, storage: Storage, ranges: Sequence[Range]) -> None:
        missing = list(dict.fromkeys(run for part in ranges for run in self._missing(storage, part)))
        if not missing:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for run, data in zip(missing, storage.read_ranges(missing), strict=True):
            self._add(storage, run, data)
            self._written += len(data)
        if self._written >= min(_BYTES_BETWEEN_SIZE_CHECKS, self.most // 8):
            self._written = 0
            self._evict()

    def _missing(self, storage: Storage, part: Range) -> Iterator[Range]:
        """Runs of pages that a range needs and that are not marked."""
        first, stop = part.start // PAGE_BYTES, -(-(part.start + part.length) // PAGE_BYTES)
        try:
            marks = _read(self._file(storage, part.path, _MARKS), first, stop - first)
        except FileNotFoundError:
            marks = b""
        marks = marks.ljust(stop - first, b"\0")
        start = 0
        while (start := marks.find(b"\0", start)) >= 0:
            end = marks.find(b"\1", start)
            end = stop - first if end < 0 else end
            yield Range(part.path, (first + start) * PAGE_BYTES, (end - start) * PAGE_BYTES)
            start = end

    def _add(self, storage: Storage, run: Range, data: bytes) -> None:
        _write(self._file(storage, run.path, _DATA), run.start, data)
        _write(self._file(storage, run.path, _MARKS), run.start // PAGE_BYTES, b"\1" * -(-len(data) // PAGE_BYTES))

    def _read(self, storage: Storage, part: Range) -> bytes:
        try:
            data = _read(self._file(storage, part.path, _DATA), part.start, part.length)
        except FileNotFoundError:
            data = b""
        # Another process may have evicted the object since its marks were read.
        return data if len(data) == part.length else storage.read_ranges([part])[0]

    def _file(self, storage: Storage, path: str, suffix: str) -> Path:
        return self.folder / (xxhash.xxh3_128_hexdigest(f"{storage.url}\0{path}".encode()) + suffix)

    def _usage(self) -> list[tuple[float, int, Path]]:
        """Time of last use, bytes and data file of each object."""
        usage = []
        for data in self.folder.glob(f"*{_DATA}"):
            with contextlib.suppress(FileNotFoundError):
                status = data.stat()
                usage.append((status.st_mtime, status.st_blocks * 512, data))
        return usage

    def _evict(self) -> None:
        """Remove the objects that were read longest ago, until the rest is well within the bound."""
        usage = sorted(self._usage())
        total = sum(size for _, size, _ in usage)
        if total <= self.most:
            return
        for _, size, data in usage:
            if total <= _SHARE_AFTER_EVICTION * self.most:
                break
            data.with_suffix(_MARKS).unlink(missing_ok=True)
            data.unlink(missing_ok=True)
            total -= size


@dataclass(frozen=True)
class CachedRanges:
    """Ranges of a storage's objects, read through a cache."""

    cache: Cache
    storage: Storage

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """Read one bytes object for each range, as `Storage.read_ranges` does."""
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
        written = 0
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], start + written)
    finally:
        os.close(descriptor)

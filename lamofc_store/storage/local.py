"""A storage on a local disk. An object is written to a temporary file, synced and renamed, and its folder is synced."""

import contextlib
import fcntl
import os
import random
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from lamofc_store.errors import StoreError
from lamofc_store.storage.interface import Openable, Range, Storage, StoredObject
from lamofc_store.storage.local_files import NO_HARD_LINKS, OpenFile, translate_disk_errors
from lamofc_store.storage.paths import UNFINISHED
from lamofc_store.storage.ulid import new_ulid

MAX_OPEN_FILES = 128
COMMIT_LOCK_FILE = "turn"
COMMIT_LOCK_SECONDS = 5.0
"""Longest wait for the commit lock; a writer then goes on without it."""


class LocalStorage(Storage, Openable):
    """Objects that are files under one folder."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().absolute()
        super().__init__(str(self.root))
        self._files: dict[str, OpenFile] = {}
        self._lock = threading.Lock()
        self._scratch: Path | None = None

    def __reduce__(self) -> tuple[type["LocalStorage"], tuple[str]]:
        return type(self), (self.url,)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        return [os.pread(self.open_file(part.path).descriptor, part.length, part.start) for part in ranges]

    def open_file(self, path: str) -> OpenFile:
        """Open the object's file; the files used last stay open."""
        with self._lock:
            file = self._files.pop(path, None)
            if file is None:
                file = OpenFile(os.open(self.root / path, os.O_RDONLY | os.O_CLOEXEC))
                while len(self._files) >= MAX_OPEN_FILES:
                    del self._files[next(iter(self._files))]
            self._files[path] = file
            return file

    def write(self, path: str, content: bytes | Path) -> None:
        target = self.root / path
        with translate_disk_errors(target):
            if isinstance(content, bytes):
                content = self._write_temporary(content)
            else:
                _sync(content)
            self._make_folder(target.parent)
            content.replace(target)
            _sync(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        target = self.root / path
        with translate_disk_errors(target):
            temporary = self._write_temporary(data)
            self._make_folder(target.parent)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
                raise StoreError(
                    f"{target.parent} lies on a file system without hard links, which commits need",
                    "put the store on another file system, or into an object store",
                ) from error
            finally:
                temporary.unlink(missing_ok=True)
            _sync(target.parent)
            return True

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self.root / folder))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self, folder: str) -> Iterator[StoredObject]:
        for parent, _, names in os.walk(self.root / folder):
            for name in sorted(names):
                file = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    status = file.lstat()
                    yield StoredObject(file.relative_to(self.root).as_posix(), status.st_size, status.st_mtime)

    def delete(self, paths: Iterable[str]) -> None:
        folders = set()
        for path in paths:
            file = self.root / path
            with translate_disk_errors(file):
                file.unlink(missing_ok=True)
            folders.add(file.parent)
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            self._remove_empty_folders(folder)

    def clock(self) -> float:
        with translate_disk_errors(self.root):
            probe = self._write_temporary(b"")
            try:
                return probe.stat().st_mtime
            finally:
                probe.unlink()

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def local_path(self, path: str) -> Path:
        return self.root / path

    def scratch_dir(self) -> Path:
        with self._lock:
            if self._scratch is None:
                folder = self.root / UNFINISHED / new_ulid()
                with translate_disk_errors(folder):
                    self._make_folder(folder)
                self._scratch = folder
            return self._scratch

    def clear_scratch_dir(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    @contextlib.contextmanager
    def commit_lock(self) -> Iterator[None]:
        """Let writers of one machine commit one after another, so that short commits cannot outrun a long one for ever.

        The kernel frees the lock of a process that dies, and nobody waits longer than `COMMIT_LOCK_SECONDS`.
        """
        folder = self.scratch_dir().parent
        with translate_disk_errors(folder):
            file = (folder / COMMIT_LOCK_FILE).open("ab")
        with file:
            _lock_for_a_while(file.fileno())
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(
                        file, fcntl.LOCK_UN
                    )  # closing the file would leave the lock to a child forked meanwhile

    def close(self) -> None:
        self._files = {}
        super().close()

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._files, self._lock, self._scratch = {}, threading.Lock(), None

    def _write_temporary(self, data: bytes) -> Path:
        file = self.scratch_dir() / new_ulid()
        with file.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        return file

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, each synced into its own parent."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        _sync(folder.parent)

    def _remove_empty_folders(self, folder: Path) -> None:
        """Remove a folder and its parents as far as they are empty, but none directly under the root."""
        while folder != self.root and folder.parent != self.root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent


def _lock_for_a_while(descriptor: int) -> None:
    """Wait for a file lock, at most `COMMIT_LOCK_SECONDS`."""
    end = time.monotonic() + COMMIT_LOCK_SECONDS
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - back-off, not a secret
        except OSError:  # this file system has no such locks
            return
        else:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A store on a local disk: written to a temporary file, synced, renamed into place, the folder synced."""

import contextlib
import errno
import fcntl
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lamofc_store.errors import ReadOnly, StoreError
from lamofc_store.storage import fork_safety
from lamofc_store.storage.interface import Range, Storage, Stored
from lamofc_store.storage.paths import UNFINISHED
from lamofc_store.storage.ulid import new_ulid

_OPEN_FILES = 128
_LONGEST_TURN = 5.0
"""Seconds that a writer waits for another before it tries without its turn."""
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


class LocalStorage(Storage):
    """Objects are files under one folder."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().absolute()
        self.url = str(self.root)
        self.checked = {}
        self._files: dict[str, Opened] = {}
        self._opening = threading.Lock()
        self._work: Path | None = None
        fork_safety.tell(self)

    def __reduce__(self) -> tuple[type["LocalStorage"], tuple[str]]:
        return type(self), (self.url,)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        found = []
        for wanted in ranges:
            opened = self.opened(wanted.path)
            found.append(os.pread(opened.descriptor, wanted.length, wanted.start))
        return found

    def opened(self, path: str) -> "Opened":
        """An open file of the object, kept for the next read; at most a fixed number are kept."""
        with self._opening:
            found = self._files.pop(path, None)
            if found is None:
                found = Opened(os.open(self.root / path, os.O_RDONLY | os.O_CLOEXEC))
                while len(self._files) >= _OPEN_FILES:
                    del self._files[next(iter(self._files))]
            self._files[path] = found
            return found

    def write(self, path: str, content: bytes | Path) -> None:
        target = self.root / path
        with _translated(target):
            if isinstance(content, bytes):
                content = self._temporary(content)
            else:
                _sync(content)
            self._folder(target.parent)
            content.replace(target)
            _sync(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        target = self.root / path
        with _translated(target):
            temporary = self._temporary(data)
            self._folder(target.parent)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
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

    def walk(self, folder: str) -> Iterator[Stored]:
        for place, _, names in os.walk(self.root / folder):
            for name in sorted(names):
                file = Path(place, name)
                with contextlib.suppress(FileNotFoundError):
                    status = file.lstat()
                    yield Stored(file.relative_to(self.root).as_posix(), status.st_size, status.st_mtime)

    def delete(self, paths: Iterable[str]) -> None:
        folders = set()
        for path in paths:
            file = self.root / path
            with _translated(file):
                file.unlink(missing_ok=True)
            folders.add(file.parent)
        for folder in sorted(folders, key=lambda place: -len(place.parts)):
            while folder != self.root and folder.parent != self.root:
                try:
                    folder.rmdir()
                except OSError:
                    break
                folder = folder.parent

    def clock(self) -> float:
        probe = self._temporary(b"")
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    def workplace(self) -> Path:
        if self._work is None:
            folder = self.root / UNFINISHED / new_ulid()
            with _translated(folder):
                self._folder(folder)
            self._work = folder
        return self._work

    def clear_workplace(self) -> None:
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None

    def leave_parent(self) -> None:
        """In a forked child: files are opened and folders made anew."""
        self._files, self._opening, self._work = {}, threading.Lock(), None

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """Writers on one machine take turns, so that a long change is not overtaken for ever by short ones.

        Nothing but fairness hangs on it: the kernel lets go of the lock when its holder dies, nobody waits longer than
        a few seconds for one who is stopped, and exclusive creation alone decides.
        """
        folder = self.workplace().parent
        with _translated(folder):
            turn = (folder / "turn").open("ab")
        with turn:
            _wait_for_turn(turn.fileno())
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    fcntl.flock(turn, fcntl.LOCK_UN)  # closing alone would leave it to a child forked meanwhile

    def local(self, path: str) -> Path:
        return self.root / path

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def close(self) -> None:
        self._files = {}
        self.clear_workplace()

    def _temporary(self, data: bytes) -> Path:
        file = self.workplace() / new_ulid()
        with file.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        return file

    def _folder(self, folder: Path) -> None:
        """Make a folder and those above it, each synced into the one that holds it."""
        if folder.is_dir():
            return
        self._folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        _sync(folder.parent)


class Opened:
    """An open file; closed when nobody reads it any more, so that no thread reads through a number given anew."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)  # by a name of its own: when the interpreter ends, `os` may be gone before this is


def _wait_for_turn(descriptor: int) -> None:
    end = time.monotonic() + _LONGEST_TURN
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(random.uniform(0.001, 0.01))  # noqa: S311 - back-off, not a secret
        except OSError:  # no such locks here
            return
        else:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(target: Path) -> Iterator[None]:
    """The operating system's refusals, in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSED:
            raise ReadOnly(
                f"{target} cannot be written: {error.strerror}", "choose a store in a place you may write to"
            ) from error
        if error.errno == errno.ENOSPC:
            raise StoreError(
                f"{target} cannot be written: the disk is full", "free some space and run the same command again"
            ) from error
        raise

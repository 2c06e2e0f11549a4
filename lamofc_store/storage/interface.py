"""The interface of a storage: immutable objects under relative paths.

A path is relative to the store, with `/` between its parts; only `paths` makes them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lamofc_store.storage import fork_safety
from lamofc_store.storage.local_files import OpenFile, TemporaryFolder

Options = Mapping[str, Any]
"""Options of a filesystem, as fsspec takes them."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Path, size and age of one object in a storage."""

    path: str
    size: int
    modified: float
    """Seconds since 1970 by the storage's own clock."""


@dataclass(frozen=True, slots=True)
class Range:
    """A run of bytes inside one object."""

    path: str
    start: int
    length: int


class Ranged(Protocol):
    """Ability to read ranges of objects: a storage, or a cache in front of one."""

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """Read one bytes object for each range, in order; shorter than requested where the object ends early."""


class Openable(ABC):
    """Ability of a storage whose objects are files of this machine: they are read into a buffer without a copy."""

    @abstractmethod
    def open_file(self, path: str) -> OpenFile:
        """Open the object's file, or give the one that is open already; FileNotFoundError where there is none."""


class Storage(ABC):
    """Objects under relative paths, written once and never changed, but for `commits/head`.

    A write is durable when it returns, and no reader ever sees half of it. Reading a missing object raises
    FileNotFoundError. A storage is used by many threads at once, and by a forked child after its parent used it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        """Where the storage is, as an error message shows it."""
        self._folders: dict[str, TemporaryFolder] = {}
        self._verified: dict[str, Path] = {}
        fork_safety.register(self)

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Read an object whole."""

    @abstractmethod
    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """Read one bytes object for each range, in order; shorter than requested where the object ends early."""

    @abstractmethod
    def write(self, path: str, content: bytes | Path) -> None:
        """Write or replace an object, from memory or from a local file, which is removed or moved into place."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless one exists: exactly one of all concurrent calls returns True."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """List the names directly under a folder, sorted; empty where there is no such folder."""

    @abstractmethod
    def walk(self, folder: str) -> Iterator[StoredObject]:
        """List every object under a folder, at any depth; `""` is the whole storage."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, in the order given; a missing object is no error."""

    @abstractmethod
    def clock(self) -> float:
        """Read the clock that stamps `StoredObject.modified`."""

    def exists(self, path: str) -> bool:
        """Whether an object exists."""
        folder, _, name = path.rpartition("/")
        return name in self.names(folder)

    def local_path(self, path: str) -> Path | None:
        """The local file that is the object, or None where objects are not local files."""
        return None

    def verified_file(self, path: str, verify: Callable[[bytes], None]) -> Path:
        """Give a local file with an object's content, which `verify` has seen once in this process.

        The file is the object's own, or a copy that lives until `close`.
        """
        file = self._verified.get(path)
        if file is None:
            data = self.read(path)
            verify(data)
            file = self.local_path(path)
            if file is None:
                file = self._folder("copies") / path.replace("/", "-")
                file.write_bytes(data)
            self._verified[path] = file
        return file

    def scratch_dir(self) -> Path:
        """This object's own local folder for unfinished files, made at the first call.

        A storage of local files makes it on the disk that it writes to, so that a finished file is renamed into place.
        """
        return self._folder("scratch")

    def clear_scratch_dir(self) -> None:
        """Remove the scratch folder and all files in it."""
        self._remove_folder("scratch")

    def commit_lock(self) -> AbstractContextManager[None]:
        """A lock around working out and publishing a commit. It serves fairness alone: `create` decides who commits."""
        return nullcontext()

    def close(self) -> None:
        """Close files and connections and remove temporary folders; the next call opens what it needs again."""
        self.clear_scratch_dir()
        if self._remove_folder("copies"):
            self._verified = {}

    def reset_after_fork(self) -> None:
        """Forget, in a forked child, what the parent opened, and close none of it: it is still the parent's."""
        for folder in self._folders.values():
            folder.disown()
        if "copies" in self._folders:
            self._verified = {}
        self._folders = {}

    def _folder(self, name: str) -> Path:
        """A temporary folder of this object; the same for two threads that ask at once."""
        folder = self._folders.get(name) or self._folders.setdefault(name, TemporaryFolder())
        return folder.path

    def _remove_folder(self, name: str) -> bool:
        """Remove a temporary folder; whether there was one."""
        folder = self._folders.pop(name, None)
        if folder is not None:
            folder.remove()
        return folder is not None

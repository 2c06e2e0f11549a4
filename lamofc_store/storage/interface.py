"""The few things a store asks of the place it lies in. Paths are relative, with `/`, made by `names` alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """One object that lies in a store."""

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
    """Whatever gives ranges of objects."""

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """One bytes object for each range, in order; shorter than asked where the object ends early."""


class Storage(ABC):
    """Immutable objects under relative paths.

    A missing object raises FileNotFoundError. Writes are durable when they return and never seen half done.
    """

    url: str
    checked: dict[str, Path]
    """Local files of objects whose checksum has been compared, by path; filled by `rowsets`."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """The whole object."""

    @abstractmethod
    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """One bytes object for each range, in order; shorter than asked where the object ends early."""

    @abstractmethod
    def write(self, path: str, content: bytes | Path) -> None:
        """Put the object there, from memory or from a local file (which may be moved away)."""

    @abstractmethod
    def create(self, path: str, data: bytes) -> bool:
        """Put the object there unless one is: exactly one of all who try at once gets True."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """The names right under `folder`, sorted; none where there is no such folder."""

    @abstractmethod
    def walk(self, folder: str) -> Iterator[Stored]:
        """Every object under `folder`, at any depth."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; those already gone are no error."""

    @abstractmethod
    def clock(self) -> float:
        """Now, by the clock that stamps `Stored.modified`."""

    @abstractmethod
    def workplace(self) -> Path:
        """This object's own local folder for unfinished files, on the store's own disk where it is local."""

    def copies(self) -> Path:
        """A local folder for checked copies of objects that are not local; theirs until `close`."""
        return self.workplace()

    @abstractmethod
    def clear_workplace(self) -> None:
        """Remove that folder and what is in it."""

    @abstractmethod
    def local(self, path: str) -> Path | None:
        """Where the object lies as a local file, or None when it does not."""

    def committing(self) -> AbstractContextManager[None]:
        """Held while a commit is worked out and published, where writers can take turns; else they keep trying."""
        return nullcontext()

    def exists(self, path: str) -> bool:
        """Whether the object is there."""
        folder, _, name = path.rpartition("/")
        return name in self.names(folder)

    @abstractmethod
    def close(self) -> None:
        """Give back what was opened."""

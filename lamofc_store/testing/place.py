"""The place of the storages under test, as a subclass describes it."""

from __future__ import annotations

from typing import ClassVar

from lamofc_store.storage import Storage

OBJECT = "rows/a.parquet"
THREADS = 8


class Place:
    """A way to make storages, and to read and write their objects without them."""

    shared: ClassVar[bool] = True
    """Whether other processes see the objects; False for a storage in a process's memory."""
    rounds: ClassVar[int] = 5
    """Number of races for one object, first among threads and then among processes."""

    def new_storage(self) -> Storage:
        """Make a storage without objects, in a place of its own."""
        raise NotImplementedError

    def raw_read(self, storage: Storage, path: str) -> bytes:
        """Read an object without the storage."""
        raise NotImplementedError

    def raw_write(self, storage: Storage, path: str, data: bytes) -> None:
        """Write an object without the storage."""
        raise NotImplementedError


def must_raise(error: type[Exception], deed: str, function: object, *arguments: object) -> None:
    """Demand an exception of a class, or of one below it."""
    assert callable(function)  # noqa: S101
    try:
        result = function(*arguments)
    except error:
        return
    raise AssertionError(f"{deed}: {error.__name__} is expected, the result was {result!r}")

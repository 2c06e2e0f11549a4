# ruff: noqa: S101
"""The place of the storages under test, as a subclass describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar
from unittest import SkipTest

from lamofc_store.storage import Storage, fork_safety

Result = TypeVar("Result")

OBJECT = "rows/a.parquet"
THREADS = 8


class Place:
    """A way to make storages, and to read and write their objects without them."""

    shared: ClassVar[bool] = True
    """Whether other processes see the objects; False for a storage in a process's memory, which skips some tests."""
    rounds: ClassVar[int] = 5
    """Number of races for one object, first among threads and then among processes."""

    def new_storage(self) -> Storage:
        """Make a storage without objects, in a place of its own."""
        raise self._lacks("new_storage(self)", "make an empty storage in a place of its own")

    def raw_read(self, storage: Storage, path: str) -> bytes:
        """Read an object without the storage."""
        raise self._lacks("raw_read(self, storage, path)", "return an object's bytes without using the storage")

    def raw_write(self, storage: Storage, path: str, data: bytes) -> None:
        """Write an object without the storage."""
        raise self._lacks("raw_write(self, storage, path, data)", "write an object without using the storage")

    def empty_storage(self) -> Storage:
        """Return a new storage, whose class is a complete subclass of `Storage`."""
        storage = self.new_storage()
        name = type(storage).__qualname__
        assert isinstance(storage, Storage), f"new_storage: {name} is no subclass of lamofc_store.storage.Storage"
        assert fork_safety.is_registered(storage), f"{name}.__init__: it must call super().__init__(url)"
        return storage

    def need_sharing(self, check: str) -> None:
        """Leave a check out where other processes do not see the objects; pytest reports it as skipped."""
        if not self.shared:
            raise SkipTest(f"{type(self).__qualname__}.shared is False, so this is not checked: {check}")

    def _lacks(self, method: str, purpose: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__qualname__} has no method {method}: {purpose}")


def must_raise(error: type[Exception], deed: str, function: Callable[..., object], *arguments: object) -> None:
    """Demand an exception of a class, or of one below it."""
    try:
        result = function(*arguments)
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{deed}: {error.__name__} is expected, the error was {other!r}") from other
    raise AssertionError(f"{deed}: {error.__name__} is expected, the result was {result!r}")


def must_return(deed: str, function: Callable[..., Result], *arguments: object) -> Result:
    """Demand that a call raises nothing, and return its result."""
    try:
        return function(*arguments)
    except Exception as error:
        raise AssertionError(f"{deed}: no error is expected, the error was {error!r}") from error

"""Files of this machine: open ones, temporary folders, and the refusals of a disk as errors of the store."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import finalize

from lamofc_store.errors import ReadOnly, StoreError

NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class OpenFile:
    """A file descriptor, closed when the last reference to this object is gone.

    The kernel reuses the numbers of closed descriptors. A thread that reads keeps a reference, so it can never read
    from another file.
    """

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.descriptor)  # a default argument: at the end of the interpreter, `os` may be gone before this object


class TemporaryFolder:
    """A folder in the system's temporary directory, removed with this object or when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lamofc-"))
        self._finalizer = finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder and all files in it."""
        self._finalizer()

    def disown(self) -> None:
        """Never remove the folder: in a forked child it is the parent's."""
        self._finalizer.detach()


@contextlib.contextmanager
def translate_disk_errors(target: Path) -> Iterator[None]:
    """Raise ReadOnly or StoreError, naming the path, where the operating system refuses to write it."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            raise ReadOnly(
                f"{target} cannot be written: {error.strerror}", "choose a store in a place you may write to"
            ) from error
        if error.errno in _DISK_FULL:
            raise StoreError(
                f"{target} cannot be written: the disk is full", "free some space and run the same command again"
            ) from error
        raise

"""A storage behind fsspec: object stores, memory, and every other filesystem that fsspec opens."""

import contextlib
import errno
import posixpath
import re
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from lamofc_store.errors import BadArgument, Hint, ReadOnly, StoreError
from lamofc_store.storage.interface import Range, Storage, StoredObject
from lamofc_store.storage.ulid import new_ulid

READ_ATTEMPTS = 5
FIRST_RETRY_SECONDS = 0.2
"""Wait before the second attempt to read a range; it doubles from attempt to attempt."""
_NOT_RETRIED = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, TypeError, ValueError)
_NOT_TRANSLATED = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, NotImplementedError)
"""Errors that callers of a storage expect as they are."""
_EMPTY_FOLDER = re.compile(r"(?<=[^:/])//+")
"""Slashes in a row, but for those after a protocol."""
_MEMORY_LOCK = threading.Lock()
"""Makes `create` exclusive among threads on fsspec's memory filesystem, which ignores the mode."""


class RemoteStorage(Storage):
    """Objects of a filesystem that fsspec opens; each process opens its own."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        super().__init__(url.rstrip("/"))
        if _EMPTY_FOLDER.search(self.url):
            raise BadArgument(
                f"{url!r} has a folder without a name, which object stores do not list",
                f"give {_EMPTY_FOLDER.sub('/', self.url)!r}",
            )
        self.options = options
        self._connection: tuple[Any, str] | None = None

    def __reduce__(self) -> tuple[type["RemoteStorage"], tuple[str, dict[str, Any]]]:
        return type(self), (self.url, self.options)

    def read(self, path: str) -> bytes:
        filesystem, full = self._at(path)
        with self._translate_errors(path, "read"):
            return bytes(filesystem.cat_file(full))

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        filesystem, _ = self._at("")
        paths = [self._at(part.path)[1] for part in ranges]
        starts = [part.start for part in ranges]
        ends = [part.start + part.length for part in ranges]
        # An object store answers a request for an empty range with the whole object, so none is made.
        contents: dict[int, Any] = {number: b"" for number, part in enumerate(ranges) if part.length == 0}
        for attempt in range(READ_ATTEMPTS):
            missing = [number for number in range(len(ranges)) if number not in contents]
            if not missing:
                break
            arguments = [[column[number] for number in missing] for column in (paths, starts, ends)]
            with self._translate_errors("", "read"):
                answers = dict(zip(missing, filesystem.cat_ranges(*arguments, on_error="return"), strict=True))
            contents |= {number: data for number, data in answers.items() if not isinstance(data, BaseException)}
            contents |= {number: b"" for number in missing if self._is_past_the_end(answers[number], ranges[number])}
            errors = [answers[number] for number in missing if number not in contents]
            if errors:
                self._wait_after(errors[0], attempt)
        return [bytes(contents[number]) for number in range(len(ranges))]

    def write(self, path: str, content: bytes | Path) -> None:
        filesystem, full = self._at(path)
        with self._translate_errors(path, "written"):
            if isinstance(content, bytes):
                filesystem.pipe_file(full, content)
            else:
                filesystem.put_file(str(content), full)
                content.unlink()

    def create(self, path: str, data: bytes) -> bool:
        filesystem, full = self._at(path)
        lock = _MEMORY_LOCK if self.url.startswith("memory://") else contextlib.nullcontext()
        try:
            with self._translate_errors(path, "written"), lock:
                # This look is the only protection on a filesystem that ignores the mode; it allows a single writer.
                if filesystem.exists(full):
                    return False
                filesystem.pipe_file(full, data, mode="create")
        except FileExistsError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        filesystem, full = self._at(folder)
        try:
            with self._translate_errors(folder, "listed"):
                entries = filesystem.ls(full, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({name for entry in entries if (name := posixpath.basename(entry.rstrip("/")))})

    def walk(self, folder: str) -> Iterator[StoredObject]:
        filesystem, full = self._at(folder)
        root = self._at("")[1]
        with self._translate_errors(folder, "listed"):
            entries = sorted(filesystem.find(full, detail=True).items())
        for path, entry in entries:
            yield StoredObject(posixpath.relpath(path, root), int(entry["size"]), _modified(entry))

    def delete(self, paths: Iterable[str]) -> None:
        for path in list(paths):
            filesystem, full = self._at(path)
            with contextlib.suppress(FileNotFoundError), self._translate_errors(path, "deleted"):
                filesystem.rm_file(full)

    def clock(self) -> float:
        path = f"tmp/{new_ulid()}"
        self.write(path, b"-")
        filesystem, full = self._at(path)
        try:
            with self._translate_errors(path, "read"):
                return _modified(filesystem.info(full))
        finally:
            self.delete([path])

    def exists(self, path: str) -> bool:
        filesystem, full = self._at(path)
        with self._translate_errors(path, "read"):
            return bool(filesystem.exists(full))

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._connection = None

    def _at(self, path: str) -> tuple[Any, str]:
        """The filesystem, and an object's full path in it."""
        if self._connection is None:
            self._connection = self._connect()
        filesystem, root = self._connection
        return filesystem, posixpath.join(root, path) if path else root

    def _connect(self) -> tuple[Any, str]:
        import fsspec

        protocol = self.url.split("://", 1)[0]
        fixed = {"use_listings_cache": False, "skip_instance_cache": True} if protocol != "memory" else {}
        try:
            filesystem, root = fsspec.core.url_to_fs(self.url, **{**fixed, **self.options})
        except ImportError as error:
            hint = f"pip install 'lamofc-store[{'s3' if protocol.startswith('s3') else 'all'}]'"
            raise StoreError(f"{self.url} needs a package that is not installed: {error}", hint) from error
        except (TypeError, ValueError) as error:
            raise self._unknown_option(error) or StoreError(
                f"{self.url} cannot be opened: {error}",
                Hint("give a path or a URL that fsspec knows, and in [storage_options] what its filesystem needs"),
            ) from error
        return filesystem, root

    @contextlib.contextmanager
    def _translate_errors(self, path: str, deed: str) -> Iterator[None]:
        """Raise errors of the filesystem as errors of the store, but for those that callers expect."""
        target = f"{self.url}/{path}".rstrip("/")
        try:
            yield
        except (StoreError, *_NOT_TRANSLATED):
            raise
        except PermissionError as error:
            error_class = StoreError if deed == "read" else ReadOnly
            raise error_class(
                f"{target} cannot be {deed}: {error}", Hint("check the credentials in [storage_options]")
            ) from error
        except Exception as error:  # some filesystems look at their options only when they first connect
            raise self._unknown_option(error) or StoreError(
                f"{target} cannot be {deed}: {error or type(error).__name__}", self._reachability_hint()
            ) from error

    def _is_past_the_end(self, answer: object, part: Range) -> bool:
        """Whether an object store refused a range because it begins where the object has ended."""
        if not isinstance(answer, OSError) or answer.errno != errno.EINVAL:
            return False
        filesystem, full = self._at(part.path)
        with self._translate_errors(part.path, "read"):
            return part.start >= int(filesystem.info(full)["size"])

    def _unknown_option(self, error: Exception) -> BadArgument | None:
        """The error of a storage option that the filesystem does not take; None when it is another error."""
        name = next((name for name in self.options if f"keyword argument '{name}'" in str(error)), None)
        if name is None:
            return None
        return BadArgument(
            f"{self.url} takes no storage option {name!r}",
            Hint("leave it out of [storage_options], or correct its name; an S3 server's address is endpoint_url"),
        )

    def _reachability_hint(self) -> Hint:
        endpoint = self.options.get("endpoint_url") or self.options.get("client_kwargs", {}).get("endpoint_url")
        server = endpoint or "the server"
        return Hint(f"check that {server} answers and is the right one; [storage_options] hold address and credentials")

    def _wait_after(self, error: BaseException, attempt: int) -> None:
        """Wait before the next attempt to read; raise an error that no further attempt would mend."""
        if isinstance(error, _NOT_RETRIED) or not isinstance(error, Exception):
            with self._translate_errors("", "read"):
                raise error
        if attempt == READ_ATTEMPTS - 1:
            raise StoreError(
                f"{self.url} did not give what was asked for, {READ_ATTEMPTS} times: {error or type(error).__name__}",
                "try again when it can be reached; a loader goes on from its state_dict()",
            ) from error
        time.sleep(FIRST_RETRY_SECONDS * 2**attempt)


def _modified(entry: dict[str, Any]) -> float:
    """Seconds since 1970 of an object's last change, from a filesystem's description of it."""
    for key in ("LastModified", "mtime", "modified", "created", "updated", "last_modified"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
    raise StoreError(f"{entry.get('name')!r} bears no time of change", "collect only on a storage that keeps one")

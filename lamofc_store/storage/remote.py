"""A store behind fsspec: object stores, memory, and whatever else it speaks."""

import posixpath
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import finalize

from lamofc_store.errors import ReadOnly, StoreError
from lamofc_store.storage import fork_safety
from lamofc_store.storage.interface import Range, Storage, Stored
from lamofc_store.storage.ulid import new_ulid

_TRIES, _FIRST_WAIT = 5, 0.2
"""How often a range is asked for before that is an error; the waits between double."""
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, TypeError, ValueError)
_MEMORY = threading.Lock()
"""fsspec's memory files have no exclusive create of their own between threads."""


class RemoteStorage(Storage):
    """Objects of a filesystem that fsspec opens; opened anew in every process that uses it."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url.rstrip("/")
        self.options = options
        self.checked = {}
        self._opened: tuple[Any, str] | None = None
        self._workplace: _Folder | None = None
        self._copies: _Folder | None = None
        fork_safety.tell(self)

    def __reduce__(self) -> tuple[type["RemoteStorage"], tuple[str, dict[str, Any]]]:
        return type(self), (self.url, self.options)

    def _at(self, path: str) -> tuple[Any, str]:
        """The filesystem and the object's full path in it."""
        if self._opened is None:
            self._opened = self._open()
        filesystem, root = self._opened
        return filesystem, posixpath.join(root, path) if path else root

    def _open(self) -> tuple[Any, str]:
        import fsspec

        protocol = self.url.split("://", 1)[0]
        fixed = {"use_listings_cache": False, "skip_instance_cache": True} if protocol != "memory" else {}
        try:
            filesystem, root = fsspec.core.url_to_fs(self.url, **{**fixed, **self.options})
        except ImportError as error:
            cure = f"pip install 'lamofc-store[{'s3' if protocol.startswith('s3') else 'all'}]'"
            raise StoreError(f"{self.url} needs a package that is not installed: {error}", cure) from error
        except ValueError as error:
            raise StoreError(
                f"{self.url} cannot be opened: {error}", "give a path or a URL that fsspec knows"
            ) from error
        return filesystem, root

    def read(self, path: str) -> bytes:
        filesystem, full = self._at(path)
        return bytes(filesystem.cat_file(full))

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        filesystem, _ = self._at("")
        paths = [self._at(wanted.path)[1] for wanted in ranges]
        starts = [wanted.start for wanted in ranges]
        ends = [wanted.start + wanted.length for wanted in ranges]
        found: dict[int, Any] = {}
        for attempt in range(_TRIES):
            left = [number for number in range(len(ranges)) if number not in found]
            tried = [[list_[number] for number in left] for list_ in (paths, starts, ends)]
            answers = dict(zip(left, filesystem.cat_ranges(*tried, on_error="return"), strict=True))
            found |= {number: answer for number, answer in answers.items() if not isinstance(answer, BaseException)}
            refused = [answer for answer in answers.values() if isinstance(answer, BaseException)]
            if not refused:
                break
            _wait_after(refused[0], attempt, self.url)
        return [bytes(found[number]) for number in range(len(ranges))]

    def write(self, path: str, content: bytes | Path) -> None:
        filesystem, full = self._at(path)
        with _Translated(full):
            if isinstance(content, bytes):
                filesystem.pipe_file(full, content)
            else:
                filesystem.put_file(str(content), full)
                content.unlink()

    def create(self, path: str, data: bytes) -> bool:
        filesystem, full = self._at(path)
        try:
            with _Translated(full), _MEMORY if self.url.startswith("memory://") else nullcontext():
                # Where a file system ignores the mode, and there can be only one writer, this look is all there is.
                if filesystem.exists(full):
                    return False
                filesystem.pipe_file(full, data, mode="create")
        except FileExistsError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        filesystem, full = self._at(folder)
        try:
            found = filesystem.ls(full, detail=False)
        except FileNotFoundError:
            return []
        return sorted({name for entry in found if (name := posixpath.basename(entry.rstrip("/")))})

    def walk(self, folder: str) -> Iterator[Stored]:
        filesystem, full = self._at(folder)
        root = self._at("")[1]
        for path, entry in sorted(filesystem.find(full, detail=True).items()):
            yield Stored(posixpath.relpath(path, root), int(entry["size"]), _modified(entry))

    def delete(self, paths: Iterable[str]) -> None:
        full = [self._at(path)[1] for path in paths]
        filesystem, _ = self._at("")
        for path in full:
            with _Translated(path):
                try:
                    filesystem.rm_file(path)
                except FileNotFoundError:
                    continue

    def clock(self) -> float:
        path = f"tmp/{new_ulid()}"
        self.write(path, b"-")
        filesystem, full = self._at(path)
        try:
            return _modified(filesystem.info(full))
        finally:
            self.delete([path])

    def workplace(self) -> Path:
        if self._workplace is None:
            self._workplace = _Folder()
        return self._workplace.path

    def local(self, path: str) -> Path | None:
        return None

    def exists(self, path: str) -> bool:
        filesystem, full = self._at(path)
        return bool(filesystem.exists(full))

    def copies(self) -> Path:
        if self._copies is None:
            self._copies = _Folder()
        return self._copies.path

    def close(self) -> None:
        self.clear_workplace()
        if self._copies is not None:
            self._copies.remove()
            self._copies = None
            self.checked = {}

    def clear_workplace(self) -> None:
        if self._workplace is not None:
            self._workplace.remove()
            self._workplace = None

    def leave_parent(self) -> None:
        """In a forked child: connections are opened and folders made anew; those of the parent stay its own."""
        for folder in (self._workplace, self._copies):
            if folder is not None:
                folder.leave()
        self._opened, self._workplace, self._copies, self.checked = None, None, None, {}


def _wait_after(error: BaseException, attempt: int, url: str) -> None:
    """Wait before a range is asked for again; raise where that is of no use."""
    if isinstance(error, _LASTING) or not isinstance(error, Exception):
        raise error
    if attempt == _TRIES - 1:
        raise StoreError(
            f"{url} did not give what was asked for, {_TRIES} times: {error or type(error).__name__}",
            "try again when it can be reached; a loader's state_dict() says where to go on",
        ) from error
    time.sleep(_FIRST_WAIT * 2**attempt)


class _Folder:
    """A folder for temporary files, removed with its owner or when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lamofc-"))
        self.remove = finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def leave(self) -> None:
        """Let it be: it is another process's."""
        self.remove.detach()


class _Translated:
    """Refusals of the other side, in our words."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PermissionError):
            raise ReadOnly(
                f"{self.target} cannot be written: {error}", "check the credentials given by storage_options"
            ) from error


def _modified(entry: dict[str, Any]) -> float:
    for key in ("LastModified", "mtime", "modified", "created", "updated", "last_modified"):
        value = entry.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            return datetime.fromisoformat(value).timestamp()
    raise StoreError(f"{entry.get('name')!r} bears no time of change", "collect only on a storage that keeps one")

"""`open` and `create`, with the modes of zarr."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lamofc_store.commits import log, store_marker
from lamofc_store.errors import BadArgument, NotFound
from lamofc_store.storage import Options, Storage, open_storage, paths

if TYPE_CHECKING:
    from lamofc_store.store import Store

Mode = Literal["r", "r+", "a", "w", "w-"]


def open(
    url: str | Path | Storage, mode: Mode = "r", *, storage_options: Options | None = None, as_of: int | None = None
) -> "Store":
    """Open a store at a path, at any fsspec URL, or in a `Storage` of your own.

    `r` reads; `r+` reads and writes what exists; `a` creates it if it does not; `w` replaces it; `w-` creates it and
    fails if it exists. `as_of` pins the snapshot after that commit, for reading.
    """
    from lamofc_store.store import Store

    if mode not in get_args(Mode):
        raise BadArgument(f"mode {mode!r} is none of r, r+, a, w, w-", "lamofc_store.open(url, mode='a')")
    if as_of is not None and mode != "r":
        raise BadArgument(
            f"as_of={as_of} with mode {mode!r}: an old snapshot can only be read", "open it with mode='r'"
        )
    storage = url if isinstance(url, Storage) else open_storage(str(url), storage_options)
    if mode == "w":
        _remove(storage)
    if mode in ("w", "w-") or (mode == "a" and not _exists(storage)):
        store_marker.create(storage)
    store_marker.read(storage)
    if mode in ("r+", "a"):
        store_marker.complete(storage)
    return Store(storage, log.load(storage, as_of), mode, pinned=as_of is not None)


def create(url: str | Path | Storage, *, storage_options: Options | None = None) -> "Store":
    """Make a new, empty store; fails where there is one."""
    return open(url, "w-", storage_options=storage_options)


def _exists(storage: Storage) -> bool:
    """Whether there is a store; a place with other objects raises NotAStore."""
    try:
        store_marker.read(storage)
    except NotFound as error:
        if type(error) is NotFound:
            return False
        raise
    return True


def _remove(storage: Storage) -> None:
    """Delete a store: commits first and the marker last, so that an interrupted deletion can be repeated."""
    if not _exists(storage):
        return
    stored_paths = [stored.path for stored in storage.walk("")]
    storage.delete(path for path in stored_paths if path.startswith(paths.COMMITS))
    storage.delete(path for path in stored_paths if not path.startswith(paths.COMMITS) and path != paths.MARKER)
    storage.delete([paths.MARKER])

"""`lamofc.json`: what makes a place a store, and what a reader must know to read it."""

from lamofc_store.commits.commit import FORMAT, refuse_newer
from lamofc_store.errors import Conflict, NotAStore, NotFound
from lamofc_store.storage import Document, Storage, new_ulid, paths, seal, unseal, zarr_metadata
from lamofc_store.version import VERSION

GROUP = f"{paths.SEGMENTS}/zarr.json"


def read(storage: Storage) -> Document:
    """The marker's body; NotFound or NotAStore where there is none."""
    try:
        data = storage.read(paths.MARKER)
    except (FileNotFoundError, NotADirectoryError):
        if storage.names(""):
            raise NotAStore(
                f"{storage.url} is no store: it has no {paths.MARKER}", "give a store, or a new place to create one"
            ) from None
        raise NotFound(f"there is no store at {storage.url}", f"lamofc ingest SOURCE {storage.url}") from None
    body = unseal(data, paths.MARKER)
    refuse_newer(body, paths.MARKER)
    return body


def create(storage: Storage) -> Document:
    """Make an empty store; Conflict when one is there, NotAStore when other things are."""
    stranger = _first_stranger(storage)
    if stranger is not None:
        raise NotAStore(f"{storage.url} holds {stranger!r} and is no store", "give an empty or a new place")
    exclusive = _honours_exclusive_create(storage)
    body = {
        "format": FORMAT,
        "requires": [],
        "store": new_ulid(),
        "created_by": f"lamofc_store {VERSION}",
        "writers": "many" if exclusive else "one",
    }
    if not storage.create(paths.MARKER, seal(body)):
        raise Conflict(f"{storage.url} is a store already", "open it with mode='a', or replace it with mode='w'")
    complete(storage)
    return body


def complete(storage: Storage) -> None:
    """Write again what a creation that was cut short left out, or what was damaged and is always the same."""
    try:
        if storage.read(GROUP) == zarr_metadata.group():
            return
    except FileNotFoundError:
        pass
    storage.write(GROUP, zarr_metadata.group())


def _first_stranger(storage: Storage) -> str | None:
    """An object that is there though no store is."""
    if paths.MARKER in storage.names(""):
        return None
    stored_paths = (stored.path for stored in storage.walk(""))
    return next((path for path in stored_paths if not path.startswith(f"{paths.UNFINISHED}/")), None)


def _honours_exclusive_create(storage: Storage) -> bool:
    """Whether of two creates of one object the second is refused; without that only one may write at a time."""
    path = f"{paths.UNFINISHED}/{new_ulid()}"
    try:
        return storage.create(path, b"1") and not storage.create(path, b"2")
    finally:
        storage.delete([path])

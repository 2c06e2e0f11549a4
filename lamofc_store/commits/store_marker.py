"""`lamofc.json`: the object that makes a place a store, with the features that a reader must support."""

from lamofc_store.commits.commit import FORMAT, refuse_newer
from lamofc_store.errors import Conflict, NotAStore, NotFound
from lamofc_store.storage import Document, Storage, decode_document, encode_document, new_ulid, paths, zarr_metadata
from lamofc_store.version import VERSION

GROUP = f"{paths.SEGMENTS}/zarr.json"
"""The Zarr group that holds all segments; its content is always the same."""


def read(storage: Storage) -> Document:
    """Read the marker's body; NotFound or NotAStore where there is none."""
    try:
        data = storage.read(paths.MARKER)
    except (FileNotFoundError, NotADirectoryError):
        if storage.names(""):
            raise NotAStore(
                f"{storage.url} is no store: it has no {paths.MARKER}", "give a store, or a new place to create one"
            ) from None
        raise NotFound(f"there is no store at {storage.url}", f"lamofc ingest SOURCE {storage.url}") from None
    body = decode_document(data, paths.MARKER)
    refuse_newer(body, paths.MARKER)
    return body


def create(storage: Storage) -> Document:
    """Make an empty store; Conflict where there is one, NotAStore where there are other objects."""
    foreign = _first_foreign_object(storage)
    if foreign is not None:
        raise NotAStore(f"{storage.url} holds {foreign!r} and is no store", "give an empty or a new place")
    exclusive = _honours_exclusive_create(storage)
    body = {
        "format": FORMAT,
        "requires": [],
        "store": new_ulid(),
        "created_by": f"lamofc_store {VERSION}",
        "writers": "many" if exclusive else "one",
    }
    if not storage.create(paths.MARKER, encode_document(body)):
        raise Conflict(f"{storage.url} is a store already", "open it with mode='a', or replace it with mode='w'")
    complete(storage)
    return body


def complete(storage: Storage) -> None:
    """Write the group of segments where it is missing, because creation was interrupted, or is damaged."""
    try:
        if storage.read(GROUP) == zarr_metadata.group():
            return
    except FileNotFoundError:
        pass
    storage.write(GROUP, zarr_metadata.group())


def _first_foreign_object(storage: Storage) -> str | None:
    """Path of an object in a place that is no store; None in a store or an empty place."""
    if paths.MARKER in storage.names(""):
        return None
    stored_paths = (stored.path for stored in storage.walk(""))
    return next((path for path in stored_paths if not path.startswith(f"{paths.UNFINISHED}/")), None)


def _honours_exclusive_create(storage: Storage) -> bool:
    """Whether the second of two creates of one object is refused; a store allows a single writer otherwise."""
    path = f"{paths.UNFINISHED}/{new_ulid()}"
    try:
        return storage.create(path, b"1") and not storage.create(path, b"2")
    finally:
        storage.delete([path])

"""Objects under paths: local disks and fsspec URLs behind one interface.

In: paths relative to the store, bytes. Out: bytes and listings. Exclusive create is atomic; ranges are checked."""

from lamofc_store.storage import paths, zarr_metadata
from lamofc_store.storage.factory import open_storage
from lamofc_store.storage.interface import Openable, Options, Range, Ranged, Storage, StoredObject
from lamofc_store.storage.local import LocalStorage
from lamofc_store.storage.local_files import translate_disk_errors
from lamofc_store.storage.page_cache import Cache
from lamofc_store.storage.sealed_json import Document, crc32c, decode_document, encode_document
from lamofc_store.storage.ulid import new_ulid

__all__ = [
    "Cache",
    "Document",
    "LocalStorage",
    "Openable",
    "Options",
    "Range",
    "Ranged",
    "Storage",
    "StoredObject",
    "crc32c",
    "decode_document",
    "encode_document",
    "new_ulid",
    "open_storage",
    "paths",
    "translate_disk_errors",
    "zarr_metadata",
]

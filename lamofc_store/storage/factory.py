"""Opens the storage of a URL."""

from lamofc_store.storage.interface import Options, Storage


def open_storage(url: str, options: Options | None = None) -> Storage:
    """Open the storage behind a path or any fsspec URL; nothing is read or made before its first use."""
    if "://" not in url or url.startswith(("file://", "local://")):
        from lamofc_store.storage.local import LocalStorage

        return LocalStorage(url.split("://", 1)[-1])
    from lamofc_store.storage.remote import RemoteStorage

    return RemoteStorage(url, dict(options or {}))

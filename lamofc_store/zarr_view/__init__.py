"""The decoded view: a read-only Zarr store whose chunks are records, and the codec that decodes them."""

from lamofc_store.zarr_view.store import group

__all__ = [
    "group",
]

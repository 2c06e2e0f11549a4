"""Conformance of storages, as tests to subclass.

In: a way to make an empty storage, and to look at its objects without it. Out: a failed test for each promise of
`lamofc_store.storage.Storage` that it breaks.
"""

from lamofc_store.testing.storage_conformance import StorageConformance

__all__ = ["StorageConformance"]

# ruff: noqa: S101
"""The promises of a storage, as tests. A storage's own test is a subclass that makes it.

    class TestMine(StorageConformance):
        def new_storage(self):
            return MyStorage(...)

        def raw_read(self, storage, path):
            return my_client.download(storage.bucket, path)

        def raw_write(self, storage, path, data):
            my_client.upload(storage.bucket, path, data)

The class needs no test framework at import; pytest collects its methods. A test that fails names the method of
`Storage` and the promise that it breaks.
"""

from __future__ import annotations

from lamofc_store.testing.objects import ObjectTests
from lamofc_store.testing.sharing import SharingTests


class StorageConformance(ObjectTests, SharingTests):
    """Subclass it, make an empty storage, and read and write its objects without it."""

    def test_a_store_lives_in_it(self) -> None:
        """Write, forget, compact, collect and read in a store on the storage."""
        import torch

        from lamofc_store.opening import open as open_store
        from lamofc_store.sample import Sample

        storage = self.empty_storage()
        tensors = [torch.arange(12.0).reshape(3, 4) + number for number in range(3)]
        with open_store(storage, "w-") as store:
            store.ingest([Sample(f"s{n}", {"x": tensor}) for n, tensor in enumerate(tensors)], codec="raw")
            store.forget(["s1"])
            store.compact(live=1.0)
            store.gc("0s")
        with open_store(storage) as store:
            assert list(store) == ["s0", "s2"]
            assert torch.equal(store["s2", "x"], tensors[2])
            assert store.verify().ok

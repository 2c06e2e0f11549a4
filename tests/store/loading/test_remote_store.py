"""Loaders of a store on S3: reads that fail, and a cache on the local disk."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lamofc_store as lamofc
from lamofc_store import Cache, FeatureLoader, Sample
from lamofc_store.errors import StoreError
from lamofc_store.storage import remote
from lamofc_store.storage.remote import RemoteStorage
from lamofc_store.storage.ulid import new_ulid

Make = Callable[..., list[Sample]]
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def _remote(s3: dict[str, object], make_samples: Make) -> lamofc.Store:
    store = lamofc.open(f"s3://lamofc/{new_ulid()}", "w-", storage_options=s3)
    store.ingest(make_samples(20), codec="raw", segment_bytes=3000)
    return store


class _Failing:
    """A file system of which some reads of ranges fail."""

    def __init__(self, inner: Any, failures: int, error: Exception) -> None:
        self.inner, self.left, self.error, self.calls = inner, failures, error, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def cat_ranges(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        found = self.inner.cat_ranges(*arguments, **options)
        if self.left and self.calls > 1:
            self.left -= 1
            return [self.error, *found[1:]]
        return found


@pytest.mark.parametrize("error", [ConnectionResetError("cut"), TimeoutError(), RuntimeError("503 Slow Down")])
def test_a_read_that_fails_twice_is_tried_again(
    s3: dict[str, object], make_samples: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(remote, "FIRST_RETRY_SECONDS", 0.01)
    store = _remote(s3, make_samples)
    dataset = store.dataset(["pooled"])
    expected = {sample: store[sample, "pooled"] for sample in store}
    assert isinstance(store.storage, RemoteStorage)
    opened = store.storage._connect()
    failing = _Failing(opened[0], 2, error)
    store.storage._connection = (failing, opened[1])
    for batch in FeatureLoader(dataset, 4, shuffle=True):
        assert all((batch["pooled"][at] == expected[sample]).all() for at, sample in enumerate(batch["sample"]))
    assert failing.left == 0
    failing.left = 100
    with pytest.raises(StoreError, match="did not give what was asked for, 5 times"):
        list(FeatureLoader(dataset, 4))


def test_a_cache_is_read_instead_of_the_store_keeps_its_bound_and_mends_itself(
    s3: dict[str, object], make_samples: Make, tmp_path: Path
) -> None:
    store = _remote(s3, make_samples)
    expected = {sample: store[sample, "hidden"] for sample in store}
    cache = Cache(tmp_path / "cache", 1 << 20)
    dataset = store.dataset(["hidden"], cache=cache)
    assert isinstance(store.storage, RemoteStorage)
    counting = _Failing(store.storage._connect()[0], 0, ValueError())
    store.storage._connection = (counting, store.storage._connect()[1])

    def read(dataset: Any, **options: Any) -> int:
        counting.calls = 0
        for batch in FeatureLoader(dataset, 4, shuffle=True, ragged="list", **options):
            for tensor, sample in zip(batch["hidden"], batch["sample"], strict=True):
                assert (tensor == expected[sample]).all()
        return counting.calls

    assert read(dataset) > 0
    assert read(dataset) == 0
    assert read(pickle.loads(pickle.dumps(dataset))) == 0  # noqa: S301 - our own bytes
    for file in (tmp_path / "cache").glob("*.data"):
        file.write_bytes(bytes(len(file.read_bytes())))
    assert read(dataset) > 0
    assert read(dataset) == 0
    for file in (tmp_path / "cache").glob("*.data"):
        file.unlink()
    assert read(dataset) > 0
    small = store.dataset(["hidden"], cache=Cache(tmp_path / "small", 16384))
    for _ in range(3):
        read(small)
        assert Cache(tmp_path / "small", 16384).size() <= 16384 + 2 * 4096
    with pytest.raises(StoreError, match="most=10"):
        Cache(tmp_path, 10)


@pytest.mark.slow
def test_workers_share_a_cache(s3: dict[str, object], make_samples: Make, tmp_path: Path) -> None:
    store = _remote(s3, make_samples)
    expected = {sample: store[sample, "pooled"] for sample in store}
    dataset = store.dataset(["pooled"], cache=Cache(tmp_path, 1 << 20))
    loader = FeatureLoader(dataset, 3, shuffle=True, workers=2, timeout=60)
    for _ in range(2):
        for batch in loader:
            assert all((batch["pooled"][at] == expected[sample]).all() for at, sample in enumerate(batch["sample"]))

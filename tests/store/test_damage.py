"""Every byte of a store flipped in turn, every object taken away: noticed and named, or without any effect."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.errors import CorruptStore, NewerFormat, StoreError
from lamofc_store.storage import paths
from lamofc_store.storage.ulid import new_ulid

Make = Callable[..., list[lamofc.Sample]]


def _small_store(url: str) -> dict[str, dict[str, torch.Tensor]]:
    """A store of some 12 kB in which every kind of object lies; gives what should be read from it."""
    noise = torch.Generator().manual_seed(7)
    samples = [Sample(f"s{n}", {"x": torch.randn(2, 12, generator=noise)}, {"label": n}) for n in range(3)]
    with lamofc.open(url, "w") as store:
        store.ingest(samples, codec="uniform")
        store.annotate({"s1": {"note": "seen"}})
        store.forget(["s2"])
        return {sample: store[sample] for sample in store}


def _everything(url: str) -> dict[str, dict[str, torch.Tensor]]:
    with lamofc.open(url) as store:
        return {sample: store[sample] for sample in store}


def _is_noticed(url: str, path: str) -> bool:
    """Whether opening, reading or verifying tells of the object."""
    try:
        with lamofc.open(url) as store:
            problems = store.verify().problems
    except (StoreError, NewerFormat):
        return True
    segment = "/".join(path.split("/")[:2])
    return any(problem.object in (path, segment) or path in problem.what for problem in problems) or (
        path.startswith(paths.COMMITS) and any(problem.object == paths.COMMITS for problem in problems)
    )


def _same(one: dict[str, dict[str, torch.Tensor]], other: dict[str, dict[str, torch.Tensor]]) -> bool:
    return one.keys() == other.keys() and all(
        one[sample].keys() == other[sample].keys()
        and all(torch.equal(one[sample][f], other[sample][f]) for f in one[sample])
        for sample in one
    )


@pytest.fixture
def flippable() -> Iterator[tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]]]:
    url = f"memory://{new_ulid()}"
    expected = _small_store(url)
    filesystem, root = fsspec.core.url_to_fs(url)
    objects = {path.removeprefix(root).lstrip("/"): filesystem.cat_file(path) for path in filesystem.find(root)}
    yield url, expected, objects
    filesystem.rm(root, recursive=True)


def _flips(objects: dict[str, bytes], every: int) -> Iterator[tuple[str, int]]:
    for path, data in sorted(objects.items()):
        records = 4096 if path.endswith("payload/c/0") else len(data)
        places = set(range(0, min(len(data), records), every)) | set(range(max(0, len(data) - 40), len(data), every))
        yield from ((path, place) for place in sorted(places))


def _check_flips(flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]], every: int) -> int:
    url, expected, objects = flippable
    filesystem, root = fsspec.core.url_to_fs(url)
    tried = 0
    for path, place in _flips(objects, every):
        damaged = bytearray(objects[path])
        damaged[place] ^= 1 << (place % 8)
        filesystem.pipe_file(f"{root}/{path}", bytes(damaged))
        assert _is_noticed(url, path), f"{path}, byte {place}: not noticed"
        tried += 1
        try:
            found = _everything(url)
        except StoreError:
            continue
        finally:
            filesystem.pipe_file(f"{root}/{path}", objects[path])
        assert _same(found, expected), f"{path}, byte {place}: read without an error, and wrong"
    return tried


def test_flipped_bytes_are_noticed_and_never_read_wrong(
    flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]],
) -> None:
    assert _check_flips(flippable, every=211) > 80


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_flipped_byte_is_noticed(
    flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]],
) -> None:
    assert _check_flips(flippable, every=1) > 10_000


def test_a_missing_object_is_an_error_and_never_zeros(
    flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]],
) -> None:
    url, expected, objects = flippable
    filesystem, root = fsspec.core.url_to_fs(url)
    for path, data in objects.items():
        if path == paths.NEWEST:  # as in a store of a version that did not note commits
            continue
        filesystem.rm_file(f"{root}/{path}")
        assert _is_noticed(url, path), f"{path} is missing, and nobody noticed"
        with contextlib.suppress(StoreError):
            assert _same(_everything(url), expected), f"{path} is missing, and something else was read"
        filesystem.pipe_file(f"{root}/{path}", data)


def test_without_the_newest_commit_and_its_note_the_store_is_the_one_before(
    flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]],
) -> None:
    url, *_ = flippable
    filesystem, root = fsspec.core.url_to_fs(url)
    with lamofc.open(url) as store:
        before = {sample: store.as_of(store.head - 1)[sample] for sample in store.as_of(store.head - 1)}
    filesystem.rm_file(f"{root}/{paths.commit(store.head)}")
    with pytest.raises(CorruptStore, match=rf"is missing: commits/head says .* newest of .* is {store.head - 1}"):
        _everything(url)
    filesystem.rm_file(f"{root}/{paths.NEWEST}")
    assert _same(_everything(url), before)
    assert len(before) == 3


def test_truncated_objects_are_noticed(
    flippable: tuple[str, dict[str, dict[str, torch.Tensor]], dict[str, bytes]],
) -> None:
    url, expected, objects = flippable
    filesystem, root = fsspec.core.url_to_fs(url)
    for path, data in objects.items():
        for length in (0, len(data) // 2, len(data) - 1):
            filesystem.pipe_file(f"{root}/{path}", data[:length])
            assert _is_noticed(url, path), f"{path} was cut to {length} bytes, and nobody noticed"
        filesystem.pipe_file(f"{root}/{path}", data)
    assert _same(_everything(url), expected)


def test_a_lost_payload_names_the_object(store: lamofc.Store) -> None:
    (segment,) = store.snapshot.segments
    Path(store.url, paths.payload(segment)).unlink()
    with pytest.raises(CorruptStore, match=f"{segment}/payload/c/0"):
        store["s/0001"]


def test_names_in_a_commit_never_leave_the_store(tmp_path: Path) -> None:
    for bad in ("../../etc", "/etc", "a/b", "", "0" * 25 + "/"):
        with pytest.raises(CorruptStore):
            paths.segment(bad)
        with pytest.raises(CorruptStore):
            paths.rows(f"{bad}.records")
        with pytest.raises(CorruptStore):
            paths.profile(bad)

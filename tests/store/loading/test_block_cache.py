"""Blocks of small samples: decoded once for a shuffled epoch, within a bound in bytes, by each process for itself."""

import os
import pickle
from pathlib import Path

import pytest
import torch

import lamofc_codecs
import lamofc_store as lamofc
from lamofc_store import FeatureLoader, Quality, Sample
from lamofc_store.errors import BadArgument

COUNT, CHANNELS, BLOCK = 192, 24, 64
BLOCK_BYTES = BLOCK * CHANNELS * 4


@pytest.fixture
def store(tmp_path: Path) -> lamofc.Store:
    made = torch.randn(COUNT, CHANNELS, generator=torch.Generator().manual_seed(0))
    opened = lamofc.open(tmp_path / "s", "a")
    opened.ingest([Sample(f"s{n:03}", {"v": row}) for n, row in enumerate(made)], quality=Quality(snr_db=20))
    return opened


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of records that were decoded by each call."""
    counts: list[int] = []
    decode = lamofc_codecs.decode

    def counted(records: lamofc_codecs.Packed, *arguments: object, **options: object) -> list[torch.Tensor]:
        counts.append(len(records))
        return decode(records, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(lamofc_codecs, "decode", counted)
    return counts


def test_a_shuffled_epoch_decodes_each_block_once(store: lamofc.Store, decoded: list[int]) -> None:
    wanted = {name: store[name, "v"] for name in store}
    decoded.clear()
    for batch in FeatureLoader(store.dataset(["v"]), 16, shuffle=True, prefetch=0):
        for name, vector in zip(batch["sample"], batch["v"], strict=True):
            assert torch.equal(vector, wanted[name])
    assert sum(decoded) == COUNT // BLOCK
    loader = FeatureLoader(store.dataset(["v"], block_cache=0), 16, shuffle=True, prefetch=0)
    decoded.clear()
    assert sum(len(batch["sample"]) for batch in loader) == COUNT
    assert sum(decoded) > 2 * COUNT // BLOCK


def test_the_blocks_used_last_are_kept(store: lamofc.Store, decoded: list[int]) -> None:
    dataset = store.dataset(["v"], block_cache=2 * BLOCK_BYTES)
    for index, missing in [(1, 1), (65, 1), (2, 0), (129, 1), (3, 0), (66, 1), (130, 1), (67, 0)]:
        decoded.clear()
        dataset[index]
        assert sum(decoded) == missing, index


def test_what_a_reader_changes_is_not_read_again(store: lamofc.Store) -> None:
    dataset = store.dataset(["v"])
    before = dataset[5]["v"].clone()
    dataset[5]["v"].zero_()
    assert torch.equal(dataset[5]["v"], before)
    half = next(iter(FeatureLoader(dataset, COUNT, dtype=torch.float16)))["v"]
    assert half.dtype == torch.float16 and torch.equal(half[5], before.half())
    assert dataset[5]["v"].dtype == torch.float32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_processes_do_not_share_what_is_kept(store: lamofc.Store, decoded: list[int]) -> None:
    dataset = store.dataset(["v"])
    before = dataset[5]["v"]
    copied = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - made here
    decoded.clear()
    assert torch.equal(copied[5]["v"], before) and sum(decoded) == 1
    dataset._blocks._of_this_process().lock.acquire()  # as another thread of the parent might hold it
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(dataset[5]["v"], before) else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("most", [-1, 1.5, True])
def test_a_bound_that_is_none_is_refused(store: lamofc.Store, most: object) -> None:
    with pytest.raises(BadArgument, match="block_cache="):
        store.dataset(["v"], block_cache=most)  # type: ignore[arg-type]

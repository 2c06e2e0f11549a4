"""Datasets of pooled vectors: what the tokens come to, whatever their lengths, codec, pattern and process."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import FeatureLoader, Pool, Quality, Sample
from lamofc_store.errors import NotFound

Make = Callable[..., list[Sample]]
BOTH = Pool("cls+mean", 1)


def test_items_and_batches_are_vectors_of_what_the_store_gives(store: lamofc.Store) -> None:
    whole = store.dataset(["hidden", "cache"], target="label")
    dataset = whole.pooled(BOTH, ["hidden"]).pooled(Pool(), ["cache"])
    assert dataset.samples == whole.samples and dataset.targets == whole.targets
    batches = list(FeatureLoader(dataset, 5, dtype=torch.float64))
    for number, (pooled, item) in enumerate(zip(dataset, whole, strict=True)):
        assert (pooled["sample"], pooled["label"]) == (item["sample"], item["label"])
        torch.testing.assert_close(pooled["hidden"], BOTH.of(item["hidden"][0]).flatten())
        torch.testing.assert_close(pooled["cache"], item["cache"].float().reshape(-1, 6).mean(0))
        batch = batches[number // 5]
        assert torch.equal(batch["hidden"][number % 5], pooled["hidden"].double())
        assert torch.equal(batch["cache"][number % 5], pooled["cache"].double())
    assert whole[0]["hidden"].dim() == 3
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
    assert torch.equal(again[3]["hidden"], dataset[3]["hidden"])
    with pytest.raises(NotFound, match="no feature 'layer' in this dataset"):
        whole.pooled(BOTH, ["layer"])


@pytest.mark.parametrize("ragged", ["stack", "pad", "pack", "list"])
def test_samples_of_all_lengths_make_one_batch(store: lamofc.Store, ragged: str) -> None:
    dataset = store.dataset(["hidden"])
    pooled = next(iter(FeatureLoader(dataset.pooled(Pool()), 12, ragged=ragged)))["hidden"]
    assert isinstance(pooled, list) == (ragged == "list")
    for row, item in zip(pooled, dataset, strict=True):
        torch.testing.assert_close(row, item["hidden"].mean((0, 1)))


@pytest.mark.parametrize("codec", ["klt", "uniform"])
def test_groups_blocks_and_patterns(tmp_path: Path, codec: str) -> None:
    noise = torch.Generator().manual_seed(0)
    samples = [
        Sample(
            f"{number:03d}",
            {name: torch.randn(6 if name == "b" else 200, 8, 6, generator=noise) for name in ("a.k", "a.v", "b")}
            | {"vector": torch.randn(32, generator=noise)},
        )
        for number in range(30)
    ]
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        groups = ("a.{k,v}",) if codec == "klt" else ()
        store.ingest(samples, codec, Quality(snr_db=15), groups=groups, patterns={"b": "c h w -> (h w) c"})
        whole = store.dataset(["a.v", "b", "a.k", "vector"])
        batch = next(iter(FeatureLoader(whole.pooled(BOTH), 30)))
        for feature in whole.features:
            for row, item in zip(batch[feature], whole, strict=True):
                tokens = item[feature].reshape(-1, item[feature].shape[-1])
                torch.testing.assert_close(row, BOTH.of(tokens).flatten(), rtol=1e-4, atol=1e-4)
        layers = next(iter(FeatureLoader(store.dataset(["a.v"], quality=Quality(snr_db=5)).pooled(BOTH), 30)))
        assert not torch.allclose(layers["a.v"], batch["a.v"], atol=1e-2) or codec == "uniform"


def test_workers_read_the_same(store: lamofc.Store) -> None:
    dataset = store.dataset(["hidden"]).pooled(BOTH)
    one, other = (
        torch.cat([batch["hidden"] for batch in FeatureLoader(dataset, 5, workers=workers)]) for workers in (0, 1)
    )
    assert torch.equal(one, other)

"""The torch Dataset: order, targets, workers, and equality with what the store gives one by one."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.errors import BadArgument, NotFound

Make = Callable[..., list[lamofc.Sample]]


def test_items_are_what_the_store_gives(store: lamofc.Store) -> None:
    dataset = store.dataset(["hidden", "pooled"], target="label")
    assert dataset.samples == list(store)
    for index, sample in enumerate(store):
        item = dataset[index]
        assert item["sample"] == sample
        assert torch.equal(item["hidden"], store[sample, "hidden"])
        assert torch.equal(item["pooled"], store[sample, "pooled"])
        assert item["label"] == index % 3
    assert torch.equal(dataset[-1]["pooled"], dataset[len(dataset) - 1]["pooled"])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_many_items_come_in_the_order_asked_for(store: lamofc.Store) -> None:
    dataset = store.dataset(["hidden"])
    order = [7, 0, 7, 3, 11]
    assert [item["sample"] for item in dataset.__getitems__(order)] == [dataset.samples[index] for index in order]
    for item in dataset.__getitems__(order):
        assert torch.equal(item["hidden"], store[item["sample"], "hidden"])


def test_where_chooses_and_samples_without_a_feature_are_left_out(store: lamofc.Store) -> None:
    store.ingest([Sample("zz", {"hidden": torch.ones(1, 2, 24)}, {"split": "train", "label": 9})], codec="raw")
    assert len(store.dataset(["hidden"], where="split = 'train'")) == 10
    assert len(store.dataset(["hidden", "pooled"], where="split = 'train'")) == 9
    assert store.dataset(["hidden"], where="label = 9").samples == ["zz"]


def test_wrong_names_are_answered_with_the_right_ones(store: lamofc.Store) -> None:
    with pytest.raises(NotFound, match=r"no feature 'layer\.1'; the store has cache, hidden"):
        store.dataset(["layer.1"])
    with pytest.raises(BadArgument, match="names none or one twice"):
        store.dataset([])
    with pytest.raises(NotFound, match="no sample 'nobody' in this dataset"):
        store.dataset(["hidden"]).locate(["s/0001", "nobody"])
    with pytest.raises(NotFound, match="no column 'lab'; columns are label, split"):
        store.dataset(["hidden"], target="lab")
    with pytest.raises(NotFound, match="no column 'lab'; columns are label, split"):
        store.dataset(["hidden"], target=["label", "lab"])
    assert store.dataset(["hidden"], target="structure").targets["structure"]


def test_a_misspelt_keyword_is_refused(store: lamofc.Store) -> None:
    for make in (store.dataset, lambda *names, **options: lamofc.FeatureDataset(store, *names, **options)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'wher'"):
            make(["hidden"], wher="label = 1")


def test_settings_of_another_kind_are_refused(store: lamofc.Store) -> None:
    with pytest.raises(BadArgument, match="quality=15 is no Quality"):
        store.dataset(["hidden"], quality=15)  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match="cache='/tmp' is no Cache") as refused:
        store.dataset(["hidden"], cache="/tmp")  # type: ignore[arg-type]  # noqa: S108 - nothing is written
    assert "lamofc_store.Cache('/tmp', 50 * 2**30)" in refused.value.cure


def test_an_index_is_one_whole_number(store: lamofc.Store) -> None:
    dataset = store.dataset(["pooled"])
    for index in (torch.tensor(3), np.int64(3)):
        assert dataset[index]["sample"] == dataset.samples[3]
    for wrong in (slice(0, 2), "s/0001", 1.5, [0, 1]):
        with pytest.raises(BadArgument, match="an index is one whole number") as refused:
            dataset[wrong]  # type: ignore[index]
        assert "__getitems__" in refused.value.cure


def test_a_dataset_shows_what_it_holds(store: lamofc.Store) -> None:
    plain, labelled = store.dataset(["hidden", "pooled"]), store.dataset(["pooled"], target=len)
    assert repr(plain) == f"<FeatureDataset of 12 samples, features hidden, pooled, commit {store.head}>"
    assert "targets target" in repr(labelled)
    assert repr(labelled) in repr(lamofc.FeatureLoader(labelled))


def test_a_dataset_stays_at_its_snapshot(store: lamofc.Store, make_samples: Make) -> None:
    dataset = store.dataset(["pooled"])
    first = store[dataset.samples[0], "pooled"]
    store.ingest(make_samples(14, 12), codec="raw")
    store.forget([dataset.samples[0]])
    assert (len(dataset), dataset.commit) == (12, store.head - 2)
    assert torch.equal(dataset[0]["pooled"], first)


def test_a_pickled_dataset_reads_the_same(store: lamofc.Store) -> None:
    dataset = store.dataset(["pooled"], target="label")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
    assert torch.equal(copy[5]["pooled"], dataset[5]["pooled"])
    assert copy.targets == dataset.targets


@pytest.mark.parametrize(
    ("workers", "context"),
    [
        (0, None),
        pytest.param(2, "spawn", marks=pytest.mark.slow),
        pytest.param(2, "forkserver", marks=pytest.mark.slow),
        (2, "fork"),
    ],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.timeout(120)
def test_loaders_with_workers_give_every_sample_once(store: lamofc.Store, workers: int, context: str | None) -> None:
    dataset = store.dataset(["pooled"], target="label")
    expected = {sample: store[sample, "pooled"] for sample in store}  # the parent has read before workers start
    loader = DataLoader(
        dataset,
        batch_size=5,
        shuffle=True,
        num_workers=workers,
        multiprocessing_context=context,
        timeout=60 * bool(workers),
    )
    found = {
        sample: tensor for batch in loader for sample, tensor in zip(batch["sample"], batch["pooled"], strict=True)
    }
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[sample], expected[sample]) for sample in found)


def test_a_dataset_of_a_remote_store(place: tuple[str, dict[str, object]], make_samples: Make) -> None:
    url, options = place
    with lamofc.open(url, "a", storage_options=options) as store:
        store.ingest(make_samples(8), codec="raw", segment_bytes=3000)
        dataset = store.dataset(["hidden", "one"])
        for item in dataset.__getitems__([6, 1, 4]):
            assert torch.equal(item["hidden"], store[item["sample"], "hidden"])
            assert torch.equal(item["one"], store[item["sample"], "one"])


def test_packed_records_are_checked_and_decodable(store: lamofc.Store, tmp_path: Path) -> None:
    from lamofc_codecs import decode

    dataset = store.dataset(["pooled"])
    (packed,) = dataset.packed(dataset.locate(["s/0004", "s/0002"]))
    tensors = decode(packed, None)
    assert torch.equal(tensors[0].flatten(), store["s/0004", "pooled"])
    assert torch.equal(tensors[1].flatten(), store["s/0002", "pooled"])

"""The loader: batches equal to what the store gives, resumed anywhere, the same however it is fetched."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import FeatureLoader, Sample
from lamofc_store.errors import BadArgument

Make = Callable[..., list[Sample]]


def _ids(loader: FeatureLoader) -> list[str]:
    return [sample for batch in loader for sample in batch["sample"]]


@pytest.fixture
def many(tmp_path: Path, make_samples: Make) -> Any:
    """Forty samples, in several segments."""
    with lamofc.open(str(tmp_path / "forty"), "w-") as store:
        store.ingest(make_samples(40), codec="raw", segment_bytes=3000)
        yield store


def test_batches_are_what_the_store_gives(store: lamofc.Store) -> None:
    loader = FeatureLoader(store.dataset(["pooled", "cache"], target="label"), 5)
    found = list(loader)
    assert [len(batch["sample"]) for batch in found] == [5, 5, 2] and len(loader) == 3
    assert _ids(FeatureLoader(loader.dataset, 5)) == list(store)
    for batch in found:
        assert batch["pooled"].shape[1:] == (16,) and batch["cache"].shape[1:] == (1, 2, 4, 6)
        assert batch["label"].dtype == torch.int64
        for number, sample in enumerate(batch["sample"]):
            assert torch.equal(batch["pooled"][number], store[sample, "pooled"])
            assert torch.equal(batch["cache"][number], store[sample, "cache"])
            assert batch["label"][number] == loader.dataset.targets["label"][loader.dataset.locate([sample])[0]]


@pytest.mark.parametrize("codec", ["klt", "uniform", "lloydmax"])
def test_batches_of_lossy_codecs_groups_and_patterns_are_the_same_tensors(tmp_path: Path, codec: str) -> None:
    noise = torch.Generator().manual_seed(0)
    samples = [
        Sample(f"{number:03d}", {name: torch.randn(3, 8, 6, generator=noise).half() for name in ("a.k", "a.v", "b")})
        for number in range(30)
    ]
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        groups = ("a.{k,v}",) if codec == "klt" else ()
        store.ingest(
            samples,
            codec,
            lamofc.Quality(snr_db=15) if codec != "lloydmax" else None,
            groups=groups,
            patterns={"b": "c h w -> (h w) c"},
        )
        loader = FeatureLoader(store.dataset(["a.v", "b", "a.k"]), 7, shuffle=True)
        for batch in loader:
            for number, sample in enumerate(batch["sample"]):
                for feature in ("a.k", "a.v", "b"):
                    assert torch.equal(batch[feature][number], store[sample, feature])
        wide = next(iter(FeatureLoader(loader.dataset, 7, dtype=torch.float32)))
        assert wide["b"].dtype == torch.float32
        assert torch.equal(wide["b"][2], store[wide["sample"][2], "b"].float())


def test_ragged_features_are_listed_padded_and_packed(store: lamofc.Store) -> None:
    dataset = store.dataset(["hidden", "ids"])
    with pytest.raises(BadArgument, match=r"'hidden' have the shapes \(1, 3, 24\) and \(1, 7, 24\)") as refused:
        next(iter(FeatureLoader(dataset, 12)))
    assert "ragged='list'" in refused.value.cure
    listed = next(iter(FeatureLoader(dataset, 12, ragged="list")))
    padded = next(iter(FeatureLoader(dataset, 12, ragged="pad")))
    joined = next(iter(FeatureLoader(dataset, 12, ragged="pack")))
    for number, sample in enumerate(listed["sample"]):
        hidden, ids = store[sample, "hidden"], store[sample, "ids"]
        assert torch.equal(listed["hidden"][number], hidden) and torch.equal(listed["ids"][number], ids)
        mask = padded["hidden"].mask[number]
        assert mask.tolist() == [token < hidden.shape[1] for token in range(7)]
        assert torch.equal(padded["hidden"].values[number][:, mask], hidden)
        assert not padded["hidden"].values[number][:, ~mask].any()
        start, stop = joined["hidden"].offsets[number : number + 2]
        assert torch.equal(joined["hidden"].values[:, start:stop], hidden)
        start, stop = joined["ids"].offsets[number : number + 2]
        assert torch.equal(joined["ids"].values[start:stop], ids)
    assert joined["hidden"].values.shape[1] == joined["hidden"].offsets[-1]


def test_shapes_that_differ_in_more_than_tokens_are_only_listed(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        store.ingest([Sample("a", {"x": torch.ones(2, 3)}), Sample("b", {"x": torch.ones(2, 4)})], codec="raw")
        dataset = store.dataset(["x"])
        for ragged in ("pad", "pack"):
            with pytest.raises(BadArgument, match="differ in more than their tokens"):
                next(iter(FeatureLoader(dataset, 2, ragged=ragged)))  # type: ignore[arg-type]
        assert [tensor.shape[1] for tensor in next(iter(FeatureLoader(dataset, 2, ragged="list")))["x"]] == [3, 4]


def _map_of(sample: str) -> torch.Tensor:
    return torch.full((2, 2), int(sample[-4:]))


def test_targets_come_from_columns_and_from_a_callable(store: lamofc.Store) -> None:
    batch = next(iter(FeatureLoader(store.dataset(["pooled"], target=["label", "split"]), 4)))
    assert batch["label"].tolist() == [0, 1, 2, 0] and batch["split"] == ["test", "train", "train", "train"]
    batch = next(iter(FeatureLoader(store.dataset(["pooled"], target=_map_of), 4)))
    assert batch["target"][:, 0, 0].tolist() == [0, 1, 2, 3]
    with pytest.raises(BadArgument, match="two values named 'sample'"):
        store.dataset(["pooled"], target="sample")


def test_epochs_follow_each_other_and_can_be_named(many: lamofc.Store) -> None:
    loader = FeatureLoader(many.dataset(["pooled"]), 7, shuffle=True, seed=3)
    first, second = _ids(loader), _ids(loader)
    assert first != second and sorted(first) == sorted(second) == list(many)
    loader.set_epoch(0)
    assert _ids(loader) == first
    next(iter(loader))  # given up after one batch
    assert loader.state_dict()["epoch"] == 1
    loader.set_epoch(1)
    assert _ids(loader) == second


@pytest.mark.parametrize("shuffle", [True, "blocks"])
def test_resumed_after_any_batch_nothing_is_lost_and_nothing_comes_twice(many: lamofc.Store, shuffle: Any) -> None:
    dataset = many.dataset(["pooled"])

    def made(size: int) -> FeatureLoader:
        return FeatureLoader(dataset, size, shuffle=shuffle, seed=3, block=8, window=2)

    whole = made(7)
    expected = [_ids(whole), _ids(whole)]
    for stop in range(1, 7):
        loader, seen = made(7), []
        for number, batch in enumerate(loader, 1):
            seen += batch["sample"]
            if number == stop:
                break
        state = pickle.loads(pickle.dumps(loader.state_dict()))  # noqa: S301 - our own bytes
        other = made(3)
        other.load_state_dict(state)
        rest = _ids(other)
        assert seen + rest == expected[0] if stop < 6 else rest == expected[1]
        if stop < 6:
            assert _ids(other) == expected[1]


def test_a_state_of_another_snapshot_is_refused(many: lamofc.Store, make_samples: Make) -> None:
    state = FeatureLoader(many.dataset(["pooled"]), 7, shuffle=True).state_dict()
    commit = many.head
    many.forget(["s/0001"])
    with pytest.raises(BadArgument, match="39 samples") as refused:
        FeatureLoader(many.dataset(["pooled"]), 7, shuffle=True).load_state_dict(state)
    assert "as_of" in refused.value.cure
    FeatureLoader(many.as_of(commit).dataset(["pooled"]), 7, shuffle=True).load_state_dict(state)


@pytest.mark.parametrize("world", [1, 2, 8])
def test_any_number_of_ranks_shares_one_order(many: lamofc.Store, world: int) -> None:
    dataset = many.dataset(["pooled"])
    loaders = [FeatureLoader(dataset, 16 // world, shuffle=True, rank=rank, world=world) for rank in range(world)]
    batches_of_rank = [list(loader) for loader in loaders]
    found = [
        sample
        for step in range(3)
        for batches in batches_of_rank
        if step < len(batches)
        for sample in batches[step]["sample"]
    ]
    assert found[:40] == _ids(FeatureLoader(dataset, 16, shuffle=True))
    assert len({len(batch["sample"]) for batches in batches_of_rank for batch in batches[:2]}) == 1


def test_balanced_classes(many: lamofc.Store) -> None:
    dataset = many.dataset(["pooled"], target="label", where="label < 2 OR sample < 's/0006'")
    loader = FeatureLoader(dataset, 3, shuffle=True, balance=True)
    for batch in list(loader)[:-1]:
        assert sorted(batch["label"].tolist()) == [0, 1, 2]
    with pytest.raises(BadArgument, match="the targets"):
        FeatureLoader(many.dataset(["pooled"]), 3, shuffle=True, balance=True)
    with pytest.raises(BadArgument, match="balance"):
        FeatureLoader(dataset, 3, balance=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"workers": -1},
        {"prefetch": 1.5},
        {"ragged": "no"},
        {"shuffle": "some"},
        {"rank": 1},
        {"last": "never"},
        {"seed": "x"},
        {"start": "thread", "workers": 1},
        {"timeout": -1},
        {"device": "toaster"},
    ],
)
def test_options_that_cannot_be(store: lamofc.Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadArgument, match="="):
        FeatureLoader(store.dataset(["pooled"]), **wrong)


def test_a_device_that_is_not_there_is_refused_at_once(store: lamofc.Store) -> None:
    device = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(BadArgument, match=f"device='{device}', but torch sees") as refused:
        FeatureLoader(store.dataset(["pooled"]), device=device)
    assert refused.value.cure == "give device= cpu"


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="has the device that is to be absent")
def test_a_device_that_torch_was_built_without_is_refused_at_once(store: lamofc.Store) -> None:
    with pytest.raises(BadArgument, match="device='mps' does not work here") as refused:
        FeatureLoader(store.dataset(["pooled"]), device="mps")
    assert refused.value.cure == "give device= cpu"


def test_indices_outside_a_dataset_are_named(store: lamofc.Store) -> None:
    dataset = store.dataset(["pooled"])
    for index in (-1, len(dataset)):
        with pytest.raises(IndexError, match=f"item {index} of a dataset of {len(dataset)}"):
            dataset.__getitems__([0, index])


def test_former_names_work_and_warn(store: lamofc.Store) -> None:
    loader = FeatureLoader(store.dataset(["pooled"]), 4, shuffle=True)
    with pytest.warns(DeprecationWarning, match=r"FeatureLoader\.deal .* use batch_sampler"):
        assert loader.deal is loader.batch_sampler
    with pytest.warns(DeprecationWarning, match=r"FeatureLoader\.mixing .* use shuffle_quality"):
        quality = loader.mixing()
    assert quality == loader.shuffle_quality()
    with pytest.warns(DeprecationWarning, match=r"ShuffleQuality\.company .* use pair_recurrence"):
        assert quality.company == quality.pair_recurrence


def test_an_image_of_tokens_keeps_its_grid(tmp_path: Path) -> None:
    samples = [Sample(str(number), {"x": torch.randn(1 + 4 * 4, 8)}) for number in range(10)]
    with lamofc.open(str(tmp_path / "s"), "w-") as store:
        store.ingest(samples, codec="raw", grids={"x": "1+4x4"})
        assert next(iter(FeatureLoader(store.dataset(["x"]), 5)))["x"].shape == (5, 17, 8)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")  # torchdata still calls it
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_torchdatas_stateful_loader_goes_on_where_it_was(many: lamofc.Store, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    dataset = many.dataset(["pooled"])

    def made() -> Any:
        sampler = FeatureLoader(dataset, 7, shuffle=True, seed=3).batch_sampler
        return stateful.StatefulDataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=list,
            num_workers=workers,
            multiprocessing_context="forkserver" if workers else None,
        )

    def ids(batches: Any) -> list[str]:
        return [example["sample"] for batch in batches for example in batch]

    expected = _ids(FeatureLoader(dataset, 7, shuffle=True, seed=3))
    loader = made()
    iterator = iter(loader)
    seen = ids(next(iterator) for _ in range(3))
    state = pickle.loads(pickle.dumps(loader.state_dict()))  # noqa: S301 - our own bytes
    other = made()
    other.load_state_dict(state)
    assert seen + ids(other) == expected

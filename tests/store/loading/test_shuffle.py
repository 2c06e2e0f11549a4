"""Orders and their batches: the same everywhere, nothing lost, nothing twice."""

import itertools

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_store.errors import BadArgument
from lamofc_store.loading.batch_sampler import DistributedBatchSampler, RankShare
from lamofc_store.loading.shuffle import EpochOrder, ShuffleMode
from lamofc_store.loading.shuffle_quality import measure_shuffle
from lamofc_store.reading import RecordLocations

PLACES = np.random.default_rng(0).permutation(5000)


def order(shuffle: ShuffleMode | None = "full", seed: int = 0, samples: int = 5000, **options: object) -> EpochOrder:
    return EpochOrder(samples, shuffle, seed, PLACES[:samples].argsort().argsort(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shuffle", [None, "full", "blocks"])
def test_every_epoch_has_every_sample_once(shuffle: ShuffleMode | None) -> None:
    for epoch in range(3):
        assert (np.sort(order(shuffle).indices(epoch)) == np.arange(5000)).all()


@pytest.mark.parametrize("shuffle", ["full", "blocks"])
def test_orders_of_epochs_and_seeds_have_nothing_in_common(shuffle: ShuffleMode) -> None:
    found = [order(shuffle, seed).indices(epoch) for seed in (0, 1, -1, 1 << 40) for epoch in range(3)]
    same = [(one == other).mean() for at, one in enumerate(found) for other in found[:at]]
    assert max(same) < 0.005  # by chance 1 in 5000


def test_an_order_is_the_same_in_every_version() -> None:
    """Whoever resumes next year, on another machine, goes on in this order."""
    told = {
        "full": "df2f8584b2dec45d",
        "blocks": "0913f674dea49c06",
        "balanced": "b0234b364c71fb2a",
    }
    classes = np.arange(5000) % 7
    orders = {
        "full": order("full", 3),
        "blocks": order("blocks", 3, block=64, window=4),
        "balanced": order("full", 3, classes=classes),
    }
    found = {name: xxhash.xxh3_64_hexdigest(one.indices(2).astype("<i8").tobytes()) for name, one in orders.items()}
    assert found == told


def test_a_full_shuffle_is_even() -> None:
    """Where a sample goes says nothing: over 400 epochs each eighth of the places gets its share of each sample."""
    shuffled = order(samples=200)
    where = np.stack([np.argsort(shuffled.indices(epoch)) for epoch in range(400)]) // 25
    counts = np.stack([(where == part).sum(0) for part in range(8)])
    chi = ((counts - 50) ** 2 / 50).sum()
    assert 1150 < chi < 1650  # 200 samples x 7 degrees of freedom: 1400 on average, 53 of deviation


def test_blocks_keep_neighbours_near_and_mix_within_windows() -> None:
    blocks = order("blocks", block=50, window=4)
    assert blocks.storage_rank is not None
    epoch = blocks.storage_rank[blocks.indices(0)] // 50
    for start in range(0, 5000, 200):
        assert len(set(epoch[start : start + 200])) == 4
    assert len(set(epoch[:20])) > 2  # and not one block after the other


def test_balanced_classes_come_equally_often_and_rare_ones_go_round_evenly() -> None:
    classes = np.repeat([0, 1, 2], [4000, 990, 10])
    balanced = order(classes=classes)
    found = balanced.indices(0)
    assert sorted(np.bincount(classes[found])) == [1666, 1667, 1667]
    rare = np.bincount(found[classes[found] == 2] - 4990)
    assert rare.min() >= 166 and rare.max() <= 167
    assert len(set(found[classes[found] == 0])) >= 1666
    for start in range(0, 4998, 3):
        assert sorted(classes[found[start : start + 3]]) == [0, 1, 2]


def test_mixing_tells_a_shuffle_from_none() -> None:
    places = RecordLocations(
        ("a", "b"), np.repeat([0, 1], 5000), np.arange(10_000) % 5000 * 200_000, np.full(10_000, 8000)
    )
    found = {}
    for name, kind, block, window in (("full", "full", 1, 1), ("near", "blocks", 50, 4), ("far", "blocks", 50, 100)):
        ordered = EpochOrder(10_000, kind, 0, np.arange(10_000), block, window)  # type: ignore[arg-type]
        found[name] = measure_shuffle(ordered, places, 50)
    assert (
        0.97 < found["full"].spread < 1.03
        and 0.9 < found["full"].pair_recurrence < 1.1
        and found["full"].requests == 50
    )
    assert found["near"].spread < 0.9 and 11 < found["near"].pair_recurrence < 15  # 1 in 4 x 1 in 4, of 1 in 200
    assert 0.9 < found["far"].spread < 1.1 and 0.9 < found["far"].pair_recurrence < 1.2
    plain = measure_shuffle(EpochOrder(10_000, None, 0), places, 50)
    assert plain.spread < 0.01 and plain.pair_recurrence > 100
    dense = RecordLocations(("a",), np.zeros(10_000, np.int64), np.arange(10_000) * 8000, np.full(10_000, 8000))
    assert measure_shuffle(EpochOrder(10_000, None, 0), dense, 50).requests == 1
    near = measure_shuffle(EpochOrder(10_000, "blocks", 0, np.arange(10_000), 50, 1), dense, 50).requests
    assert near == 1 and measure_shuffle(EpochOrder(10_000, "full", 0), dense, 50).requests > 40


@given(
    samples=st.integers(0, 200),
    batch=st.integers(1, 17),
    world=st.integers(1, 8),
    last=st.sampled_from([None, "short", "drop", "repeat"]),
)
@settings(max_examples=200, deadline=None)
def test_ranks_together_have_the_global_order(samples: int, batch: int, world: int, last: str | None) -> None:
    shared = EpochOrder(samples, "full", 5)
    samplers = [DistributedBatchSampler(shared, RankShare(batch, rank, world, last)) for rank in range(world)]  # type: ignore[arg-type]
    batches_of_rank = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(batches) for batches in batches_of_rank]
    found = [index for step in itertools.zip_longest(*batches_of_rank, fillvalue=[]) for one in step for index in one]
    expected = shared.indices(0).tolist()
    if samplers[0].share.policy == "short":
        assert found == expected
    elif samplers[0].share.policy == "drop":
        assert found == expected[: len(found)] and len(found) == samples // (batch * world) * batch * world
    else:
        assert (
            found[:samples] == expected and len({len(batch_) for batches in batches_of_rank for batch_ in batches}) <= 1
        )
        assert len(set(map(len, batches_of_rank))) == 1


def test_any_number_of_ranks_goes_on_where_others_stopped() -> None:
    shared = EpochOrder(1000, "full", 5)
    expected = shared.indices(4).tolist()
    for worlds in ((1, 8), (8, 1), (2, 3)):
        found: list[int] = []
        samplers = [DistributedBatchSampler(shared, RankShare(10, rank, worlds[0])) for rank in range(worlds[0])]
        for sampler in samplers:
            sampler.set_epoch(4)
        iterators = [iter(sampler) for sampler in samplers]
        for _ in range(5):
            found += [index for iterator in iterators for index in next(iterator)]
        state = iterators[0].state_dict()
        others = [DistributedBatchSampler(shared, RankShare(7, rank, worlds[1], "short")) for rank in range(worlds[1])]
        for sampler in others:
            sampler.load_state_dict(state)
        rest = [list(sampler) for sampler in others]
        found += [
            index for step in range(max(map(len, rest))) for one in rest if step < len(one) for index in one[step]
        ]
        assert found == expected


def test_the_state_of_another_order_is_refused() -> None:
    sampler = DistributedBatchSampler(EpochOrder(10, "full", 1), RankShare(2))
    state = sampler.state_dict()
    for other in (EpochOrder(10, "full", 2), EpochOrder(11, "full", 1), EpochOrder(10, None, 1)):
        with pytest.raises(BadArgument, match="the state is of the order"):
            DistributedBatchSampler(other, RankShare(2)).load_state_dict(state)
    for broken in ({}, None, {**state, "seen": 11}, {**state, "epoch": -1}, {**state, "seen": "3"}):
        with pytest.raises(BadArgument, match="state"):
            sampler.load_state_dict(broken)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"batch_size": 2.5}, {"batch_size": 1, "rank": 2, "world": 2}, {"batch_size": 1, "last": "no"}],
)
def test_a_hand_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(BadArgument):
        RankShare(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": "some"},
        {"block": 0},
        {"window": 1.5},
        {"seed": 1 << 64},
        {"seed": "1"},
        {"shuffle": None, "classes": np.zeros(9)},
    ],
)
def test_an_order_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(BadArgument):
        order(**options)  # type: ignore[arg-type]

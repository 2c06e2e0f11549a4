"""Measures of a shuffle: how well it mixes samples, and how many requests its batches take."""

from dataclasses import dataclass

import numpy as np

from lamofc_store.deprecation import Renamed
from lamofc_store.loading.shuffle import EpochOrder, Numbers
from lamofc_store.reading import RecordLocations, count_requests

_SAMPLED_PAIRS = 200_000
"""Pairs of samples of one batch that are looked up in the following epoch."""


@dataclass(frozen=True, slots=True)
class ShuffleQuality:
    """The quality of an order. A full shuffle has 1, 1, and as many requests as samples."""

    spread: float
    """The distance of a batch's samples in the storage, relative to a random batch; 0 for neighbours."""
    pair_recurrence: float
    """How often two samples of a batch share a batch of the next epoch too, relative to chance."""
    requests: float
    """Range requests to an object store for one batch; neighbours share a request."""

    company = Renamed("pair_recurrence")


def measure_shuffle(order: EpochOrder, locations: RecordLocations, batch_size: int) -> ShuffleQuality:
    """Measure an order on its first two epochs."""
    rank = np.empty(len(locations), np.int64)
    rank[np.lexsort((locations.offset, locations.segment))] = np.arange(len(locations))
    first, second = (order.indices(epoch) for epoch in range(2))
    in_full_batches = len(first) // batch_size * batch_size
    batches = first[:in_full_batches].reshape(-1, batch_size)
    random_deviation = len(locations) / np.sqrt(12)  # of a uniform distribution over the ranks
    spread = rank[batches].std(axis=1, ddof=1 if batch_size > 1 else 0).mean() / random_deviation
    requests = [count_requests(locations.take(batch)) for batch in batches]
    recurrence = _pair_recurrence(batches, second, batch_size)
    return ShuffleQuality(float(spread), recurrence, float(np.mean(requests)))


def _pair_recurrence(batches: Numbers, second: Numbers, batch_size: int) -> float:
    next_batch = np.full(max(int(batches.max(initial=0)), int(second.max(initial=0))) + 1, -1)
    next_batch[second] = np.arange(len(second)) // batch_size
    random = np.random.default_rng(0)
    row = random.integers(len(batches), size=_SAMPLED_PAIRS)
    left, right = random.integers(batch_size, size=(2, _SAMPLED_PAIRS))
    distinct = left != right
    left_batch, right_batch = next_batch[batches[row, left]], next_batch[batches[row, right]]
    together = (left_batch == right_batch) & (left_batch >= 0)
    chance = (batch_size - 1) / max(len(second) - 1, 1)
    return float(together[distinct].mean() / chance) if distinct.any() else 1.0

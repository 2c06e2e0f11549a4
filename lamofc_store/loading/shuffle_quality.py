"""How well an order mixes samples, and what it costs to read in that order: numbers to choose a shuffle by."""

from dataclasses import dataclass

import numpy as np

from lamofc_store.loading.shuffle import Numbers, Order
from lamofc_store.reading import Places, requests

_PAIRS = 200_000
"""Pairs of a batch that are looked for in the epoch after."""


@dataclass(frozen=True, slots=True)
class ShuffleQuality:
    """What an order is like; a full shuffle has 1, 1, and as many requests as samples."""

    spread: float
    """How far a batch's samples lie apart in the storage, of what chance would do: 0 are neighbours."""
    company: float
    """How often two samples of a batch meet again in the next epoch, as a multiple of chance."""
    requests: float
    """Ranges that are asked for a batch from an object store; neighbours are one."""


def mixing(order: Order, places: Places, batch_size: int) -> ShuffleQuality:
    """Measured on the first two epochs."""
    rank = np.empty(len(places), np.int64)
    rank[np.lexsort((places.offset, places.segment))] = np.arange(len(places))
    first, second = (order.epoch(number) for number in range(2))
    whole = len(first) // batch_size * batch_size
    batches = first[:whole].reshape(-1, batch_size)
    chance = len(places) / np.sqrt(12)
    spread = rank[batches].std(axis=1, ddof=1 if batch_size > 1 else 0).mean() / chance
    asked = [requests(places.take(batch)) for batch in batches]
    return ShuffleQuality(float(spread), _company(batches, second, batch_size), float(np.mean(asked)))


def _company(batches: Numbers, second: Numbers, batch_size: int) -> float:
    home = np.full(max(int(batches.max(initial=0)), int(second.max(initial=0))) + 1, -1)
    home[second] = np.arange(len(second)) // batch_size
    draw = np.random.default_rng(0)
    row = draw.integers(len(batches), size=_PAIRS)
    one, other = draw.integers(batch_size, size=(2, _PAIRS))
    apart = one != other
    mine, yours = home[batches[row, one]], home[batches[row, other]]
    met = (mine == yours) & (mine >= 0)
    share = (batch_size - 1) / max(len(second) - 1, 1)
    return float(met[apart].mean() / share) if apart.any() else 1.0

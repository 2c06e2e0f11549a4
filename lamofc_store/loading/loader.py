"""Batches from a store: records fetched and decoded ahead, in an order that is fixed, from any place on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch

from lamofc_store.errors import BadArgument
from lamofc_store.loading import collate
from lamofc_store.loading.batch_sampler import Deal, Dealing, Hand, Last
from lamofc_store.loading.collate import Ragged
from lamofc_store.loading.dataset import FeatureDataset, Fetched
from lamofc_store.loading.prefetch import ahead
from lamofc_store.loading.shuffle import Shuffle
from lamofc_store.loading.shuffle_quality import ShuffleQuality
from lamofc_store.loading.workers import Start, Workers

Batch = dict[str, Any]


@dataclass(eq=False, kw_only=True)
class FeatureLoader:
    """Iterating goes through one epoch. A batch maps features to tensors, targets to theirs, and `sample` to the ids.

    Records are fetched, by workers or by a thread of this process, and each batch is decoded at once, on `device`, by a
    thread that is ahead of who asks.
    """

    dataset: FeatureDataset = field(kw_only=False)
    batch_size: int = field(default=64, kw_only=False)
    """Samples of a batch of one rank."""
    shuffle: bool | Literal["blocks"] = False
    """`blocks`: neighbours in the storage, `block` of them, stay near one another, which takes fewer requests."""
    seed: int = 0
    block: int = 1024
    window: int = 16
    """Blocks, chosen at random, whose samples are shuffled together."""
    balance: bool = False
    """Every class of the target comes equally often."""
    device: torch.device | str | None = None
    dtype: torch.dtype | None = None
    """What features are converted to; otherwise each is of its source's dtype."""
    ragged: Ragged = "stack"
    workers: int = 0
    """Processes that fetch; 0: a thread of this one does, which is faster where the store is local."""
    start: Start = "forkserver"
    prefetch: int = 2
    """Batches made ahead, and fetched ahead by each worker; 0: nothing is done before it is asked for."""
    timeout: float = 300.0
    """Seconds after which a batch that does not come from the workers is an error."""
    rank: int | None = None
    """Which part of each global batch is ours, of `world` parts; from torch.distributed where that runs."""
    world: int | None = None
    last: Last | None = None
    """What becomes of the rest of an epoch: see `Hand`."""

    def __post_init__(self) -> None:
        collate.check(self.ragged)
        for name in ("workers", "prefetch"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise BadArgument(f"{name}={value!r}", "give a whole number from 0")
        if self.start not in get_args(Start):
            raise BadArgument(f"start={self.start!r}", f"give one of {', '.join(get_args(Start))}")
        if not isinstance(self.timeout, int | float) or not self.timeout > 0:
            raise BadArgument(f"timeout={self.timeout!r}", "give seconds, more than 0")
        if self.shuffle not in (True, False, "blocks"):
            raise BadArgument(f"shuffle={self.shuffle!r}", "give True, False or 'blocks'")
        shuffle: Shuffle | None = "blocks" if self.shuffle == "blocks" else "full" if self.shuffle else None
        order = self.dataset.order(shuffle, self.seed, balance=self.balance, block=self.block, window=self.window)
        self.deal = Deal(order, Hand(self.batch_size, *_place(self.rank, self.world), self.last))
        self._at: tuple[int, int] | None = None
        self._workers: Workers | None = None

    def __len__(self) -> int:
        return len(self.deal)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration goes through; without it, the one after the last begun."""
        self.deal.set_epoch(epoch)
        self._at = None

    def state_dict(self) -> dict[str, Any]:
        """Where we are: right after the batch that was given last."""
        return self.deal.state_dict() if self._at is None else self.deal.state(*self._at)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, with the next iteration. Ranks, workers and batch size may be others than before."""
        self.deal.load_state_dict(dict(state))
        self._at = None

    def mixing(self) -> ShuffleQuality:
        """How well its order mixes samples, against a full shuffle, and the requests of a batch."""
        return self.dataset.mixing(self.deal.order, self.deal.hand.whole)

    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [] if self._workers is None else self._workers.pids()

    def close(self) -> None:
        """End the workers; a later iteration starts others."""
        self._workers = None

    def __iter__(self) -> Iterator[Batch]:
        dealing = iter(self.deal)
        hand, samples, epoch, seen = self.deal.hand, self.deal.order.samples, dealing.epoch, dealing.seen
        self.deal.set_epoch(epoch + 1)
        with ahead(map(self._batch, self._fetched(dealing)), self.prefetch) as made:
            for batch in made:
                seen = min(seen + hand.whole, samples)
                self._at = (epoch, seen) if hand.batches(samples - seen) else (epoch + 1, 0)
                yield batch

    def _fetched(self, dealing: Dealing) -> Iterator[Fetched]:
        if not self.workers:
            return map(self.dataset.fetched, dealing)
        if self._workers is None:
            pin = self.device is not None and torch.device(self.device).type == "cuda"
            options = {"prefetch_factor": max(self.prefetch, 1), "pin_memory": pin}
            self._workers = Workers(self.dataset, self.workers, self.start, self.timeout, **options)
        return self._workers.fetched(dealing)

    def _batch(self, fetched: Fetched) -> Batch:
        return self.dataset.batch(fetched, ragged=self.ragged, device=self.device, dtype=self.dtype)


def _place(rank: int | None, world: int | None) -> tuple[int, int]:
    """Our rank of how many: as given, else as torch.distributed has it, else the only one."""
    if (rank is None) != (world is None):
        raise BadArgument(f"rank={rank!r} with world={world!r}", "give both or neither")
    if rank is not None and world is not None:
        return rank, world
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

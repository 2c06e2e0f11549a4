"""Batches from a store: records are prefetched and decoded, in an order that is fixed and can be resumed anywhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch

from lamofc_store.deprecation import Renamed
from lamofc_store.errors import BadArgument, Hint
from lamofc_store.loading.batch_sampler import DistributedBatchSampler, LastBatch, RankShare
from lamofc_store.loading.collate import Ragged, check_ragged
from lamofc_store.loading.dataset import FeatureDataset, FetchedBatch
from lamofc_store.loading.prefetch import prefetch
from lamofc_store.loading.shuffle import ShuffleMode
from lamofc_store.loading.shuffle_quality import ShuffleQuality
from lamofc_store.loading.worker_pool import Start, WorkerPool

Batch = dict[str, Any]


@dataclass(eq=False, kw_only=True)
class FeatureLoader:
    """Batches of a dataset; one iteration is one epoch.

    A batch maps features to tensors, targets to theirs, and `sample` to the ids. Records are fetched by worker
    processes or by a thread of this process, which also decodes each batch in one call on `device`, in advance.
    """

    dataset: FeatureDataset = field(kw_only=False)
    batch_size: int = field(default=64, kw_only=False)
    """Samples in a batch of one rank."""
    shuffle: bool | Literal["blocks"] = False
    """`blocks` keeps `block` neighbours in the storage near one another, which takes fewer requests."""
    seed: int = 0
    block: int = 1024
    window: int = 16
    """Blocks, chosen at random, whose samples are shuffled together."""
    balance: bool = False
    """Draw every class of the target equally often."""
    device: torch.device | str | None = None
    dtype: torch.dtype | None = None
    """The dtype that features are converted to; None keeps that of the source."""
    ragged: Ragged = "stack"
    workers: int = 0
    """Worker processes that fetch records. With 0 a thread fetches, which is faster for a local store."""
    start: Start = "forkserver"
    prefetch: int = 2
    """Batches that are made in advance, and that each worker fetches in advance; 0 makes each batch on demand."""
    timeout: float = 300.0
    """Seconds to wait for a worker's batch before the worker is killed."""
    rank: int | None = None
    """The part of each global batch that this loader gives, of `world` parts; by default that of torch.distributed."""
    world: int | None = None
    last: LastBatch | None = None
    """Treatment of the samples at the end of an epoch that do not fill a batch: see `RankShare`."""

    deal = Renamed("batch_sampler")
    mixing = Renamed("shuffle_quality")

    def __post_init__(self) -> None:
        self._check_options()
        mode: ShuffleMode | None = "blocks" if self.shuffle == "blocks" else "full" if self.shuffle else None
        order = self.dataset.epoch_order(mode, self.seed, balance=self.balance, block=self.block, window=self.window)
        share = RankShare(self.batch_size, *_rank_of_world(self.rank, self.world), self.last)
        self.batch_sampler = DistributedBatchSampler(order, share)
        self._position: tuple[int, int] | None = None
        self._pool: WorkerPool | None = None

    def _check_options(self) -> None:
        check_ragged(self.ragged)
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
        if self.device is not None:
            _check_device(self.device)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; by default it is the one after the last that was begun."""
        self.batch_sampler.set_epoch(epoch)
        self._position = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the last batch that was yielded."""
        sampler = self.batch_sampler
        return sampler.state_dict() if self._position is None else sampler.state_at(*self._position)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next iteration at a saved state; ranks, workers and batch size may have changed since."""
        self.batch_sampler.load_state_dict(dict(state))
        self._position = None

    def shuffle_quality(self) -> ShuffleQuality:
        """Measure how well the order mixes samples, against a full shuffle, and the requests of a batch."""
        sampler = self.batch_sampler
        return self.dataset.shuffle_quality(sampler.order, sampler.share.global_batch_size)

    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [] if self._pool is None else self._pool.pids()

    def close(self) -> None:
        """End the workers; a later iteration starts new ones."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __iter__(self) -> Iterator[Batch]:
        indices = iter(self.batch_sampler)
        share, samples = self.batch_sampler.share, self.batch_sampler.order.samples
        epoch, seen = indices.epoch, indices.seen
        self.batch_sampler.set_epoch(epoch + 1)
        with prefetch(map(self._decode, self._fetch(indices)), self.prefetch) as batches:
            for batch in batches:
                seen = min(seen + share.global_batch_size, samples)
                self._position = (epoch, seen) if share.batch_count(samples - seen) else (epoch + 1, 0)
                yield batch

    def _fetch(self, indices: Iterator[list[int]]) -> Iterator[FetchedBatch]:
        if not self.workers:
            return map(self.dataset.fetch_batch, indices)
        if self._pool is None:
            ahead = max(self.prefetch, 1)
            self._pool = WorkerPool(self.dataset, self.workers, self.start, timeout=self.timeout, ahead=ahead)
        return self._pool.fetch(indices)

    def _decode(self, fetched: FetchedBatch) -> Batch:
        return self.dataset.decode_batch(fetched, ragged=self.ragged, device=self.device, dtype=self.dtype)


def _check_device(device: torch.device | str) -> None:
    """Raise BadArgument for a device that torch does not know or this machine does not have."""
    try:
        torch_device = torch.device(device)
    except (RuntimeError, TypeError):
        raise BadArgument(f"device={device!r} is no device of torch", Hint("give [device] cpu or cuda")) from None
    from lamofc_codecs import is_usable_device

    if not is_usable_device(torch_device):
        seen = f", but torch sees {torch.cuda.device_count()} CUDA devices here"
        fault = seen if torch_device.type == "cuda" else " does not work here"
        raise BadArgument(f"device={str(device)!r}{fault}", Hint("give [device] cpu"))


def _rank_of_world(rank: int | None, world: int | None) -> tuple[int, int]:
    """Return rank and number of ranks: the arguments, else those of torch.distributed, else 0 of 1."""
    if (rank is None) != (world is None):
        raise BadArgument(f"rank={rank!r} with world={world!r}", "give both or neither")
    if rank is not None and world is not None:
        return rank, world
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

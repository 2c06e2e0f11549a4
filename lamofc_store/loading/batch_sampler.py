"""A distributed batch sampler: one global order of samples for any number of ranks, resumable after any batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from torch.utils.data import Sampler

from lamofc_store.errors import BadArgument
from lamofc_store.loading.shuffle import EpochOrder, Numbers

LastBatch = Literal["short", "drop", "repeat"]


@dataclass(frozen=True)
class RankShare:
    """The share of one rank in every global batch, which holds `batch_size` samples of each of `world` ranks."""

    batch_size: int
    rank: int = 0
    world: int = 1
    last: LastBatch | None = None
    """Treatment of samples that do not fill a global batch. `short` divides them evenly, so that some ranks may
    get none; `drop` leaves them out; `repeat` fills the batch from the beginning of the epoch. The default is `short`
    for one rank and `repeat` for several."""

    def __post_init__(self) -> None:
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise BadArgument(f"batch_size={self.batch_size!r}", "give a whole number from 1")
        if not 0 <= self.rank < self.world:
            raise BadArgument(f"rank={self.rank!r} of world={self.world!r}", "ranks count from 0 up to world - 1")
        if self.last not in (None, *get_args(LastBatch)):
            raise BadArgument(f"last={self.last!r}", "give 'short', 'drop' or 'repeat'")

    @property
    def global_batch_size(self) -> int:
        """Samples of one batch of all ranks together."""
        return self.batch_size * self.world

    @property
    def policy(self) -> LastBatch:
        """Treatment of the last samples of an epoch, with the default filled in."""
        return self.last or ("short" if self.world == 1 else "repeat")

    def batch_count(self, samples: int) -> int:
        """Count this rank's batches in an epoch of that many samples."""
        full, left = divmod(samples, self.global_batch_size)
        partial = self.policy == "repeat" or (self.policy == "short" and len(self._slice(left)) > 0)
        return full + int(left > 0 and partial)

    def batch_at(self, order: Numbers, seen: int) -> Numbers:
        """Select this rank's part of the global batch that begins after `seen` samples of the order."""
        left = len(order) - seen
        if left >= self.global_batch_size:
            start = seen + self.rank * self.batch_size
            return order[start : start + self.batch_size]
        if self.policy == "repeat":
            filled = np.resize(np.concatenate([order[seen:], order]), self.global_batch_size)
            return filled[self._slice(self.global_batch_size)]
        return order[seen:][self._slice(left)]

    def _slice(self, count: int) -> Numbers:
        """Return this rank's positions among `count` samples; the shares of two ranks differ by at most one sample."""
        return np.arange(count * self.rank // self.world, count * (self.rank + 1) // self.world)


class DistributedBatchSampler(Sampler[list[int]]):
    """Batches of indices for one rank: a batch sampler for any torch loader, with the state that torchdata resumes.

    An iteration goes through one epoch: the one that `set_epoch` names, or else the one after the last that was
    finished.
    """

    def __init__(self, order: EpochOrder, share: RankShare) -> None:
        self.order = order
        self.share = share
        self._start: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return self.share.batch_count(self.order.samples)

    def __iter__(self) -> "EpochIterator":
        return EpochIterator(self, *self._start)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self._start = (epoch, 0)

    def finish_epoch(self, epoch: int) -> None:
        """Let the next iteration begin the following epoch, unless another one was set meanwhile."""
        if self._start[0] == epoch:
            self._start = (epoch + 1, 0)

    def state_at(self, epoch: int, seen: int) -> dict[str, Any]:
        """Return the state after `seen` samples of an epoch, for `load_state_dict`."""
        return {"order": self.order.name, "epoch": epoch, "seen": seen}

    def state_dict(self) -> dict[str, Any]:
        """Return the state at the beginning of the next iteration."""
        return self.state_at(*self._start)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next iteration at a saved state; the number of ranks and the batch size may have changed since."""
        self._start = self.position_in(state)

    def position_in(self, state: dict[str, Any]) -> tuple[int, int]:
        """Read epoch and samples seen from a state; BadArgument where it is not a state of this order."""
        try:
            name, epoch, seen = (state[key] for key in ("order", "epoch", "seen"))
        except (KeyError, TypeError):
            raise BadArgument(f"{state!r} is no state of a loader", "give what state_dict() returned") from None
        if name != self.order.name:
            raise BadArgument(
                f"the state is of the order {name!r}, this loader's is {self.order.name!r}",
                "open the store as_of the commit of the state, with the same where, seed, shuffle and balance",
            )
        if not (type(epoch) is int and type(seen) is int and epoch >= 0 and 0 <= seen <= self.order.samples):
            raise BadArgument(
                f"the state holds epoch {epoch!r} and {seen!r} samples seen", "give what state_dict() returned"
            )
        return epoch, seen


class EpochIterator(Iterator[list[int]]):
    """The batches of one epoch, with a state after each of them."""

    def __init__(self, sampler: DistributedBatchSampler, epoch: int, seen: int) -> None:
        self.sampler = sampler
        self.epoch = epoch
        self.seen = seen
        self._indices = sampler.order.indices(epoch)

    def __iter__(self) -> "EpochIterator":
        return self

    def __next__(self) -> list[int]:
        share, left = self.sampler.share, len(self._indices) - self.seen
        if not share.batch_count(left):
            self.sampler.finish_epoch(self.epoch)
            raise StopIteration
        batch: list[int] = share.batch_at(self._indices, self.seen).tolist()
        self.seen += min(share.global_batch_size, left)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the last batch."""
        return self.sampler.state_at(self.epoch, self.seen)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        self.epoch, self.seen = self.sampler.position_in(state)
        self._indices = self.sampler.order.indices(self.epoch)

"""An epoch's order dealt out in batches: the same global order for any number of ranks, from any place on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch.utils.data import Sampler

from lamofc_store.errors import BadArgument
from lamofc_store.loading.shuffle import Numbers, Order

Last = Literal["short", "drop", "repeat"]


@dataclass(frozen=True)
class Hand:
    """Whose batches are dealt, and how large they are."""

    batch_size: int
    rank: int = 0
    world: int = 1
    last: Last | None = None
    """What fills no batch of all ranks: `short` deals it out evenly, so that some ranks may get nothing; `drop` leaves
    it out; `repeat` fills it up from the epoch's beginning. By default `short` for one rank, `repeat` for several."""

    def __post_init__(self) -> None:
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise BadArgument(f"batch_size={self.batch_size!r}", "give a whole number from 1")
        if not 0 <= self.rank < self.world:
            raise BadArgument(f"rank={self.rank!r} of world={self.world!r}", "ranks count from 0 up to world - 1")
        if self.last not in (None, "short", "drop", "repeat"):
            raise BadArgument(f"last={self.last!r}", "give 'short', 'drop' or 'repeat'")

    @property
    def whole(self) -> int:
        """Samples of one batch of every rank."""
        return self.batch_size * self.world

    @property
    def ending(self) -> Last:
        """What becomes of the rest."""
        return self.last or ("short" if self.world == 1 else "repeat")

    def batches(self, samples: int) -> int:
        """How many batches this rank gets of so many samples."""
        full, rest = divmod(samples, self.whole)
        more = self.ending == "repeat" or (self.ending == "short" and len(self._share(rest)) > 0)
        return full + int(rest > 0 and more)

    def cut(self, order: Numbers, seen: int) -> Numbers:
        """This rank's part of the next batch of all ranks, `seen` samples into the order."""
        rest = len(order) - seen
        if rest >= self.whole:
            start = seen + self.rank * self.batch_size
            return order[start : start + self.batch_size]
        if self.ending == "repeat":
            return np.resize(np.concatenate([order[seen:], order]), self.whole)[self._share(self.whole)]
        return order[seen:][self._share(rest)]

    def _share(self, count: int) -> Numbers:
        """Which of some samples are this rank's: shares differ by one at the most."""
        return np.arange(count * self.rank // self.world, count * (self.rank + 1) // self.world)


class Deal(Sampler[list[int]]):
    """Batches of indices for one rank; a batch sampler of any torch loader, also of torchdata's stateful one.

    Iterating begins an epoch: the one that `set_epoch` named, or else the one after the last that was dealt to its end.
    """

    def __init__(self, order: Order, hand: Hand) -> None:
        self.order = order
        self.hand = hand
        self._next: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return self.hand.batches(self.order.samples)

    def __iter__(self) -> "Dealing":
        return Dealing(self, *self._next)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration goes through."""
        self._next = (epoch, 0)

    def ended(self, epoch: int) -> None:
        """That epoch is dealt; the next follows, unless another was named meanwhile."""
        if self._next[0] == epoch:
            self._next = (epoch + 1, 0)

    def state(self, epoch: int, seen: int) -> dict[str, Any]:
        """Where in which epoch somebody is, for `load_state_dict`."""
        return {"order": self.order.name, "epoch": epoch, "seen": seen}

    def state_dict(self) -> dict[str, Any]:
        """Where the next iteration begins."""
        return self.state(*self._next)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next iteration there; ranks and batch size may be others than before."""
        self._next = self.place(state)

    def place(self, state: dict[str, Any]) -> tuple[int, int]:
        """Epoch and samples seen of a state, if it is of this order."""
        try:
            name, epoch, seen = (state[key] for key in ("order", "epoch", "seen"))
        except (KeyError, TypeError):
            raise BadArgument(f"{state!r} is no state of a loader", "give what state_dict() returned") from None
        if name != self.order.name:
            raise BadArgument(
                f"the state is of the order {name!r}, this loader's is {self.order.name!r}",
                "open the store as_of the commit it was at, with the same where, seed, shuffle and balance",
            )
        if not (type(epoch) is int and type(seen) is int and epoch >= 0 and 0 <= seen <= self.order.samples):
            raise BadArgument(f"the state says epoch {epoch!r}, {seen!r} samples seen", "give what state_dict() gave")
        return epoch, seen


class Dealing(Iterator[list[int]]):
    """One epoch's batches, and how far they are dealt."""

    def __init__(self, deal: Deal, epoch: int, seen: int) -> None:
        self.deal = deal
        self.epoch = epoch
        self.seen = seen
        self._order = deal.order.epoch(epoch)

    def __iter__(self) -> "Dealing":
        return self

    def __next__(self) -> list[int]:
        hand, rest = self.deal.hand, len(self._order) - self.seen
        if not hand.batches(rest):
            self.deal.ended(self.epoch)
            raise StopIteration
        dealt: list[int] = hand.cut(self._order, self.seen).tolist()
        self.seen += min(hand.whole, rest)
        return dealt

    def state_dict(self) -> dict[str, Any]:
        """How far this epoch is dealt."""
        return self.deal.state(self.epoch, self.seen)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.epoch, self.seen = self.deal.place(state)
        self._order = self.deal.order.epoch(self.epoch)

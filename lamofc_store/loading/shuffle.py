"""In which order an epoch goes through samples: a pure function of seed, epoch and what is there, on any machine.

Random numbers are a mixed counter (splitmix64) and not a library's generator, whose stream may change between versions.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lamofc_store.errors import BadArgument

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]
Shuffle = Literal["full", "blocks"]

_STRIDE = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class Order:
    """How samples are ordered; `places` and `classes` say of each sample where it lies and what it is."""

    samples: int
    shuffle: Shuffle | None
    """`full`: any sample after any other. `blocks`: what lies together stays near, so that it is read together."""
    seed: int
    places: Numbers | None = None
    """Rank of each sample in the storage; for `blocks`."""
    block: int = 1024
    """Samples of a block: neighbours in the storage."""
    window: int = 16
    """Blocks, chosen at random, whose samples are shuffled together."""
    identity: str = ""
    """What names the samples and their sequence."""
    classes: Numbers | None = None
    """A number for each sample; all classes then come equally often, those of small ones several times."""

    def __post_init__(self) -> None:
        if self.shuffle not in (None, "full", "blocks"):
            raise BadArgument(f"shuffle={self.shuffle!r}", "give True, False or 'blocks'")
        if self.classes is not None and self.shuffle != "full":
            raise BadArgument(f"balance with shuffle={self.shuffle!r}", "balanced classes are shuffled: shuffle=True")
        for name in ("block", "window"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise BadArgument(f"{name}={value!r}", "give a whole number from 1")
        if type(self.seed) is not int or not -1 << 63 <= self.seed <= _WORD:
            raise BadArgument(f"seed={self.seed!r}", "give a whole number of 64 bits")

    @property
    def name(self) -> str:
        """What names this order: equal names are equal orders."""
        told = {"full": "shuffled", "blocks": f"shuffled by {self.window} x {self.block}", None: "sorted"}[self.shuffle]
        balanced = ", balanced" if self.classes is not None else ""
        return f"{self.identity}, {self.samples} samples {told}{balanced}, seed {self.seed}"

    def epoch(self, number: int) -> Numbers:
        """Indices of the samples in that epoch's order; as many as there are samples."""
        if self.shuffle is None:
            return np.arange(self.samples)
        if self.classes is not None:
            return self._balanced(number, self.classes)
        keys = self._keys(number, 0, self.samples)
        if self.places is None or self.shuffle == "full":
            return np.argsort(keys, kind="stable")
        block = self.places // self.block
        blocks = -(-self.samples // self.block)
        rank = np.empty(blocks, np.int64)
        rank[np.argsort(self._keys(number, 1, blocks), kind="stable")] = np.arange(blocks)
        order: Numbers = np.lexsort((keys, rank[block] // self.window))
        return order

    def _balanced(self, number: int, classes: Numbers) -> Numbers:
        """Rounds in which every class has a turn; a class whose samples are used up begins anew, in another order."""
        members = [np.flatnonzero(classes == one) for one in np.unique(classes)]
        rounds = -(-self.samples // max(len(members), 1))
        turns = np.empty((rounds, len(members)), np.int64)
        for column, held in enumerate(members):
            cycles = -(-rounds // len(held))
            keys = self._keys(number, 2 + column, cycles * len(held)).reshape(cycles, len(held))
            turns[:, column] = held[np.argsort(keys, axis=1, kind="stable")].reshape(-1)[:rounds]
        keys = self._keys(number, 1, turns.size).reshape(turns.shape)
        mixed = np.take_along_axis(turns, np.argsort(keys, axis=1, kind="stable"), axis=1)
        return mixed.reshape(-1)[: self.samples]

    def _keys(self, epoch: int, stream: int, count: int) -> Keys:
        start = _mixed(_mixed(_mixed(self.seed & _WORD) ^ epoch) ^ stream)
        with np.errstate(over="ignore"):
            words = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STRIDE) + np.uint64(start)
            words = (words ^ (words >> np.uint64(30))) * np.uint64(_FIRST)
            words = (words ^ (words >> np.uint64(27))) * np.uint64(_SECOND)
            return words ^ (words >> np.uint64(31))


def _mixed(word: int) -> int:
    word = (word + _STRIDE) & _WORD
    word = ((word ^ (word >> 30)) * _FIRST) & _WORD
    word = ((word ^ (word >> 27)) * _SECOND) & _WORD
    return word ^ (word >> 31)

"""The order of samples in each epoch: a pure function of seed, epoch and snapshot, the same on every machine.

Random numbers come from splitmix64, a hashed counter, because the stream of a library's generator may change between
its versions.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lamofc_store.errors import BadArgument

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]
ShuffleMode = Literal["full", "blocks"]

_GAMMA = 0x9E3779B97F4A7C15
"""The increment of splitmix64's counter."""
_MULTIPLIER_1, _MULTIPLIER_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""The multipliers of splitmix64's output function."""
_MASK_64 = (1 << 64) - 1


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """The sequence of sample indices in every epoch."""

    samples: int
    mode: ShuffleMode | None
    """`full`: any sample may follow any other. `blocks`: neighbours in the storage stay near each other, so that they
    are read together. None: sorted by id."""
    seed: int
    storage_rank: Numbers | None = None
    """The rank of each sample in the storage; needed for `blocks`."""
    block: int = 1024
    """Samples of a block, which are neighbours in the storage."""
    window: int = 16
    """Blocks, chosen at random, whose samples are shuffled together."""
    identity: str = ""
    """A name of the samples and their sequence."""
    classes: Numbers | None = None
    """A class number for each sample. Every class is then drawn equally often, with samples of small ones repeated."""

    def __post_init__(self) -> None:
        if self.mode not in (None, "full", "blocks"):
            raise BadArgument(f"shuffle={self.mode!r}", "give True, False or 'blocks'")
        if self.classes is not None and self.mode != "full":
            raise BadArgument(f"balance with shuffle={self.mode!r}", "balanced classes are shuffled: shuffle=True")
        for name in ("block", "window"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise BadArgument(f"{name}={value!r}", "give a whole number from 1")
        if type(self.seed) is not int or not -1 << 63 <= self.seed <= _MASK_64:
            raise BadArgument(f"seed={self.seed!r}", "give a whole number of 64 bits")

    @property
    def name(self) -> str:
        """A name of this order in the states of loaders: equal names are equal orders."""
        modes = {"full": "shuffled", "blocks": f"shuffled by {self.window} x {self.block}", None: "sorted"}
        balanced = ", balanced" if self.classes is not None else ""
        return f"{self.identity}, {self.samples} samples {modes[self.mode]}{balanced}, seed {self.seed}"

    def indices(self, epoch: int) -> Numbers:
        """Compute the sequence of an epoch, which has as many indices as there are samples."""
        if self.mode is None:
            return np.arange(self.samples)
        if self.classes is not None:
            return self._balanced(epoch, self.classes)
        keys = self._random_keys(epoch, 0, self.samples)
        if self.storage_rank is None or self.mode == "full":
            return np.argsort(keys, kind="stable")
        block = self.storage_rank // self.block
        blocks = -(-self.samples // self.block)
        position = np.empty(blocks, np.int64)
        position[np.argsort(self._random_keys(epoch, 1, blocks), kind="stable")] = np.arange(blocks)
        sequence: Numbers = np.lexsort((keys, position[block] // self.window))
        return sequence

    def _balanced(self, epoch: int, classes: Numbers) -> Numbers:
        """Draw one sample of each class a round; a class that is used up begins again, in another order."""
        members = [np.flatnonzero(classes == label) for label in np.unique(classes)]
        rounds = -(-self.samples // max(len(members), 1))
        table = np.empty((rounds, len(members)), np.int64)
        for column, indices in enumerate(members):
            cycles = -(-rounds // len(indices))
            keys = self._random_keys(epoch, 2 + column, cycles * len(indices)).reshape(cycles, len(indices))
            table[:, column] = indices[np.argsort(keys, axis=1, kind="stable")].reshape(-1)[:rounds]
        keys = self._random_keys(epoch, 1, table.size).reshape(table.shape)
        shuffled = np.take_along_axis(table, np.argsort(keys, axis=1, kind="stable"), axis=1)
        return shuffled.reshape(-1)[: self.samples]

    def _random_keys(self, epoch: int, stream: int, count: int) -> Keys:
        """Draw 64-bit numbers of one stream of an epoch, to sort by."""
        start = _splitmix64(_splitmix64(_splitmix64(self.seed & _MASK_64) ^ epoch) ^ stream)
        with np.errstate(over="ignore"):
            words = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA) + np.uint64(start)
            words = (words ^ (words >> np.uint64(30))) * np.uint64(_MULTIPLIER_1)
            words = (words ^ (words >> np.uint64(27))) * np.uint64(_MULTIPLIER_2)
            return words ^ (words >> np.uint64(31))


def _splitmix64(word: int) -> int:
    word = (word + _GAMMA) & _MASK_64
    word = ((word ^ (word >> 30)) * _MULTIPLIER_1) & _MASK_64
    word = ((word ^ (word >> 27)) * _MULTIPLIER_2) & _MASK_64
    return word ^ (word >> 31)

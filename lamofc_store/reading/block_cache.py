"""Decoded blocks: small samples share a record, which is decoded whole, and the next one read may lie in it, too."""

import os
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from lamofc_store.defaults import BLOCK_CACHE_BYTES
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    import torch


class BlockName(NamedTuple):
    """The name of a decoded block."""

    segment: str
    offset: int
    length: int
    """Bytes of the layers that were read."""
    dtype: "torch.dtype | None"
    """Dtype that it was converted to."""


@dataclass
class BlockCache:
    """The blocks that were used last, decoded, up to a bound in bytes. A process that inherits it begins anew."""

    most: int = BLOCK_CACHE_BYTES
    _kept: "_KeptBlocks | None" = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if type(self.most) is not int or self.most < 0:
            raise BadArgument(f"block_cache={self.most!r}", "give bytes, a whole number from 0")

    def __getstate__(self) -> dict[str, object]:
        return {"most": self.most, "_kept": None}

    def get(self, name: BlockName) -> "list[torch.Tensor] | None":
        """Return the items of a block, which may not be written to; None where it is not kept."""
        kept = self._of_this_process()
        with kept.lock:
            items = kept.blocks.get(name)
            if items is not None:
                kept.blocks.move_to_end(name)
        return items

    def add(self, name: BlockName, items: "list[torch.Tensor]") -> None:
        """Keep a block, if it is no larger than the bound, in place of those that were not used for longest."""
        size = _bytes_of(items)
        if size > self.most:
            return
        kept = self._of_this_process()
        with kept.lock:
            kept.bytes += size - _bytes_of(kept.blocks.pop(name, []))
            kept.blocks[name] = items
            while kept.bytes > self.most:
                _, oldest = kept.blocks.popitem(last=False)
                kept.bytes -= _bytes_of(oldest)

    def _of_this_process(self) -> "_KeptBlocks":
        """Return the kept blocks: new ones after a fork, when another thread of the parent may have held the lock."""
        kept = self._kept
        if kept is None or kept.process != os.getpid():
            kept = self._kept = _KeptBlocks()
        return kept


@dataclass
class _KeptBlocks:
    process: int = field(default_factory=os.getpid)
    lock: Lock = field(default_factory=Lock)
    blocks: "OrderedDict[BlockName, list[torch.Tensor]]" = field(default_factory=OrderedDict)
    """Those used last stand at the end."""
    bytes: int = 0


def _bytes_of(items: "list[torch.Tensor]") -> int:
    return sum(item.nbytes for item in items)

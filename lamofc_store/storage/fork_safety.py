"""What a forked child does not take over from its parent: it opens files, folders and connections of its own.

Threads do not come along with a fork. Whoever waits for one of them, waits for ever.
"""

import os
import sys
from typing import Protocol
from weakref import WeakSet


class Holder(Protocol):
    """Something that keeps files, folders or connections open."""

    def leave_parent(self) -> None:
        """In a forked child: forget what was opened, without giving any of it back."""


_HOLDERS: WeakSet[Holder] = WeakSet()


def tell(holder: Holder) -> None:
    """Have a holder told in every child that this process forks."""
    _HOLDERS.add(holder)


def _leave_parent() -> None:
    for holder in list(_HOLDERS):
        holder.leave_parent()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)  # its OpenMP threads stayed behind: the first parallel loop would wait for them


os.register_at_fork(after_in_child=_leave_parent)

"""Forked children: each opens files, folders and connections of its own.

A fork copies memory but no threads. A child that waits for one of its parent's threads waits for ever. Python's lock of
a module that a thread is importing is beyond what can be reset here: read once before threads and forks are mixed.
"""

import os
import sys
from typing import Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """An object that keeps files, folders or connections open."""

    def reset_after_fork(self) -> None:
        """Forget, in a forked child, what the parent opened, and close none of it."""


_REGISTERED: WeakSet[ForkAware] = WeakSet()


def register(resource: ForkAware) -> None:
    """Call `reset_after_fork` of an object in every child that this process forks."""
    _REGISTERED.add(resource)


def is_registered(resource: ForkAware) -> bool:
    """Whether `register` was called for an object."""
    return resource in _REGISTERED


def _reset_after_fork() -> None:
    for resource in list(_REGISTERED):
        resource.reset_after_fork()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)  # torch's OpenMP threads were not forked: the first parallel loop would wait for them


os.register_at_fork(after_in_child=_reset_after_fork)

"""How this package compiles: one decorator, so that the choice is made once, and typed."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

Int: TypeAlias = Any
"""An integer in compiled code: numba infers its width, a type checker cannot."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile on first call, keep the machine code on disk, hold no GIL while it runs.

    No `parallel=True` (its threads do not survive a fork, as in a loader's workers) and no `fastmath` (bytes must not
    depend on how sums are ordered).
    """
    return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a few lines that stand inside a hot loop."""
    return njit(cache=True, nogil=True, inline="always")(function)  # type: ignore[no-any-return]

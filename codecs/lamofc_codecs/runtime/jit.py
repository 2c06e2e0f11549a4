"""How this package compiles: one decorator, so that the choice is made once, and typed."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Bytes: TypeAlias = bytes | bytearray | memoryview | NDArray[np.uint8]
"""What holds bytes."""

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


def as_bytes(data: Bytes) -> NDArray[np.uint8]:
    """The bytes as a read-only array, not copied: numba compiles anew for writable ones, so it is shown no others."""
    return np.frombuffer(memoryview(data).toreadonly(), np.uint8)  # type: ignore[arg-type]

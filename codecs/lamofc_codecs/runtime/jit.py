"""Decorators that compile functions with numba, so that all are compiled alike and keep their types."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Bytes: TypeAlias = bytes | bytearray | memoryview | NDArray[np.uint8]
"""Types that hold bytes."""

Int: TypeAlias = Any
"""An integer in compiled code: numba infers its width, a type checker cannot."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call, to machine code that is cached on disk and runs without the GIL.

    `parallel=True` is not used, because its threads do not survive a fork, as in the workers of a loader; nor is
    `fastmath`, because bytes must not depend on the order of sums.
    """
    return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of a few lines into the code of its callers, for hot loops."""
    return njit(cache=True, nogil=True, inline="always")(function)  # type: ignore[no-any-return]


def as_bytes(data: Bytes) -> NDArray[np.uint8]:
    """Return a view of the bytes as a read-only array, because numba would compile once more for writable ones."""
    return np.frombuffer(memoryview(data).toreadonly(), np.uint8)  # type: ignore[arg-type]

"""A stacked array, each row of which belongs to a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """One stacked tensor of a file."""

    shape: tuple[int, ...]
    discrete: bool
    """Whether it holds integers, booleans or text, as labels and ids do."""
    row: Callable[[int], Any]
    """Read one row: a tensor, or a NumPy text."""

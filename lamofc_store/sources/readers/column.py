"""A stacked array of which each row is a sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """One stacked tensor of a file."""

    shape: tuple[int, ...]
    discrete: bool
    """Integers, booleans or text: what labels and ids are made of."""
    row: Callable[[int], Any]
    """Read one row: a tensor, or a NumPy text."""

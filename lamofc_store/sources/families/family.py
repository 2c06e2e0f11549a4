"""What a family of features is: which objects are of it, and what their tensors are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lamofc_store.sample import Keys

Names: TypeAlias = Callable[[Mapping[Any, Any]], "dict[Keys, str] | None"]

CACHE = "b h t d -> (b t) (h d)"
"""Keys and values: a token's channels are those of all heads."""
IMAGE = "c h w -> (h w) c"
"""Maps of channels: a place is a token."""


@dataclass(frozen=True)
class Family:
    """Tensors that no name is told for keep the path that leads to them: nothing is left out."""

    name: str
    """As the argument `format` takes it."""
    summary: str
    names: Names
    """The name of each tensor of an object; None where it is not of this family."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """By glob over names: for tensors of as many axes as the pattern has."""

"""A family of published features: which objects belong to it, and how their tensors are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lamofc_store.sample import Keys

Names: TypeAlias = Callable[[Mapping[Any, Any]], "dict[Keys, str] | None"]

CACHE = "b h t d -> (b t) (h d)"
"""The pattern of keys and values: the channels of a token are those of all heads."""
IMAGE = "c h w -> (h w) c"
"""The pattern of feature maps: each position is a token."""

IMAGES = "b t c -> b t c"
"""The pattern of several images in one tensor: each is a plane."""


@dataclass(frozen=True)
class Family:
    """The names of one family. A tensor without a name keeps the path that leads to it, so nothing is left out."""

    name: str
    """As the argument `format` names it."""
    summary: str
    names: Names
    """Return the name of each tensor of an object by its path; None for an object of no such family."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """Patterns by glob over names, for tensors with as many axes as the pattern."""

"""Caches of transformers, passed to models and found among the arguments of their blocks, whatever these are called.

Until transformers 5.24 the parameter was called `past_key_values`, of state-space models `cache_params`; then `cache`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from torch import nn

_PARAMETERS = ("cache", "past_key_values", "cache_params")
"""Newest first: a version that renames one still takes the old name, with a warning."""


def new_cache(config: Any) -> Any:
    """Make an empty cache for a model of this config."""
    from transformers import DynamicCache

    return DynamicCache(config=config)


def cache_parameter(model: nn.Module) -> str:
    """Name of the parameter by which a model takes its cache."""
    taken = inspect.signature(model.forward).parameters
    found = next((name for name in _PARAMETERS if name in taken), None)
    if found is None:
        raise BadArgument(
            f"a {type(model).__name__} takes no cache: its parameters are {', '.join(taken)}",
            "extract its features without caches",
        )
    return found


def cache_given(arguments: Iterable[Any]) -> Any | None:
    """The cache among the arguments of a block; None where there is none."""
    from transformers import Cache

    return next((value for value in arguments if isinstance(value, Cache)), None)

"""Read the states that blocks keep of earlier tokens from a cache of transformers, and restore them in a cache.

Tested with transformers 5.16 to 5.24. Between these versions the names of the cache parameters of models and of blocks
have changed. A model's parameter is therefore found by its signature, and a block's argument by its type.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sources import CACHE

if TYPE_CHECKING:
    from torch import nn

_PARAMETERS = ("cache", "past_key_values", "cache_params")
"""Names of a model's cache parameter, newest first: an old name still works where it was renamed, with a warning."""


@dataclass(frozen=True)
class BlockState:
    """A tensor that each block keeps of earlier tokens."""

    feature: str
    """Last part of the feature's name, which follows `layer.N.`."""
    file_key: str
    """Key of the list of all blocks' tensors in published files."""
    attribute: str
    """Attribute of a cache's layer."""
    pattern: str | None = None
    """Pattern of the feature, if it is not the default one."""

    def first_position(self, tensor: Tensor, tokens: int) -> int:
        """Return the position of the first token that the tensor holds of so many: not 0 where a window was passed."""
        return tokens - tensor.shape[-2] if self.pattern == CACHE else 0

    def read(self, layer: Any) -> Tensor:
        """Return the tensor of a cache's layer; some versions of transformers keep it in a mapping by number."""
        state = getattr(layer, self.attribute)
        tensor: Tensor = state if isinstance(state, Tensor) else state[0]
        return tensor


@dataclass(frozen=True)
class CacheLayout:
    """The states of a block, and the function that restores them: (cache, block, tensors)."""

    states: tuple[BlockState, ...]
    restore: Callable[[Any, int, Sequence[Tensor]], None]


def _restore_attention(cache: Any, block: int, tensors: Sequence[Tensor]) -> None:
    keys, values = tensors
    cache.update(keys, values, block)


def _restore_state_space(cache: Any, block: int, tensors: Sequence[Tensor]) -> None:
    recurrent, convolution = tensors
    cache.update_conv_state(convolution, block)
    cache.update_recurrent_state(recurrent, block)


ATTENTION = CacheLayout(
    (BlockState("k_cache", "key", "keys", CACHE), BlockState("v_cache", "value", "values", CACHE)), _restore_attention
)
"""Keys and values of all tokens."""
STATE_SPACE = CacheLayout(
    (BlockState("ssm_state", "ssm_state", "recurrent_states"), BlockState("conv_state", "conv_state", "conv_states")),
    _restore_state_space,
)
"""The recurrent state, and the last inputs of the convolution."""


def new_cache(config: Any) -> Any:
    """Make an empty cache for a model of this config."""
    from transformers import DynamicCache

    return DynamicCache(config=config)


def copy_rows(cache: Any, rows: Tensor) -> Any:
    """Return a new cache with some rows of a batch, any of them several times; the given one stays as it is."""
    copied = copy.copy(cache)
    copied.layers = [_copied(layer) for layer in cache.layers]
    copied.reorder_cache(rows)
    return copied


def _copied(layer: Any) -> Any:
    """Copy a cache's layer; its tensors, some of which stand in mappings, are shared until they are replaced."""
    copied = copy.copy(layer)
    vars(copied).update({name: dict(value) for name, value in vars(layer).items() if isinstance(value, dict)})
    return copied


def cache_parameter(model: nn.Module) -> str:
    """Return the name of the parameter by which a model takes its cache."""
    parameters = inspect.signature(model.forward).parameters
    name = next((name for name in _PARAMETERS if name in parameters), None)
    if name is None:
        raise BadArgument(
            f"a {type(model).__name__} takes no cache: its parameters are {', '.join(parameters)}",
            "extract its features without caches",
        )
    return name


def find_cache(arguments: Iterable[Any]) -> Any | None:
    """Return the cache among the arguments of a block; None if there is none."""
    from transformers import Cache

    return next((value for value in arguments if isinstance(value, Cache)), None)

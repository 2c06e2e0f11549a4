"""Rotary positions of a model's keys, taken from the model's own buffers and checked on what the model computes.

A rotation hides from a codec that keys of neighbouring tokens are alike. It is orthogonal, so that keys can be coded
with the rotation undone, and an error keeps its size when they are rotated again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sources import CACHE
from lamofc_tools.consumer.split import require_attention
from lamofc_tools.models import LoadedModel, block_outputs

Pairs = Literal["halves", "neighbours"]
_PAIRS: tuple[Pairs, ...] = ("halves", "neighbours")
_BUFFER = "inv_freq"
_PROBE_TOKENS = 8
_TOLERANCE = {torch.float32: 1e-3}
"""Largest difference between equal keys, relative to their size, by the model's dtype."""
_COARSE_TOLERANCE = 0.05
"""The same for dtypes of eight and eleven significant bits."""


@dataclass(frozen=True)
class Rotary:
    """Rotary positions of a feature of keys: each pair of channels is a plane that turns with the token's index."""

    frequencies: tuple[float, ...]
    """Radians a token, one for each pair of a head; the first two channels a frequency of each head are rotated."""
    pairs: Pairs
    """Whether the channels of a pair are half the rotated channels apart, as in Llama, or next to each other."""
    heads: int
    """Heads that stand side by side in the channels."""


def rotate(keys: Tensor, rotary: Rotary, first: int = 0) -> Tensor:
    """Rotate keys, tokens x channels after any other axes, the first token being at position `first`."""
    return _turned(keys, rotary, first, 1)


def unrotate(keys: Tensor, rotary: Rotary, first: int = 0) -> Tensor:
    """Undo `rotate`; a gradient by rotated keys becomes one by unrotated keys in the same way."""
    return _turned(keys, rotary, first, -1)


def _turned(keys: Tensor, rotary: Rotary, first: int, sign: int) -> Tensor:
    heads = keys.double().reshape(*keys.shape[:-1], rotary.heads, -1).clone()
    frequencies = torch.tensor(rotary.frequencies, dtype=torch.float64, device=keys.device)
    positions = torch.arange(first, first + keys.shape[-2], dtype=torch.float64, device=keys.device)
    angles = sign * positions[:, None, None] * frequencies
    rotated = heads[..., : 2 * len(frequencies)]
    if rotary.pairs == "halves":
        one, other = rotated.chunk(2, -1)
    else:
        one, other = rotated[..., ::2], rotated[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    turned = one * cos - other * sin, other * cos + one * sin
    one.copy_(turned[0])
    other.copy_(turned[1])
    return heads.reshape(keys.shape).to(keys.dtype)


def find_rotary(loaded: LoadedModel) -> dict[str, Rotary]:
    """Return the rotary positions of each feature of keys that is rotated, `layer.N.k_cache` for every block N.

    The frequencies are those that the model has for texts within the length that it was trained on. A text of one
    repeated token shows whether they are right: without positions its keys are all equal, in every block.
    """
    found = {}
    for block, keys in enumerate(_keys_of_one_token(loaded)):
        rotary = _fitting(loaded, block, keys)
        if rotary is not None:
            found[f"layer.{block}.k_cache"] = rotary
    return found


def _keys_of_one_token(loaded: LoadedModel) -> list[Tensor]:
    """Return the keys, 1 x heads x tokens x channels, that every block keeps of a text of one repeated token."""
    layout = require_attention(loaded)
    ids = torch.full((1, _PROBE_TOKENS), loaded.config.vocab_size // 2, device=loaded.device)
    _, states = block_outputs(loaded, {"input_ids": ids}, [len(loaded.blocks) - 1])
    return [keys.cpu() for keys in states[layout.states[0]]]


def _fitting(loaded: LoadedModel, block: int, keys: Tensor) -> Rotary | None:
    """Return the positions that explain the keys of one repeated token; None if all these keys are equal."""
    heads, size = keys.shape[1], keys.shape[3]
    rows = rearrange(keys, CACHE).double()
    tolerance = _TOLERANCE.get(keys.dtype, _COARSE_TOLERANCE)
    if _spread(rows) < tolerance:
        return None
    for frequencies in _candidates(loaded, block):
        for pairs in _PAIRS:
            rotary = Rotary(frequencies, pairs, heads)
            if 2 * len(frequencies) <= size and _spread(unrotate(rows, rotary)) < tolerance:
                return rotary
    raise BadArgument(
        f"the keys of block {block} of {loaded.name} depend on positions in an unknown way",
        "leave the rotary positions out; keys are then coded as they are",
    )


def _spread(rows: Tensor) -> float:
    """Return how far rows are from being equal, relative to their size."""
    return float((rows - rows[:1]).norm() / rows.norm().clamp_min(torch.finfo(torch.float64).tiny))


def _candidates(loaded: LoadedModel, block: int) -> Iterator[tuple[float, ...]]:
    """Yield the frequencies that the model holds, those of the block's own type of layer first."""
    types = getattr(loaded.config, "layer_types", None)
    own = f"{types[block]}_{_BUFFER}" if types else _BUFFER
    buffers = {
        name.rpartition(".")[2]: buffer
        for name, buffer in loaded.model.named_buffers()
        if name.endswith(_BUFFER) and not name.endswith(f"original_{_BUFFER}")
    }
    for name in sorted(buffers, key=lambda name: (name != own, name)):
        yield tuple(buffers[name].double().tolist())

"""Rotary positions of a model's keys, taken from the model's own buffers and checked on what the model computes.

A rotation hides from a codec that keys of neighbouring tokens are alike. It is orthogonal, so that keys can be coded
with the rotation undone, and an error keeps its size when they are rotated again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sources import CACHE
from lamofc_tools.consumer.decoder.split import require_attention
from lamofc_tools.models import LoadedModel, block_outputs

_PAIRS: tuple[Literal["halves", "neighbours"], ...] = ("halves", "neighbours")
_BUFFER = "inv_freq"
_PROBE_TOKENS = 8
_TOLERANCE = {torch.float32: 1e-3}
"""Largest difference between equal keys, relative to their size, by the model's dtype."""
_COARSE_TOLERANCE = 0.05
"""The same for dtypes of eight and eleven significant bits."""
_FREQUENCY_TOLERANCE = 1e-6
"""Relative difference of frequencies that are the same, rounded to float32."""


def find_rotary(loaded: LoadedModel) -> dict[str, Rotary]:
    """Return the rotary positions of each feature of keys that is rotated, `layer.N.k_cache` for every block N.

    The frequencies are those that the model has for texts within the length that it was trained on. A text of one
    repeated token shows whether they are right: without positions its keys are all equal, in every block.
    """
    return {name: rotary for name, rotary in key_rotations(loaded, len(loaded.blocks)).items() if rotary is not None}


def key_rotations(
    loaded: LoadedModel, blocks: int, known: Mapping[str, Rotary | None] | None = None
) -> dict[str, Rotary | None]:
    """Return the same for the keys of the first `blocks` blocks, None for those that are not rotated.

    `known` holds the rotations of some features, which the model is not asked for; it is run for the others alone. One
    whose frequencies the model holds has these, as it rounds them.
    """
    stated = known or {}
    rotations = {
        name: _as_held(loaded, block, stated[name]) for block, name in enumerate(_key_names(blocks)) if name in stated
    }
    unknown = [block for block, name in enumerate(_key_names(blocks)) if name not in rotations]
    for block, keys in zip(unknown, _keys_of_one_token(loaded, unknown), strict=True):
        rotations[_key_names(blocks)[block]] = _fitting(loaded, block, keys)
    return rotations


def is_same_rotation(one: Rotary | None, other: Rotary | None) -> bool:
    """Whether two rotations are the same, but for the rounding of frequencies to float32."""
    if one is None or other is None:
        return one is other
    pairs = zip(one.frequencies, other.frequencies, strict=False)
    same = (one.pairs, one.heads, len(one.frequencies)) == (other.pairs, other.heads, len(other.frequencies))
    return same and all(math.isclose(*pair, rel_tol=_FREQUENCY_TOLERANCE) for pair in pairs)


def _as_held(loaded: LoadedModel, block: int, stated: Rotary | None) -> Rotary | None:
    """Return a rotation with the frequencies that a model holds, if they are the same but for rounding."""
    if stated is None:
        return None
    for frequencies in _candidates(loaded, block):
        held = Rotary(frequencies, stated.pairs, stated.heads)
        if is_same_rotation(held, stated):
            return held
    return stated


def _key_names(blocks: int) -> list[str]:
    return [f"layer.{block}.k_cache" for block in range(blocks)]


def _keys_of_one_token(loaded: LoadedModel, blocks: Sequence[int]) -> list[Tensor]:
    """Return the keys, 1 x heads x tokens x channels, that some blocks keep of a text of one repeated token."""
    layout = require_attention(loaded)
    if not blocks:
        return []
    ids = torch.full((1, _PROBE_TOKENS), loaded.config.vocab_size // 2, device=loaded.device)
    _, states = block_outputs(loaded, {"input_ids": ids}, [max(blocks)])
    return [states[layout.states[0]][block].cpu() for block in blocks]


def _fitting(loaded: LoadedModel, block: int, keys: Tensor) -> Rotary | None:
    """Return the positions that explain the keys of one repeated token; None if all these keys are equal."""
    heads, size = keys.shape[1], keys.shape[3]
    rows = rearrange(keys, CACHE).double()
    tolerance = _TOLERANCE.get(keys.dtype, _COARSE_TOLERANCE)
    if _spread(rows) < tolerance:
        return None
    for frequencies in _candidates(loaded, block):
        for pairs in _PAIRS if 2 * len(frequencies) <= size else ():
            rotary = Rotary(frequencies, pairs, heads)
            if _spread(rotary.turned(rows, back=True)) < tolerance:
                return rotary
    raise BadArgument(
        f"the keys of block {block} of {loaded.name} depend on positions in an unknown way",
        Hint("give theirs as [rotary], or code them as they are, without regard to the model"),
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

"""Rotary positions: pairs of channels turned by an angle that grows with the position of the token.

A model turns its keys so before it caches them. Turned back, keys of all positions lie in the same few directions. A
rotation changes no length, so errors keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.runtime import Floats, compiled

Positions = NDArray[np.int64]
"""Position of each token in its sequence."""

_MAX_HEADS, _MAX_PAIRS = 1 << 16, 1 << 14
_MAX_FREQUENCY = 1e6
_KEPT_TABLES, _MAX_KEPT_TOKENS = 16, 4096
"""Tables of cosines and sines that are kept, and the tokens of the longest one."""
_MAX_SPARSITY = 8
"""Positions of a kept table for each token."""
_HINT = "give the model's own inverse frequencies, and as many heads as the channels hold"


@dataclass(frozen=True)
class Rotary:
    """Rotation of the first channels of each head, two by two; the channels after them stay as they are."""

    frequencies: tuple[float, ...]
    """Angle in radians from one token to the next, of each pair."""
    pairs: Literal["halves", "neighbours"] = "halves"
    """Whether a pair is one channel of the first half and one of the second, or two neighbours."""
    heads: int = 1
    """Heads that lie side by side in the channels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "frequencies", tuple(map(float, self.frequencies)))
        valid = 0 < len(self.frequencies) <= _MAX_PAIRS and type(self.heads) is int and 0 < self.heads <= _MAX_HEADS
        bounded = all(math.isfinite(frequency) and abs(frequency) <= _MAX_FREQUENCY for frequency in self.frequencies)
        if not (valid and bounded) or self.pairs not in ("halves", "neighbours"):
            raise UnsupportedInput(
                f"rotary positions of {len(self.frequencies)} frequencies, pairs={self.pairs!r}, heads={self.heads}",
                _HINT,
            )

    def check(self, channels: int) -> None:
        """Refuse a number of channels that the heads do not divide, or of which there are too few."""
        if channels % self.heads or 2 * len(self.frequencies) > channels // self.heads:
            raise UnsupportedInput(
                f"rotary positions of {len(self.frequencies)} pairs a head; {self.heads} heads in {channels} channels",
                _HINT,
            )

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config holds."""
        return {**asdict(self), "frequencies": list(self.frequencies)}

    @classmethod
    def from_json(cls, stored: object) -> Rotary:
        """Read what a profile's config holds, which may come from anybody."""
        match stored:
            case {"frequencies": list(frequencies), "pairs": "halves" | "neighbours" as pairs, "heads": heads}:
                if isinstance(stored, Mapping) and len(stored) == 3 and all(type(f) is float for f in frequencies):
                    return cls(tuple(frequencies), pairs, heads)
        raise UnsupportedInput(f"rotary positions {str(stored)[:100]}", "fit the profile again")

    def turn(self, values: Floats, positions: Positions, *, back: bool = False) -> None:
        """Turn tokens x channels in place, or turn them back."""
        self._check_positions(values.shape, positions)
        cosines, sines = self._table(positions)
        head = values.shape[1] // self.heads
        step, apart = (1, len(self.frequencies)) if self.pairs == "halves" else (2, 1)
        _turn(values, cosines, -sines if back else sines, (self.heads, head, step, apart))

    def turned(self, values: Tensor, positions: Positions | None = None, *, back: bool = False) -> Tensor:
        """Return tokens x channels, after any other axes, turned on their device: the same floats as `turn` gives.

        Without positions, tokens begin at 0.
        """
        places = np.arange(values.shape[-2]) if positions is None else positions
        self._check_positions(values.shape, places)
        wide = values if values.dtype == torch.float64 else values.to(torch.float32)
        cosines, sines = (torch.from_numpy(table)[:, None].to(wide) for table in self._table(places))
        size, count = values.shape[-1] // self.heads, len(self.frequencies)
        heads = wide.reshape(*values.shape[:-1], self.heads, size).clone()
        paired = heads[..., : 2 * count]
        if self.pairs == "halves":
            first, second = paired[..., :count], paired[..., count:]
        else:
            first, second = paired[..., 0::2], paired[..., 1::2]
        sines = -sines if back else sines
        both = first * cosines - second * sines, second * cosines + first * sines
        first.copy_(both[0])
        second.copy_(both[1])
        return heads.reshape(values.shape).to(values.dtype)

    def _check_positions(self, shape: Sequence[int], positions: Positions) -> None:
        """Refuse tokens x channels of another number of tokens than there are positions, or of unfit channels."""
        self.check(shape[-1])
        if len(positions) != shape[-2]:
            raise UnsupportedInput(f"{len(positions)} positions of {shape[-2]} tokens", "give a position for each")

    def _table(self, positions: Positions) -> tuple[Floats, Floats]:
        """Cosines and sines, tokens x pairs; those of a short range of positions are kept."""
        first, last = (int(positions.min()), int(positions.max())) if len(positions) else (0, -1)
        count = last - first + 1
        if count > min(_MAX_KEPT_TOKENS, _MAX_SPARSITY * len(positions)):
            return _cosines_and_sines(self.frequencies, positions)
        cosines, sines = _consecutive(self.frequencies, first, count)
        places = positions - first
        if np.array_equal(places, np.arange(count)):
            return cosines, sines
        return cosines[places], sines[places]


@lru_cache(_KEPT_TABLES)
def _consecutive(frequencies: tuple[float, ...], first: int, count: int) -> tuple[Floats, Floats]:
    return _cosines_and_sines(frequencies, np.arange(first, first + count))


def _cosines_and_sines(frequencies: tuple[float, ...], positions: Positions) -> tuple[Floats, Floats]:
    angles = positions[:, None] * np.array(frequencies, np.float64)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


@compiled
def _turn(values: Floats, cosines: Floats, sines: Floats, layout: tuple[int, int, int, int]) -> None:
    heads, head, step, apart = layout
    for t in range(values.shape[0]):
        row = values[t]
        for h in range(heads):
            for i in range(cosines.shape[1]):
                at = h * head + i * step
                x, y = row[at], row[at + apart]
                row[at] = x * cosines[t, i] - y * sines[t, i]
                row[at + apart] = y * cosines[t, i] + x * sines[t, i]

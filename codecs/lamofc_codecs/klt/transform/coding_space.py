"""The space in which tokens are transformed: rotary positions undone, tokens centred, errors weighted.

Exact entries, figures of distortion and bounds of the bulk belong to the features' own space; columns, spreads and the
token codebook to this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import CodecError
from lamofc_codecs.klt.transform.error_weights import ErrorWeights
from lamofc_codecs.klt.transform.rotary import Positions, Rotary
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Floats, lazy
from lamofc_codecs.stats import Bulk

MAX_FIRST_TOKENS = 64
_MAX_VALUE = 2.0**120
"""Bound of what a profile says of tokens, so that sums of it stay within float32."""

PartRotary = tuple[int, int, Rotary]
"""First channel, end, and rotation of the channels between."""


@dataclass(frozen=True, eq=False)
class CodingSpace:
    """The way from values to weighted residuals, and from residuals that are not weighted back to values."""

    bulk: Bulk
    rotary: tuple[PartRotary, ...]
    """Parts of turned channels."""
    centre: Floats
    """Mean of the channels once they are turned back: that of the bulk where none is turned."""
    first_tokens: Floats
    """Values of the first tokens of a sequence, where these are alike in all samples: positions x channels."""
    error_weights: ErrorWeights

    @classmethod
    def plain(cls, bulk: Bulk, error_weights: ErrorWeights) -> CodingSpace:
        """Return the space of centred, weighted values."""
        return cls(bulk, (), bulk.mean, np.empty((0, len(bulk.mean)), np.float32), error_weights)

    @property
    def channels(self) -> int:
        """Channels of all parts."""
        return len(self.bulk.mean)

    @property
    def positioned(self) -> bool:
        """Whether the space depends on positions."""
        return bool(self.rotary) or len(self.first_tokens) > 0

    def is_first(self, positions: Positions) -> NDArray[np.bool_]:
        """Mark the tokens whose values the profile knows."""
        return positions < len(self.first_tokens)

    def outside(self, values: Floats, positions: Positions) -> NDArray[np.bool_]:
        """Mark the entries that are outside the bulk, or that a known first token puts there."""
        outside = self.bulk.outside(values)
        first = self.is_first(positions)
        if first.any():
            outside[first] = self.bulk.outside(values[first] - self._first_offsets[positions[first]])
        return outside

    def enter(self, values: Floats, positions: Positions, outside: NDArray[np.bool_] | None = None) -> Floats:
        """Return the weighted residuals of tokens x channels, 0 for entries that are stored exactly."""
        outside = self.outside(values, positions) if outside is None else outside
        residual = np.where(outside, self.bulk.mean, values)
        first = self.is_first(positions)
        if first.any():
            shifted = values[first] - self._first_offsets[positions[first]]
            residual[first] = np.where(outside[first], self.bulk.mean, shifted)
        self.turn_back(residual, positions)
        return self.weigh_turned(residual)

    def weigh_turned(self, values: Floats) -> Floats:
        """Centre and weigh values that are turned back, in place."""
        values -= self.centre
        return self.error_weights.apply(values)

    def weigh_errors(self, errors: Floats, positions: Positions) -> Floats:
        """Weigh errors of values, in place."""
        self.turn_back(errors, positions)
        return self.error_weights.apply(errors)

    def weigh_gradient(self, gradient: Floats, positions: Positions) -> Floats:
        """Return the gradient by weighted values that are turned back, given that by values, which is overwritten."""
        self.turn_back(gradient, positions)
        weighed: Floats = self.error_weights.unweigh_rows(torch.from_numpy(gradient)).numpy()
        return weighed

    def error_energies(self, errors: Floats, positions: Positions, bounds: Sequence[int]) -> list[float]:
        """Sum the weighted squares of errors of values over each part, to a part in a thousand, overwriting them."""
        self.turn_back(errors, positions)
        return self.error_weights.energies(errors, bounds)

    def turn_back(self, values: Floats, positions: Positions) -> None:
        """Undo rotary positions of tokens x all channels, in place."""
        for first, last, rotary in self.rotary:
            part = np.ascontiguousarray(values[:, first:last])
            rotary.turn(part, positions, back=True)
            values[:, first:last] = part

    def leave(self, values: Floats, channels: slice, positions: Positions) -> None:
        """Turn the centred values of a part, to which the centre was added, into those of the feature, in place."""
        for start, _, rotary in self.rotary:
            if start == channels.start:
                rotary.turn(values, positions)
        first = self.is_first(positions)
        if first.any():
            values[first] += self._first_offsets[positions[first]][:, channels]

    def leave_on_device(self, values: Tensor, channels: slice, positions: Positions) -> Tensor:
        """Do as `leave` does, on the device of the values."""
        for start, _, rotary in self.rotary:
            if start == channels.start:
                values = rotary.turned(values, positions)
        first = np.flatnonzero(self.is_first(positions))
        if len(first):
            offsets = np.ascontiguousarray(self._first_offsets[positions[first]][:, channels])
            values[torch.from_numpy(first).to(values.device)] += torch.from_numpy(offsets).to(values.device)
        return values

    @lazy
    def _first_offsets(self) -> Floats:
        """Positions x channels: difference of the known first tokens from the centre, turned to their positions."""
        turned = np.tile(self.centre, (len(self.first_tokens), 1))
        for first, last, rotary in self.rotary:
            part = np.ascontiguousarray(turned[:, first:last])
            rotary.turn(part, np.arange(len(turned)))
            turned[:, first:last] = part
        offsets: Floats = self.first_tokens - turned
        return offsets

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores beside the bulk and the weights, by name."""
        stored = {"centre": torch.from_numpy(self.centre)} if self.rotary else {}
        return stored | ({"first_tokens": torch.from_numpy(self.first_tokens)} if len(self.first_tokens) else {})

    @classmethod
    def from_profile(
        cls, profile: Profile, bulk: Bulk, error_weights: ErrorWeights, rotary: object, widths: Sequence[int]
    ) -> CodingSpace:
        """Read and check what a profile stores; `rotary` is what its config says of each part."""
        space, channels = cls.plain(bulk, error_weights), len(bulk.mean)
        centre, first_tokens = space.centre, space.first_tokens
        parts = () if rotary is None else _rotary_of(profile, rotary, widths)
        if parts:
            centre = profile.tensor("centre", torch.float32, channels).numpy()
        if "first_tokens" in profile.tensors:
            first_tokens = profile.tensor("first_tokens", torch.float32, -1, channels).numpy()
        bounded = all((np.abs(values) < _MAX_VALUE).all() for values in (centre, first_tokens))
        if not bounded or len(first_tokens) > MAX_FIRST_TOKENS:
            raise CodecError(
                f"profile {profile.id[:12]} has a centre or first tokens that are not below {_MAX_VALUE}, or "
                f"{len(first_tokens)} first tokens; expected at most {MAX_FIRST_TOKENS}",
                "fit it again",
            )
        return cls(bulk, parts, centre, first_tokens, error_weights)


def rotary_parts(by_part: Sequence[Rotary | None], widths: Sequence[int]) -> tuple[PartRotary, ...]:
    """Return the turned parts among all parts of these widths; refuse a rotation that does not fit its part."""
    parts = []
    for rotary, (first, last) in zip(by_part, pairwise(accumulate(widths, initial=0)), strict=True):
        if rotary is not None:
            rotary.check(last - first)
            parts.append((first, last, rotary))
    return tuple(parts)


def _rotary_of(profile: Profile, stored: object, widths: Sequence[int]) -> tuple[PartRotary, ...]:
    listed = stored if isinstance(stored, list) else []
    if len(listed) != len(widths):
        raise CodecError(
            f"profile {profile.id[:12]} has rotary positions of {len(listed)} parts; it has {len(widths)}",
            "fit it again",
        )
    return rotary_parts([None if part is None else Rotary.from_json(part) for part in listed], widths)

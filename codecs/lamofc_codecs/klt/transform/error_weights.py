"""What an error counts for: by channel, or by direction among the channels, in the eyes of whoever reads.

Channels are multiplied by weights, then some directions are stretched; squared errors of what comes of it are what is
kept small. A decoder needs none of this: it is in the rows of the basis.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Floats, lazy

_NOTICED = 1.01
"""Directions are left alone whose squared errors count for no more than so many times the least."""
_TILE = 256
"""Tokens weighed at once: always as many, so that no token's outcome depends on its neighbours."""


def digest_of(given: Tensor) -> str:
    """What names a weight that was given."""
    told = given.detach().cpu().to(torch.float64).contiguous()
    return hashlib.sha256(repr(tuple(told.shape)).encode() + told.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class ErrorWeights:
    """Weights of channels and stretched directions."""

    weight: Floats
    """Of each channel."""
    directions: Tensor
    """Directions x channels, float32, of length 1 and about orthogonal; they may be none."""
    stretch: Tensor
    """By which each of them is made longer, less 1."""

    @classmethod
    def of_channels(cls, weight: Floats) -> ErrorWeights:
        """Weights alone."""
        return cls(weight, torch.zeros(0, len(weight)), torch.zeros(0))

    @classmethod
    def of(cls, given: Tensor, floor: float, channels: int) -> ErrorWeights:
        """From a weight for each channel, or a matrix by which errors are multiplied before they are squared.

        Errors of all directions count for 1 on average, and for `floor` at the least.
        """
        told = given.detach().cpu().to(torch.float64)
        if told.dim() not in (1, 2) or told.shape[-1] != channels or not told.numel():
            raise UnsupportedInput(
                f"a weight of shape {tuple(given.shape)} for {channels} channels",
                f"give one for each channel, or a matrix of rows of {channels}",
            )
        power = told.square().sum() if bool(told.isfinite().all()) else torch.tensor(math.nan)
        if not math.isfinite(power) or not power > 0:
            raise UnsupportedInput(f"a weight whose squares add up to {float(power)}", "give finite ones, not all 0")
        share = (1 - floor) * channels / power
        if told.dim() == 1:
            return cls.of_channels((share * told.square() + floor).sqrt().to(torch.float32).numpy())
        sizes, turned = torch.linalg.eigh(told @ told.T if len(told) < channels else told.T @ told)
        sizes, turned = sizes.flip(0), turned.flip(1)
        chosen = (share * sizes + floor) > _NOTICED * floor
        rows = turned[:, chosen].T
        if len(told) < channels:
            rows = (rows @ told) / sizes[chosen].sqrt()[:, None]
        longer = ((share * sizes[chosen] + floor) / floor).sqrt() - 1
        least = np.full(channels, math.sqrt(floor), np.float32)
        return cls(least, rows.to(torch.float16).to(torch.float32), longer.to(torch.float32))

    @property
    def even(self) -> bool:
        """Whether all errors count alike."""
        return not len(self.directions) and bool((self.weight == 1).all())

    def apply(self, values: Floats) -> Floats:
        """Weigh tokens x channels, in place."""
        if (self.weight != 1).any():
            values *= self.weight
        for start in range(0, len(values) if len(self.directions) else 0, _TILE):
            part = torch.from_numpy(values[start : start + _TILE])
            room = torch.zeros(_TILE, part.shape[1])
            room[: len(part)] = part
            part += self._along(room)[: len(part)]
        return values

    def _along(self, values: Tensor) -> Tensor:
        return (values @ self.directions.T * self.stretch) @ self.directions

    def rows(self, rows: Tensor) -> Tensor:
        """Rows of a basis of channels, as those of weighted ones."""
        weighted = rows * torch.from_numpy(self.weight).to(rows.dtype)
        if not len(self.directions):
            return weighted
        directions, stretch = self.directions.to(rows.dtype), self.stretch.to(rows.dtype)
        return weighted + (weighted @ directions.T * stretch) @ directions

    def undone(self, rows: Tensor) -> Tensor:
        """Rows of a basis of weighted channels, as those of channels."""
        if len(self.directions):
            rows = rows - (rows.to(torch.float64) @ self._undoing @ self.directions.to(torch.float64)).to(rows.dtype)
        return rows / torch.from_numpy(self.weight)

    @lazy
    def _undoing(self) -> Tensor:
        """Channels x directions: what is to be taken away of each direction."""
        directions = self.directions.to(torch.float64)
        inner = torch.diag(1 / self.stretch.to(torch.float64)) + directions @ directions.T
        solved: Tensor = torch.linalg.solve(inner, directions).T
        return solved

    def tensors(self) -> dict[str, Tensor]:
        """What a profile holds of it."""
        held = {"weight": torch.from_numpy(self.weight)}
        if len(self.directions):
            held |= {"directions": self.directions.to(torch.float16), "stretch": self.stretch}
        return held

    @classmethod
    def read(cls, profile: Profile, channels: int) -> ErrorWeights:
        """Read from a profile; it may come from anybody."""
        if "weight" not in profile.tensors:
            return cls.of_channels(np.ones(channels, np.float32))
        weight = profile.tensor("weight", torch.float32, channels).numpy()
        found = cls.of_channels(weight)
        if "directions" in profile.tensors:
            directions = profile.tensor("directions", torch.float16, -1, channels).to(torch.float32)
            found = cls(weight, directions, profile.tensor("stretch", torch.float32, len(directions)))
        longer = found.stretch
        sane = bool((np.isfinite(weight) & (weight > 0)).all()) and len(longer) <= channels
        if not sane or not bool((found.directions.abs() <= 1).all() and longer.isfinite().all() and (longer > 0).all()):
            raise CodecError(f"profile {profile.id[:12]} weighs errors by what cannot be", "fit it again")
        return found

"""Error weights: how much the squared error of each channel, or of a direction among the channels, counts.

Channels are multiplied by weights, then some directions are stretched; the squared errors of the result are kept small.
A decoder needs none of this: the rows of the basis contain it.
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

_MIN_WEIGHT_RATIO = 1.01
"""Directions whose squared errors count for no more than so many times the least are not stretched."""
_TILE = 256
"""Tokens weighed at once: always as many, so that the result of a token does not depend on its neighbours."""


def digest_of(weight: Tensor) -> str:
    """Digest that names a weight in a profile's config."""
    values = weight.detach().cpu().to(torch.float64).contiguous()
    return hashlib.sha256(repr(tuple(values.shape)).encode() + values.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class ErrorWeights:
    """Weights of channels and stretched directions."""

    weight: Floats
    """Weight of each channel."""
    directions: Tensor
    """Directions x channels, float32, of length 1 and about orthogonal; there may be none."""
    stretch: Tensor
    """Factor by which each direction is stretched, less 1."""

    @classmethod
    def of_channels(cls, weight: Floats) -> ErrorWeights:
        """Weights of channels alone."""
        return cls(weight, torch.zeros(0, len(weight)), torch.zeros(0))

    @classmethod
    def from_values(cls, weight: Tensor, floor: float, channels: int) -> ErrorWeights:
        """Normalise a weight for each channel, or a matrix by which errors are multiplied before they are squared.

        Errors count for 1 on average over all directions, and for `floor` at the least.
        """
        values = weight.detach().cpu().to(torch.float64)
        if values.dim() not in (1, 2) or values.shape[-1] != channels or not values.numel():
            raise UnsupportedInput(
                f"a weight of shape {tuple(weight.shape)} for {channels} channels",
                f"give one for each channel, or a matrix of rows of {channels}",
            )
        power = values.square().sum() if bool(values.isfinite().all()) else torch.tensor(math.nan)
        if not math.isfinite(power) or not power > 0:
            raise UnsupportedInput(f"a weight whose squares add up to {float(power)}", "give finite ones, not all 0")
        share = (1 - floor) * channels / power
        if values.dim() == 1:
            return cls.of_channels((share * values.square() + floor).sqrt().to(torch.float32).numpy())
        sizes, vectors = torch.linalg.eigh(values @ values.T if len(values) < channels else values.T @ values)
        sizes, vectors = sizes.flip(0), vectors.flip(1)
        chosen = (share * sizes + floor) > _MIN_WEIGHT_RATIO * floor
        rows = vectors[:, chosen].T
        if len(values) < channels:
            rows = (rows @ values) / sizes[chosen].sqrt()[:, None]
        stretch = ((share * sizes[chosen] + floor) / floor).sqrt() - 1
        least = np.full(channels, math.sqrt(floor), np.float32)
        return cls(least, rows.to(torch.float16).to(torch.float32), stretch.to(torch.float32))

    @property
    def uniform(self) -> bool:
        """Whether all errors count alike."""
        return not len(self.directions) and bool((self.weight == 1).all())

    def apply(self, values: Floats) -> Floats:
        """Weigh tokens x channels, in place."""
        if (self.weight != 1).any():
            values *= self.weight
        for start in range(0, len(values) if len(self.directions) else 0, _TILE):
            part = torch.from_numpy(values[start : start + _TILE])
            tile = torch.zeros(_TILE, part.shape[1])
            tile[: len(part)] = part
            part += self._stretched(tile)[: len(part)]
        return values

    def _stretched(self, values: Tensor) -> Tensor:
        """Part that stretching adds to the values."""
        return (values @ self.directions.T * self.stretch) @ self.directions

    def weigh_rows(self, rows: Tensor) -> Tensor:
        """Weigh the rows of a basis of channels."""
        weighted = rows * torch.from_numpy(self.weight).to(rows.dtype)
        if not len(self.directions):
            return weighted
        directions, stretch = self.directions.to(rows.dtype), self.stretch.to(rows.dtype)
        return weighted + (weighted @ directions.T * stretch) @ directions

    def unweigh_rows(self, rows: Tensor) -> Tensor:
        """Invert `weigh_rows`."""
        if len(self.directions):
            surplus = rows.to(torch.float64) @ self._inverse_stretch @ self.directions.to(torch.float64)
            rows = rows - surplus.to(rows.dtype)
        return rows / torch.from_numpy(self.weight)

    @lazy
    def _inverse_stretch(self) -> Tensor:
        """Channels x directions: share of each direction that unstretching takes away."""
        directions = self.directions.to(torch.float64)
        inner = torch.diag(1 / self.stretch.to(torch.float64)) + directions @ directions.T
        solved: Tensor = torch.linalg.solve(inner, directions).T
        return solved

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name."""
        stored = {"weight": torch.from_numpy(self.weight)}
        if len(self.directions):
            stored |= {"directions": self.directions.to(torch.float16), "stretch": self.stretch}
        return stored

    @classmethod
    def from_profile(cls, profile: Profile, channels: int) -> ErrorWeights:
        """Read and check what a profile stores; weights of 1 where it stores none."""
        if "weight" not in profile.tensors:
            return cls.of_channels(np.ones(channels, np.float32))
        weight = profile.tensor("weight", torch.float32, channels).numpy()
        weights = cls.of_channels(weight)
        if "directions" in profile.tensors:
            directions = profile.tensor("directions", torch.float16, -1, channels).to(torch.float32)
            weights = cls(weight, directions, profile.tensor("stretch", torch.float32, len(directions)))
        stretch = weights.stretch
        valid = bool((np.isfinite(weight) & (weight > 0)).all()) and len(stretch) <= channels
        valid &= bool((weights.directions.abs() <= 1).all() and stretch.isfinite().all() and (stretch > 0).all())
        if not valid:
            raise CodecError(
                f"profile {profile.id[:12]} has error weights that are not positive and finite", "fit it again"
            )
        return weights

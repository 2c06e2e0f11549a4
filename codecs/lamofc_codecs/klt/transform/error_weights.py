"""Error weights: how much the squared error of each channel, or of a direction among the channels, counts.

Channels are multiplied by weights, then some directions are stretched; the squared errors of the result are kept small.
A decoder needs none of this: the rows of the basis contain it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from lamofc_codecs.errors import CodecError, UnsupportedInput
from lamofc_codecs.klt.transform.stretches import Stretch, find_stretch, read_stretch, sum_of_squares
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Floats

_MIN_PART_AVERAGE = 1e-4
"""Average weight of the errors of a feature of a group, at the least, of which its floor is a share."""
_TILE = 64
"""Tokens weighed at once: always as many, so that the result of a token does not depend on its neighbours."""


def digest_of(weight: Tensor | Mapping[str, Tensor]) -> str:
    """Digest that names a weight, or those of a group, in a profile's config."""
    if isinstance(weight, Mapping):
        listed = repr([(name, digest_of(weight[name])) for name in sorted(weight)])
        return hashlib.sha256(listed.encode()).hexdigest()[:16]
    values = weight.detach().cpu().to(torch.float64).contiguous()
    return hashlib.sha256(repr(tuple(values.shape)).encode() + values.numpy().tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class ErrorWeights:
    """Weights of channels and stretched directions."""

    weight: Floats
    """Weight of each channel."""
    stretches: tuple[Stretch, ...] = ()
    """Stretched directions of all channels, or of each feature of a group; there may be none."""
    share: float = 1.0
    """Factor from squared errors as the weights were given to those that count here, the floor aside."""

    @classmethod
    def from_values(cls, weight: Tensor, floor: float, channels: int) -> ErrorWeights:
        """Normalise a weight for each channel, or a matrix by which errors are multiplied before they are squared.

        Errors count for 1 on average over all directions, and for `floor` at the least.
        """
        values = _checked(weight, channels)
        share = (1 - floor) * channels / values.square().sum()
        if values.dim() == 1:
            return cls((share * values.square() + floor).sqrt().to(torch.float32).numpy(), share=float(share))
        least = np.full(channels, math.sqrt(floor), np.float32)
        return cls(least, (find_stretch(values, float(share), floor, 0),), float(share))

    @classmethod
    def of_parts(cls, weights: Sequence[Tensor], floor: float, widths: Sequence[int]) -> ErrorWeights:
        """Normalise the weights of the features of a group, whose sizes relative to each other are kept.

        Errors count for 1 on average over all directions of all features; of each feature, for `floor` of its own
        average at the least.
        """
        checked = [_checked(weight, width) for weight, width in zip(weights, widths, strict=True)]
        share = sum(widths) / float(sum(values.square().sum() for values in checked))
        least, stretches, first = [], [], 0
        for values, width in zip(checked, widths, strict=True):
            average = share * float(values.square().sum()) / width
            smallest = floor * max(average, _MIN_PART_AVERAGE)
            if values.dim() == 1:
                least.append(((1 - floor) * share * values.square() + smallest).sqrt().to(torch.float32).numpy())
            else:
                least.append(np.full(width, math.sqrt(smallest), np.float32))
                stretches.append(find_stretch(values, (1 - floor) * share, smallest, first, of_group=True))
            first += width
        return cls(np.concatenate(least), tuple(stretches), (1 - floor) * share)

    @property
    def uniform(self) -> bool:
        """Whether all errors count alike."""
        return not self.stretches and bool((self.weight == 1).all())

    def apply(self, values: Floats) -> Floats:
        """Weigh tokens x channels, in place."""
        if (self.weight != 1).any():
            values *= self.weight
        for stretch in self.stretches:
            for start in range(0, len(values), _TILE):
                part = torch.from_numpy(values[start : start + _TILE, stretch.channels])
                part += stretch.added(_padded(part))[: len(part)]
        return values

    def energies(self, values: Floats, bounds: Sequence[int]) -> list[float]:
        """Sum the squares of weighed tokens x channels over each part, to a part in a thousand.

        It takes less time than `apply`, as weighed values are not kept. `values` are overwritten.
        """
        weighed = torch.from_numpy(np.multiply(values, self.weight, out=values))
        stretched = {stretch.channels.start: stretch for stretch in self.stretches}
        energies = []
        for first, last in pairwise(bounds):
            part = weighed[:, first:last]
            energies.append(stretched[first].energy(part) if first in stretched else sum_of_squares(part))
        return energies

    def weigh_rows(self, rows: Tensor) -> Tensor:
        """Weigh the rows of a basis of channels."""
        weighted = rows * torch.from_numpy(self.weight).to(rows.dtype)
        for stretch in self.stretches:
            weighted[:, stretch.channels] = stretch.stretch_rows(weighted[:, stretch.channels])
        return weighted

    def unweigh_rows(self, rows: Tensor) -> Tensor:
        """Invert `weigh_rows`."""
        if self.stretches:
            rows = rows.clone()
        for stretch in self.stretches:
            rows[:, stretch.channels] = stretch.shrink_rows(rows[:, stretch.channels])
        return rows / torch.from_numpy(self.weight)

    def tensors(self) -> dict[str, Tensor]:
        """Return what a profile stores, by name; directions of a feature of a group bear its first channel."""
        stored = {"weight": torch.from_numpy(self.weight)}
        for stretch in self.stretches:
            stored |= stretch.tensors()
        return stored

    @classmethod
    def from_profile(cls, profile: Profile, widths: Sequence[int]) -> ErrorWeights:
        """Read and check what a profile stores of the features of these widths; weights of 1 where it stores none."""
        channels = sum(widths)
        if "weight" not in profile.tensors:
            return cls(np.ones(channels, np.float32))
        weight = profile.tensor("weight", torch.float32, channels).numpy()
        firsts = accumulate(widths[:-1], initial=0)
        read = [
            read_stretch(profile, first, width, of_group=len(widths) > 1)
            for first, width in zip(firsts, widths, strict=True)
        ]
        stretches = [stretch for stretch in read if stretch is not None]
        if not (np.isfinite(weight) & (weight > 0)).all() or not all(stretch.valid for stretch in stretches):
            raise CodecError(
                f"profile {profile.id[:12]} has error weights that are not positive and finite, "
                "or not those of a positive definite matrix",
                "fit it again",
            )
        return cls(weight, tuple(stretches))


def _padded(part: Tensor) -> Tensor:
    """Append tokens of zeros up to a whole tile."""
    if len(part) == _TILE:
        return part
    tile = torch.zeros(_TILE, part.shape[1])
    tile[: len(part)] = part
    return tile


def _checked(weight: Tensor, channels: int) -> Tensor:
    """Return a weight in float64, or refuse one that is not of these channels or not finite."""
    values = weight.detach().cpu().to(torch.float64)
    if values.dim() not in (1, 2) or values.shape[-1] != channels or not values.numel():
        raise UnsupportedInput(
            f"a weight of shape {tuple(weight.shape)} for {channels} channels",
            f"give one for each channel, or a matrix of rows of {channels}",
        )
    power = values.square().sum() if bool(values.isfinite().all()) else torch.tensor(math.nan)
    if not math.isfinite(power) or not power > 0:
        raise UnsupportedInput(f"a weight whose squares add up to {float(power)}", "give finite ones, not all 0")
    return values

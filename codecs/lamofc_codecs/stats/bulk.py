"""The bulk of a feature: all its entries but the massive activations.

In some features a few entries at 1e4 hold nearly all the energy, and a signal-to-noise ratio over all entries hides the
others. So `snr_db` counts the entries within 32 median absolute deviations of their channel's median in the
calibration samples. The profile stores the bounds, which are the same for every codec.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lamofc_codecs.errors import CodecError
from lamofc_codecs.profile import Profile
from lamofc_codecs.runtime import Floats

BOUND_DEVIATIONS = 32.0
"""Distance of the bounds from a channel's median, in median absolute deviations."""


@dataclass(frozen=True)
class Bulk:
    """Mean of the bulk and its bounds, each float32 of shape [channels]."""

    mean: Floats
    low: Floats
    high: Floats

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of a profile, by name."""
        return {
            "bulk_mean": torch.from_numpy(self.mean),
            "bulk_low": torch.from_numpy(self.low),
            "bulk_high": torch.from_numpy(self.high),
        }

    def of_channels(self, first: int, last: int) -> Bulk:
        """Return the bulk of the channels from `first` up to, not including, `last`."""
        return Bulk(self.mean[first:last], self.low[first:last], self.high[first:last])

    def outside(self, values: Floats) -> NDArray[np.bool_]:
        """Return a mask of the values, tokens x channels, that are outside of the bounds or NaN."""
        with np.errstate(invalid="ignore"):
            return ~((values >= self.low) & (values <= self.high))

    @classmethod
    def of(cls, profile: Profile | None) -> Bulk | None:
        """Read the bulk from a profile; None if the profile has no bounds."""
        if profile is None or "bulk_mean" not in profile.tensors:
            return None
        mean = profile.tensor("bulk_mean", torch.float32, -1)
        low, high = (profile.tensor(name, torch.float32, len(mean)) for name in ("bulk_low", "bulk_high"))
        return cls(mean.numpy(), low.numpy(), high.numpy())

    @classmethod
    def required(cls, profile: Profile) -> Bulk:
        """Read the bulk from the profile of a lossy codec, which must have bounds."""
        bulk = cls.of(profile)
        if bulk is None:
            raise CodecError(f"profile {profile.id[:12]} has no bounds of its bulk", "fit the profile again")
        return bulk

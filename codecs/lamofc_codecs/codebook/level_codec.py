"""What codecs have in common whose values first go to the levels of a scalar codebook."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lamofc_codecs.codebook.levels import Levels, given_levels
from lamofc_codecs.codec import Codec
from lamofc_codecs.profile import Profile
from lamofc_codecs.published import routed
from lamofc_codecs.source import Source
from lamofc_codecs.stats import Bulk


class Codebook(Codec):
    """A codec with levels, given or placed; its profile has a bulk unless they were given without samples."""

    fit_samples = 10

    @classmethod
    def options_for(cls, feature: str, options: Mapping[str, object]) -> Mapping[str, object]:
        """Levels for a feature, where a mapping tells them."""
        return routed(feature, options)

    def __init__(self, profile: Profile) -> None:
        self.check_profile(profile)
        levels = given_levels(profile.tensor("levels", torch.float32, -1).numpy())
        self._levels = Levels(levels, profile.config.get("assign"))
        self._bulk = Bulk.of(profile)
        self.check_width(profile, self._bulk)

    @property
    def bulk(self) -> Bulk | None:
        """Where the profile's bulk lies; None for levels that were given without samples."""
        return self._bulk

    def check_source(self, source: Source) -> None:
        """Refuse what would be lost, and channels that the bulk does not know."""
        self.check_lossy(source, source.channels if self._bulk is None else len(self._bulk.mean))

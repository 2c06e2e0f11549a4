"""Options of the levels of a scalar codebook, and the choice of a feature's levels from a published mapping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import torch

from lamofc_codecs.options import Between, Options
from lamofc_codecs.published import routed

MAX_BITS = 10
Assignment = Literal["nearest", "floor"]
Bits = Annotated[int, Between(1, MAX_BITS)] | None


@dataclass(frozen=True)
class LevelOptions(Options):
    """Options of `fit("lloydmax", ...)`."""

    assign: Assignment = "nearest"
    """Whether a value gets the nearest level or, as in the published code, the one below it."""
    bits: Bits = None
    """Binary logarithm of the number of levels; 8 by default."""
    device: torch.device | str | None = None
    """Device on which the values are sorted."""
    family: str | None = None
    """Family of models within the mapping."""
    levels: Any = None
    """Rising numbers to use instead of placing levels on the samples."""
    mapping: Path | str | None = None
    """A `mapping.json` with levels for features."""

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them."""
        return {"assign": self.assign}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the levels that the mapping has for a feature."""
        return with_mapped_levels(self, features)


Mapped = TypeVar("Mapped", bound=Options)


def with_mapped_levels(options: Mapped, features: Sequence[str]) -> Mapped:
    """Replace `mapping` and `family` by the `levels` of a feature in that mapping, or of each of several, by name."""
    if not features:
        return options
    names = ("family", "levels", "mapping")
    current = {name: getattr(options, name) for name in names}
    mapped = [dict(routed(feature, current)) for feature in sorted(features)]
    if current["mapping"] is None:
        return options
    levels = [one["levels"] for one in mapped]
    return replace(options, **{**dict.fromkeys(names), "levels": levels[0] if len(levels) == 1 else levels})

"""Options of the learned codecs: the weights, the tiles of a plane, and the levels that map values to its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch

from lamofc_codecs.codebook import Assignment, Bits, with_mapped_levels
from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.options import Options
from lamofc_codecs.plane import range_to_json, ranges_for
from lamofc_codecs.profile import Profile


@dataclass(frozen=True)
class PlaneOptions(Options):
    """Options of `fit("hyperprior", ...)` and `fit("elic", ...)`; those of the levels are as for lloydmax."""

    assign: Assignment | None = None
    """Whether a value gets the nearest level or the one below it; by default as in the profile of the weights."""
    bits: Bits = None
    """Binary logarithm of the number of levels; 8 by default."""
    device: torch.device | str | None = None
    """Device on which the values are sorted."""
    family: str | None = None
    """Family of models within the mapping."""
    fill: Literal["edge", "zero"] | None = None
    """Padding of a tile: its own edge, or zeros; by default as in the profile of the weights."""
    levels: Any = None
    """Rising numbers to use instead of placing levels on the samples."""
    mapping: Path | str | None = None
    """A `mapping.json` with levels for features."""
    planes: bool = False
    """Whether a tensor may be several planes, which are coded apart."""
    range: Any = None
    """Two numbers to clip values to and scale them by, in place of levels; in a group, such a pair for each feature."""
    tile: int | None = None
    """Most rows and columns that are coded at once, 0 for all; by default as in the profile of the weights."""
    truncation: str | None = None
    """A task of LaMoFC's Table 4, whose range is used; or a coder of it alone, the task being that of the feature."""
    weights: Profile | Path | str | None = None
    """Trained weights, or the path of their file."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("range",)}

    def __post_init__(self) -> None:
        chosen = [name for name in ("levels", "mapping", "bits") if getattr(self, name) is not None]
        if chosen and (self.range is not None or self.truncation is not None):
            raise UnsupportedInput(f"{chosen[0]} beside a range", "give levels, or a range that needs none")

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them: those that were set, and the id of the weights."""
        config: dict[str, Any] = {"assign": self.assign, "tile": self.tile, "fill": self.fill}
        config |= {"planes": self.planes or None, **range_to_json(ranges_for(self.range, self.truncation, ()))}
        if self.weights is not None:
            config["weights"] = load_weights(self.weights).id
        return {name: value for name, value in config.items() if value is not None}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the levels that the mapping, or the range that the truncation, has for features."""
        mapped = with_mapped_levels(self, features)
        if not features or self.truncation is None:
            return mapped
        return replace(mapped, range=ranges_for(self.range, self.truncation, features), truncation=None)


def load_weights(weights: Profile | Path | str) -> Profile:
    """Return trained weights, loaded from their file if only its path is given."""
    return weights if isinstance(weights, Profile) else Profile.load(Path(weights))

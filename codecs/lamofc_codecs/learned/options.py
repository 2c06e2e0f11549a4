"""Options of the learned codecs: the weights, the tiles of a plane, and the levels that make values a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from lamofc_codecs.codebook import Assignment, Bits, with_mapped_levels
from lamofc_codecs.options import Options
from lamofc_codecs.profile import Profile


@dataclass(frozen=True)
class PlaneOptions(Options):
    """Options of `fit("hyperprior", ...)` and `fit("elic", ...)`; those of the levels are as for lloydmax."""

    assign: Assignment | None = None
    """Whether a value gets the nearest level or the one below it; by default as the weights' profile says."""
    bits: Bits = None
    """Binary logarithm of the number of levels; 8 if nothing is given."""
    device: torch.device | str | None = None
    """Device on which the values are sorted."""
    family: str | None = None
    """Family of models within the mapping."""
    fill: Literal["edge", "zero"] | None = None
    """What pads a tile; by default as the weights' profile says."""
    levels: Any = None
    """Rising numbers to use instead of placing levels on the samples."""
    mapping: Path | str | None = None
    """A `mapping.json` with levels for features."""
    tile: int | None = None
    """Most rows and columns that are coded at once, 0 for all; by default as the weights' profile says."""
    weights: Profile | Path | str | None = None
    """Trained weights, or their file."""

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config says of them: what was given, and the id of the weights."""
        config: dict[str, Any] = {"assign": self.assign, "tile": self.tile, "fill": self.fill}
        if self.weights is not None:
            config["weights"] = load_weights(self.weights).id
        return {name: value for name, value in config.items() if value is not None}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the levels that the mapping has for a feature."""
        return with_mapped_levels(self, features)


def load_weights(weights: Profile | Path | str) -> Profile:
    """Return weights, read from their file if they are given by its name."""
    return weights if isinstance(weights, Profile) else Profile.load(Path(weights))

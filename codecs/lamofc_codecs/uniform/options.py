"""Options of the uniform quantiser, and the grid of levels that follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.options import Between, Options
from lamofc_codecs.published import BITS, published_range
from lamofc_codecs.runtime import Floats


@dataclass(frozen=True)
class UniformOptions(Options):
    """Options of `fit("uniform", ...)`."""

    bits: Annotated[int, Between(1, 16)] | None = None
    """Quantise `range` to 2 ** bits levels instead of aiming at a quality."""
    range: tuple[float, float] | None = None
    """Lowest and highest value that is quantised; without it, all values are."""
    outside: Literal["clip", "exact"] = "clip"
    """Whether values beyond the range are moved to its end or stored as they are."""
    nonfinite: Literal["raise", "exact"] = "raise"
    """Whether values that float32 cannot hold, such as NaN, are refused or stored as they are."""
    truncation: str | None = None
    """A task of LaMoFC: ten bits over its range, unless `bits` says otherwise."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("bits", "range")}

    def __post_init__(self) -> None:
        if self.truncation is not None:
            if self.range is not None:
                raise UnsupportedInput(f"range={self.range!r} beside a truncation", "give one of the two")
            object.__setattr__(self, "bits", BITS if self.bits is None else self.bits)
            object.__setattr__(self, "range", published_range(self.truncation))
        if self.bits is not None and self.range is None:
            raise UnsupportedInput(f"bits={self.bits!r} without a range", "give range=(low, high), too")
        if self.range is not None:
            low, high = (float(np.float32(end)) for end in self.range)
            if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
                raise UnsupportedInput(
                    f"range={self.range!r} is not two rising finite numbers", "give range=(low, high)"
                )
            object.__setattr__(self, "range", (low, high))

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config says of them; a truncation stands there as its bits and range."""
        config = {name: value for name, value in super().to_json().items() if name != "truncation"}
        return {**config, "range": None if self.range is None else list(self.range)}

    def targets(self, qualities: tuple[str, ...]) -> tuple[str, ...]:
        """Return no target where the bits fix the step."""
        return qualities if self.bits is None else ()

    @property
    def step(self) -> float:
        """Distance between levels of the b-bit grid, as float32."""
        low, high = self.range or (0.0, 0.0)
        return float(np.float32((high - low) / ((1 << (self.bits or 1)) - 1)))

    def middles(self, mean: Floats) -> Floats:
        """Return the centre of each channel's levels: its mean, or the nearest level of the b-bit grid."""
        if self.bits is None or self.range is None:
            return mean
        levels = (1 << self.bits) - 1
        grid = (self.range[1] - self.range[0]) / levels
        nearest = np.clip(np.rint((mean.astype(np.float64) - self.range[0]) / grid), 0, levels)
        grid_levels: Floats = (self.range[0] + nearest * grid).astype(np.float32)
        return grid_levels

    def clipped(self, values: Floats) -> Floats:
        """Move values beyond the range to its ends, if that was chosen; NaN and infinities stay."""
        if self.range is None or self.outside == "exact":
            return values
        moved = np.clip(values, np.float32(self.range[0]), np.float32(self.range[1]))
        return moved if self.nonfinite == "raise" else np.where(np.isfinite(values), moved, values)

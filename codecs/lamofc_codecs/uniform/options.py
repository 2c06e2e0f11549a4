"""What a user may choose of the uniform quantiser, and the grid that follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lamofc_codecs.errors import UnsupportedInput
from lamofc_codecs.published import BITS, published_range
from lamofc_codecs.runtime import Floats


@dataclass(frozen=True)
class UniformOptions:
    """Options of `fit("uniform", ...)`."""

    bits: int | None = None
    """Quantise `range` to 2 ** bits levels instead of aiming at a quality."""
    range: tuple[float, float] | None = None
    """Lowest and highest value that is quantised; without it, all are."""
    outside: Literal["clip", "exact"] = "clip"
    """What becomes of values beyond the range: moved to its end, or stored as they are."""
    nonfinite: Literal["raise", "exact"] = "raise"
    """What becomes of NaN and infinities: refused, or stored as they are."""

    def __post_init__(self) -> None:
        if self.bits is not None and (type(self.bits) is not int or not 1 <= self.bits <= 16 or self.range is None):
            raise UnsupportedInput(
                f"bits={self.bits!r} with range={self.range!r}", "give 1 to 16 bits and range=(low, high)"
            )
        if self.range is not None:
            low, high = (float(np.float32(end)) for end in self.range)
            if not (math.isfinite(low) and math.isfinite(high) and low < high and math.isfinite(high - low)):
                raise UnsupportedInput(
                    f"range={self.range!r} is not two rising finite numbers", "give range=(low, high)"
                )
            object.__setattr__(self, "range", (low, high))
        if self.outside not in ("clip", "exact") or self.nonfinite not in ("raise", "exact"):
            raise UnsupportedInput(
                f"outside={self.outside!r}, nonfinite={self.nonfinite!r}",
                'outside is "clip" or "exact", nonfinite is "raise" or "exact"',
            )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> UniformOptions:
        """Make from keywords or from a profile's config; a `truncation` is ten bits of a task's range."""
        if options.get("truncation") is not None:
            if options.get("range") is not None:
                raise UnsupportedInput(f"range={options['range']!r} beside a truncation", "give one of the two")
            rest = {name: value for name, value in options.items() if name != "truncation"}
            options = {"bits": BITS, **rest, "range": published_range(options["truncation"])}
        try:
            ends = options.get("range")
            low_high = {} if ends is None else {"range": (float(ends[0]), float(ends[1]))}
            return cls(**{**options, **low_high})
        except (TypeError, ValueError, LookupError) as error:
            raise UnsupportedInput(f"options {dict(options)!r}: {error}", "give range=(low, high)") from error

    def to_json(self) -> dict[str, Any]:
        """Return what a profile's config holds."""
        return {**asdict(self), "range": None if self.range is None else list(self.range)}

    @property
    def step(self) -> float:
        """Distance of the levels of the b-bit grid, as float32."""
        low, high = self.range or (0.0, 0.0)
        return float(np.float32((high - low) / ((1 << (self.bits or 1)) - 1)))

    def middles(self, mean: Floats) -> Floats:
        """Return what each channel is quantised about: its mean, or the nearest level of the b-bit grid."""
        if self.bits is None or self.range is None:
            return mean
        levels = (1 << self.bits) - 1
        grid = (self.range[1] - self.range[0]) / levels
        nearest = np.clip(np.rint((mean.astype(np.float64) - self.range[0]) / grid), 0, levels)
        grid_levels: Floats = (self.range[0] + nearest * grid).astype(np.float32)
        return grid_levels

    def clipped(self, values: Floats) -> Floats:
        """Move what lies beyond the range to its ends, if that was chosen. NaN and infinities stay."""
        if self.range is None or self.outside == "exact":
            return values
        moved = np.clip(values, np.float32(self.range[0]), np.float32(self.range[1]))
        return moved if self.nonfinite == "raise" else np.where(np.isfinite(values), moved, values)

"""Options of the video codecs: the range that is coded, the rounding to its levels, and the encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from lamofc_codecs.options import Options
from lamofc_codecs.plane import range_to_json, ranges_for
from lamofc_codecs.video import vtm as reference_software

Preset = Literal["faster", "fast", "medium", "slow", "slower"]


@dataclass(frozen=True)
class VideoOptions(Options):
    """Options of `fit("vvc", ...)` and `fit("hevc", ...)`."""

    preset: Preset = "medium"
    """Effort of the encoder."""
    range: Any = None
    """Lowest and highest value that is coded, or such a pair for each feature of a group; by default those of the
    samples' bulk."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """Whether a value becomes the nearest level or, as in the published code, the one below it."""
    truncation: str | None = None
    """A task of LaMoFC's Table 4, whose range is used; or a coder of it alone, the task being that of the feature."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("range",)}

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them, without the range if the samples decide it."""
        ends = ranges_for(self.range, self.truncation, ())
        return {"preset": self.preset, "rounding": self.rounding, **range_to_json(ends)}

    def for_features(self, features: Sequence[str]) -> Self:
        """Return the options with the range that the truncation has for features."""
        if not features or self.truncation is None:
            return self
        return replace(self, range=ranges_for(self.range, self.truncation, features), truncation=None)


@dataclass(frozen=True)
class VvcOptions(VideoOptions):
    """Options of `fit("vvc", ...)`."""

    vtm: Path | str | None = None
    """VTM's EncoderApp, which codes in place of VVenC; its configuration is that of LaMoFC."""

    config_keys: ClassVar[Mapping[str, tuple[str, ...]]] = {"truncation": ("range",), "vtm": ("encoder",)}

    def to_json(self) -> dict[str, Any]:
        """Return the options as a profile's config holds them, with VTM's version in place of its path."""
        encoder = {} if self.vtm is None else {"encoder": reference_software.register_vtm(self.vtm)}
        return {**super().to_json(), **encoder}
